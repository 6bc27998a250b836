"""`dvc repro` of one target in several processes at once, where parts of what it needs have nothing in common.

    python -m pipelines.side_by_side report@demo --jobs 2

Two DVC processes in one workspace must not share a stage. So the graph upstream of the target is cut into its connected parts,
each process takes the largest that waits and brings it up to date, and `dvc repro` of the target ends it.
The results are those of `dvc repro` alone; dvc.lock lists the stages by name, whichever ended first.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

import networkx as nx
from dvc.repo import Repo
from dvc.repo.reproduce import get_active_graph
from dvc.utils.serialize import modify_yaml

from pipelines.output import lines

LOCK = Path("dvc.lock")


def parts(target: str) -> list[list[str]]:
    """The connected parts of what the target needs, largest first, each as the names of its stages.

    Raises LookupError if there is no such stage.
    """
    with Repo() as repo:
        graph = get_active_graph(repo.index.graph)
        found = [stage for stage in graph if stage.addressing == target]
        if not found:
            raise LookupError(f"dvc.yaml has no stage {target!r}; `dvc stage list` lists them")
        needed = graph.subgraph(nx.descendants(graph, found[0])).to_undirected()
        names = [sorted(stage.addressing for stage in part) for part in nx.connected_components(needed)]
    return sorted(names, key=lambda part: (-len(part), part))


def all_of(waiting: SimpleQueue[list[str]], name: str) -> list[int]:
    """Bring one part after another up to date until none is waiting; their exit codes."""
    codes = []
    with suppress(Empty):
        while True:
            codes.append(repro(waiting.get_nowait(), name))
    return codes


def repro(targets: Sequence[str], name: str) -> int:
    """Bring the targets up to date in a process of its own and repeat what it says, line by line behind its name."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", *targets]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in lines(process.stdout):
            print(f"{name} {line}", flush=True)
    return process.returncode


def in_order(path: Path) -> None:
    """Sort the stages of a lock file by name."""
    with modify_yaml(path) as content:
        content["stages"] = dict(sorted(content["stages"].items()))


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="stage of dvc.yaml, for example report@demo")
    parser.add_argument("--jobs", type=int, default=2, help="processes; each runs one stage at a time")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error(f"--jobs {args.jobs}: at least one process is needed")
    waiting: SimpleQueue[list[str]] = SimpleQueue()
    try:
        for part in parts(args.target):
            waiting.put(part)
    except LookupError as error:
        parser.error(str(error))
    names = [f"[{number}]" for number in range(1, args.jobs + 1)]
    with ThreadPoolExecutor(args.jobs) as pool:
        codes = [code for found in pool.map(all_of, [waiting] * args.jobs, names) for code in found]
    failed = [code for code in codes if code]
    code = failed[0] if failed else subprocess.run([sys.executable, "-m", "dvc", "repro", args.target], check=False).returncode
    if LOCK.is_file():
        in_order(LOCK)
    return code


if __name__ == "__main__":
    sys.exit(main())
