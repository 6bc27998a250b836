"""`dvc repro` with nothing to do, on the whole graph of this repository.

    python -m benchmarks.dvc_noop [--rounds 5]

A workspace of its own gets the code, dvc.yaml and params.yaml; every output of every stage is there as a tiny file, and dvc.lock
says that all of it is up to date (`dvc commit --force`; nothing is computed). So what is timed is what DVC does to find that out.

    report@demo     dvc repro report@demo               goal: under 2 s
    everything      dvc repro                           goal: under 5 s
    status          dvc status
    limit: start    dvc --version: the start of the program
    limit: params   params.yaml parsed once by the same library
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.rounds import ROOT, interleave, save
from tests import workspace

GOALS = {"report@demo": 2.0, "everything": 5.0}

LIST = """
import json, sys
from dvc.repo import Repo
with Repo() as repo:
    stages = list(repo.index.stages)
    outs = [str(out) for stage in stages for out in stage.outs]
    deps = [str(dep) for stage in stages for dep in stage.deps if not hasattr(dep, "params")]
json.dump({"stages": len(stages), "files": sorted({*outs, *deps})}, sys.stdout)
"""
PARSE = "from dvc.utils.serialize import load_path as p; from dvc.fs import LocalFileSystem as F; p('params.yaml', F())"


def up_to_date(folder: Path) -> int:
    """Make the workspace; returns how many stages it has."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    workspace.prepare(folder, params)
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())  # with its anchors, as it is parsed every day
    graph = json.loads(python(folder, "-c", LIST))
    within = {str(parent) for path in graph["files"] for parent in Path(path).parents}
    for path in graph["files"]:
        place = folder / path
        if path in within:
            place.mkdir(parents=True, exist_ok=True)
        elif not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(path, encoding="utf-8")
    dvc(folder, "commit", "--force")
    said = dvc(folder, "status", "--quiet")
    assert not said, said
    return int(graph["stages"])


def python(folder: Path, *arguments: str) -> str:
    """Run this interpreter there; its output. Raises SystemExit with what it said if it fails."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, env=workspace.environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def dvc(folder: Path, *arguments: str) -> str:
    """Run dvc there."""
    return python(folder, "-m", "dvc", *arguments)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        stages = up_to_date(folder)
        candidates: dict[str, Callable[[], object]] = {
            "report@demo": partial(dvc, folder, "repro", "report@demo"),
            "everything": partial(dvc, folder, "repro"),
            "status": partial(dvc, folder, "status"),
            "limit: start": partial(dvc, folder, "--version"),
            "limit: params": partial(python, folder, "-c", PARSE),
        }
        assert "Running stage" not in dvc(folder, "repro")
        figures = interleave(candidates, reference="limit: start", rounds=args.rounds)
    for name, goal in GOALS.items():
        figures[name]["goal_seconds"] = goal
    save("dvc_noop", {"rounds": args.rounds, "stages": stages, "reference": "limit: start", "candidates": figures})


if __name__ == "__main__":
    main()
