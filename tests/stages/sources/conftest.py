"""One test Hub per module, calm at the start of every test; a manner of fetching that does not wait long."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stages.sources.fetching import Fetched, Manner, fetch
from stages.sources.settings import SourceEntry
from stages.sources.watch import Patience
from tests.hub_process import RunningHub, running_hub
from tests.stages.sources.hub_files import FILES

Fetch = Callable[..., Fetched]
PATIENCE = Patience(attempts=3, first_wait=0.02, longest_wait=0.05, longest_retry_after=5.0, timeout=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def hub(server: RunningHub) -> RunningHub:
    server.calm()
    return server


@pytest.fixture
def repository(hub: RunningHub, request: pytest.FixtureRequest) -> str:
    """A repository of this test's own with the usual files in it."""
    name = f"owner/{zlib.crc32(request.node.name.encode()):x}"
    hub.put(name, FILES)
    return name


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "demo"


@pytest.fixture
def fetched(out: Path) -> Fetch:
    """fetched(source, ...) fetches the data set "demo" into `out`."""

    def run(*sources: SourceEntry, built: Path | None = None, **manner: Any) -> Fetched:
        settings: dict[str, Any] = {"quiet": True, "patience": PATIENCE, "threads": 4, **manner}
        return fetch("demo", sources, out, built=built, manner=Manner(**settings))

    return run
