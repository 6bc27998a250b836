"""Two machines at work under one server, one of them lost, as it is typed and answered; written down while it happens.

    python -m tests.pipelines.transcript pipelines/transcript.md

The workspace is that of the tests: this repository's flows and a graph of the same shape whose stages take no time.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.pipelines import prefect_server, small_workspace
from tests.pipelines.two_machines import SLOW, complete, git, inside, lose, outcomes, published, submit, wait, worker

HEAD = """# Three runs on two machines, one of them lost

Written by `python -m tests.pipelines.transcript pipelines/transcript.md` while it happened, on one machine with two clones, a
process worker in each and a folder as the DVC remote; stages take no time here. `tests/pipelines/test_two_workers.py` holds it
to what it shows, with a folder and with an S3-compatible server as the remote. Identifiers and paths are shortened, the port is
the usual one.
"""
RUNS = ("one", "two", "three")


class Pages:
    """What is written down, block by block."""

    def __init__(self, base: Path, port: str) -> None:
        self.text, self._base, self._port = HEAD, base, port

    def say(self, sentence: str) -> None:
        """A sentence between blocks."""
        self.text += f"\n{sentence}\n"

    def block(self, *lines: str) -> None:
        """What was typed, and what came back."""
        shown = "\n".join(lines).replace(str(self._base), "~").replace(self._port, "4200")
        shown = re.sub(r"([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f-]{22}", r"\1", shown)
        trimmed = "\n".join(line.rstrip() for line in shown.strip().splitlines())
        self.text += f"\n```\n{trimmed}\n```\n"

    def states(self, server: prefect_server.Server, run: str) -> None:
        """Every stage of a flow run with its end; the states of tasks may lag behind the run's."""
        wait(lambda: set(outcomes(server, run).values()) <= {"Ran", "Cached"}, lambda: str(outcomes(server, run)), 60)
        self.block(*(f"{name:<22} {state}" for name, state in outcomes(server, run).items()))


def origin(base: Path) -> Path:
    """The repository that both clone."""
    folder = small_workspace.make(base / "origin")
    graph = (folder / "dvc.yaml").read_text().replace("broken: {method: other}", "three: {method: causalvtg}")
    (folder / "dvc.yaml").write_text(graph.replace("broken", "three"))
    (folder / "train.py").write_text(SLOW + small_workspace.TRAIN)
    small_workspace.dvc(folder, "remote", "add", "-d", "lab", str(base / "remote"))
    return published(folder)


def transcript(base: Path) -> str:
    """Do it, and what it looked like."""
    first, port = origin(base), prefect_server.free_port()
    page = Pages(base, str(port))
    with ExitStack() as stack:
        server = stack.enter_context(prefect_server.server(base / "home", port))
        page.say("The server, the pools, the deployments:")
        page.block("$ prefect server start", f"healthy: {server.api}")
        for pool in ("cpu", "gpu"):
            typed = ("work-pool", "create", pool, "--type", "process")
            page.block(f"$ prefect {shlex.join(typed)}", server.command(first, *typed).stdout.strip())
        done = server.command(first, "deploy", "--all")
        found = sorted(set(re.findall(r"[a-z]+/(?:cpu|gpu)\b", done.stdout)))
        page.block("$ prefect deploy --all", *found)

        machines = {}
        page.say("A clone on each machine, with a worker that takes one run at a time:")
        for name in ("a", "b"):
            git(base, "clone", "--quiet", str(first), name)
            machines[name] = base / name
            (machines[name] / "slow").write_text("two")
            stack.enter_context(worker(server, machines[name]))
        page.block(*(f"{name}$ prefect worker start --pool gpu --limit 1" for name in machines))

        page.say("Three runs are submitted; `share` gives every finished stage to the remote and takes from it what is there:")
        runs = {}
        for name in RUNS:
            runs[name] = submit(server, first, [name])
            typed = f'{{"runs": ["{name}"], "share": true}}'
            page.block(f"$ prefect deployment run 'experiment/gpu' --params '{typed}'", f"flow run {runs[name]}")
        lost = wait(
            lambda: next((name for name, folder in machines.items() if (folder / "data/runs/two.partial").exists()), None),
            lambda: "nobody trains run two",
        )
        left = next(name for name in machines if name != lost)
        page.say(f"Machine {lost} is in the middle of the training of run `two` when it is lost (SIGKILL to all it runs):")
        lose(machines[lost])
        wait(lambda: not inside(machines[lost]), lambda: f"still there: {inside(machines[lost])}")
        page.block(f"{lost}$ kill -9 ...", f"processes left on {lost}: {len(inside(machines[lost]))}")
        page.say("Nobody else knows. Its run is cancelled and submitted again; the other machine goes on meanwhile:")
        assert server.command(first, "flow-run", "cancel", runs["two"]).returncode == 0
        page.block(f"$ prefect flow-run cancel {runs['two']}")
        (machines[left] / "slow").unlink(missing_ok=True)
        again = submit(server, first, ["two"])
        page.block(
            '$ prefect deployment run \'experiment/gpu\' --params \'{"runs": ["two"], "share": true}\'', f"flow run {again}"
        )
        for name, run in {**runs, "two": again}.items():
            complete(server, run)
            page.say(f"Run `{name}`, completed:")
            page.states(server, run)

        page.say("What belongs to the results is committed; the evaluation is changed; the runs are made again and compared:")
        folder = machines[left]
        git(folder, "add", "dvc.lock")
        git(folder, "commit", "--quiet", "-m", "Results")
        (folder / "evaluate.py").write_text(small_workspace.EVALUATE.replace("51.5", "61.5"))
        run = submit(server, first, ["one", "two"])
        complete(server, run)
        page.states(server, run)
        git(folder, "commit", "--quiet", "-am", "A better evaluation")
        page.block("$ dvc metrics diff HEAD~1 HEAD", small_workspace.dvc(folder, "metrics", "diff", "HEAD~1", "HEAD"))
    return page.text


def main() -> None:
    """Command line: the file to write."""
    with tempfile.TemporaryDirectory() as base:
        text = transcript(Path(base).resolve())
    Path(sys.argv[1]).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
