"""What Prefect adds to DVC, per stage: the same chain of stages by `dvc repro`, by a flow, and by one `dvc repro` per stage.

The stages do nothing, so that all time is overhead. "ran": every stage is out of date; "cached": none is. A flow is timed from
its first line, as when a worker has the run already; the server is local. The goal: under one second per stage on top of DVC.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from benchmarks.rounds import interleave, save
from pipelines.dvc import Workspace, bring_up_to_date
from tests.pipelines import prefect_server, small_workspace

STAGES = 8
ROUNDS = 5


def workspace(folder: Path) -> Path:
    """A chain of stages, each a copy of its predecessor's file; the first reads seed.txt."""
    small_workspace.make(folder)
    lines = ["stages:"]
    for n in range(STAGES):
        source = f"copy{n - 1}.txt" if n else "seed.txt"
        lines += [f"  copy{n}:", f"    cmd: cp {source} copy{n}.txt", f"    deps: [{source}]"]
        lines += [f"    outs: [copy{n}.txt]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    return folder


@flow(name="chain")
def chain() -> None:
    """The last stage with all that it needs."""
    with Workspace.open() as opened:
        bring_up_to_date([f"copy{STAGES - 1}"], opened)


def by_dvc(*arguments: str) -> None:
    """One `dvc repro`."""
    subprocess.run([sys.executable, "-m", "dvc", "repro", *arguments], check=True, capture_output=True)


def one_by_one() -> None:
    """One `dvc repro` per stage: what the process that stays open saves."""
    for n in range(STAGES):
        by_dvc("--single-item", f"copy{n}")


def measure() -> dict[str, dict[str, Any]]:
    """Time the three ways, with everything to do and with nothing to do."""
    seeds = itertools.count()

    def change(_way: str) -> None:
        Path("seed.txt").write_text(str(next(seeds)))

    ways: dict[str, Callable[[], object]] = {
        "dvc repro": lambda: by_dvc(f"copy{STAGES - 1}"),
        "flow": chain,
        "dvc repro per stage": one_by_one,
    }
    figures = {}
    for case, before in (("ran", change), ("cached", None)):
        figures[case] = interleave(ways, reference="dvc repro", rounds=ROUNDS, before_each=before)
        base = figures[case]["dvc repro"]["seconds_median"]
        for name in ("flow", "dvc repro per stage"):
            figures[case][name]["seconds_per_stage_over_dvc"] = round((figures[case][name]["seconds_median"] - base) / STAGES, 3)
    return figures


def main() -> None:
    """Start a server, measure, save."""
    open_until_exit = contextlib.ExitStack()
    atexit.register(open_until_exit.close)  # before Prefect registers its own end, which still talks to the server
    folder = Path(open_until_exit.enter_context(tempfile.TemporaryDirectory()))
    os.environ.update(small_workspace.environment())
    os.chdir(workspace(folder / "workspace"))
    server = open_until_exit.enter_context(prefect_server.server(folder / "home"))
    with temporary_settings({PREFECT_API_URL: server.api, PREFECT_HOME: str(folder / "home")}):
        figures = measure()
    save("orchestration", figures)


if __name__ == "__main__":
    main()
