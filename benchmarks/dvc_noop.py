"""`dvc repro` with nothing to do, on the whole graph of this repository.

    python -m benchmarks.dvc_noop [--rounds 5]

A workspace of its own gets the code, dvc.yaml and params.yaml; every output of every stage is there as a tiny file, and dvc.lock
says that all of it is up to date (`dvc commit --force`; nothing is computed). So what is timed is what DVC does to find that out.

    report@demo     dvc repro report@demo               goal: under 2 s
    everything      dvc repro                           goal: under 5 s
    status          dvc status
    limit: start    dvc --version: the start of the program
    limit: params   params.yaml parsed once by the same library

Beside them, from a profile of report@demo and of everything, what share of the time goes where (`PARTS`, in DVC's own functions).
"""

from __future__ import annotations

import argparse
import json
import pstats
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml

from benchmarks.rounds import ROOT, interleave, save
from tests import workspace

GOALS = {"report@demo": 2.0, "everything": 5.0}

# shares of a profile: what is done, DVC's module and function; index and stages apart, the others are parts of stages
PARTS = {
    "graph of all stages": ("dvc/repo/__init__.py", "index"),
    "the target's stages": ("dvc/repo/reproduce.py", "_reproduce"),
    "of these: files hashed and compared": ("dvc/output.py", "status"),
    "of these: locks": ("dvc/rwlock.py", "_edit_rwlock"),
}

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


def up_to_date(folder: Path, params: bytes) -> int:
    """Make the workspace with this params.yaml; returns how many stages it has."""
    workspace.prepare(folder, yaml.safe_load(params))
    (folder / "params.yaml").write_bytes(params)  # with its anchors, as it is parsed every day
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


def shares(folder: Path, *arguments: str) -> dict[str, float]:
    """Parts of the time of one `dvc repro`, in percent of its whole; a profile slows all of them alike."""
    kept = folder / "repro.profile"
    python(folder, "-m", "cProfile", "-o", str(kept), "-m", "dvc", "repro", *arguments)
    stats: dict[tuple[str, int, str], tuple[int, int, float, float, object]] = pstats.Stats(str(kept)).stats  # type: ignore[attr-defined]
    spent = dict.fromkeys(PARTS.values(), 0.0)
    for (file, _, function), (_, _, _, cumulative, _) in stats.items():
        for module, name in PARTS.values():
            if function == name and file.endswith(module):
                spent[module, name] += cumulative
    whole = max(cumulative for _, _, _, cumulative, _ in stats.values())
    return {part: round(100 * spent[place] / whole, 1) for part, place in PARTS.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        stages = up_to_date(folder, (ROOT / "params.yaml").read_bytes())
        candidates: dict[str, Callable[[], object]] = {
            "report@demo": partial(dvc, folder, "repro", "report@demo"),
            "everything": partial(dvc, folder, "repro"),
            "status": partial(dvc, folder, "status"),
            "limit: start": partial(dvc, folder, "--version"),
            "limit: params": partial(python, folder, "-c", PARSE),
        }
        assert "Running stage" not in dvc(folder, "repro")
        figures = interleave(candidates, reference="limit: start", rounds=args.rounds)
        percent = {"report@demo": shares(folder, "report@demo"), "everything": shares(folder)}
    for name, goal in GOALS.items():
        figures[name]["goal_seconds"] = goal
    found = {"rounds": args.rounds, "stages": stages, "reference": "limit: start"}
    save("dvc_noop", {**found, "candidates": figures, "percent of the time": percent})


if __name__ == "__main__":
    main()
