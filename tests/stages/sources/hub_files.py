"""The repository that the Hub tests serve, and what must be left on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stages.sources.settings import Hub, Mirror, SourceEntry
from tests.hub_process import RunningHub

BIG = bytes(range(256)) * 12_000  # 3 MB, sent in many pieces
FILES = {
    "features/clip/a.npz": BIG,  # by its suffix kept in LFS: a redirect, a sha256 in the listing
    "features/clip/b b.npz": b"blank in the name",
    "features/labels.json": b"{}",  # not in LFS: only git's blob id in the listing
    "README.md": b"# unwanted",
}
WANTED = {name.removeprefix("features/"): content for name, content in FILES.items() if name.startswith("features/")}


def source(hub: RunningHub, repository: str, **settings: Any) -> SourceEntry:
    chosen: dict[str, Any] = {"patterns": ("features/*",), "strip": "features", **settings}
    return SourceEntry(into=".", mirrors=(Mirror(hub=Hub(repository=repository, endpoint=hub.endpoint, **chosen)),))


def contents(out: Path) -> dict[str, bytes]:
    """Every file of the data set; not the manifest, not the work in progress."""
    files = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "manifest.json" and not name.startswith(".fetch/")}


def assert_complete(out: Path) -> None:
    assert contents(out) == WANTED
    assert set(json.loads((out / "manifest.json").read_text())["files"]) == set(WANTED)
    assert not (out / ".fetch").exists()


def assert_nothing_recorded(out: Path) -> None:
    """No manifest, and whatever is in place is right."""
    assert not (out / "manifest.json").exists()
    assert all(WANTED[name] == content for name, content in contents(out).items())
