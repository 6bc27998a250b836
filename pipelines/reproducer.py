"""The DVC side of a flow: a process that stays open and brings one stage after another up to date.

Loading DVC costs more than deciding that a stage is up to date. So a flow run starts this process once (pipelines/dvc.py) and
talks to it: one JSON request per line on standard input, its answer on a line of standard output that begins with a token which
the first line of input has set. Everything else on standard output and error is the log of the stage at work.

    {"do": "graph"}                          -> {"stages": [{"name", "upstream", "deps", "outs", "metrics"}, ...]}, upstream first
    {"do": "repro", "stage": NAME, "share": bool}         -> {"changed": bool}     like `dvc repro --single-item`; share: what
                                                             another machine has pushed is restored, as with `--pull`
    {"do": "push", "stage": NAME}            -> {"pushed": number of files}        like `dvc push --run-cache NAME`
    any failure                              -> {"error": text, "exit": exit code of the stage's command, or null}

When its input ends, the flow is gone: it ends the command at work and itself, so that no training is left behind.
"""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.reproduce import get_active_graph, plan_repro


def graph(repo: Repo) -> dict[str, Any]:
    """Every stage of the workspace, each after those that it depends on."""
    active = get_active_graph(repo.index.graph)
    return {
        "stages": [
            {
                "name": stage.addressing,
                "upstream": [other.addressing for other in active.successors(stage)],
                "deps": [str(dep) for dep in stage.deps],
                "outs": [str(out) for out in stage.outs],
                "metrics": [str(out) for out in stage.outs if out.metric],
            }
            for stage in plan_repro(active)
        ]
    }


def repro(repo: Repo, stage: str, share: bool) -> dict[str, Any]:
    """Bring one stage up to date; what it depends on must be. `share`: look first whether another machine has done it."""
    (found,) = repo.stage.collect(stage)
    # what is not cached is on no remote, yet asked to pull it DVC would be content with nothing
    pull = share and all(out.use_cache or out.metric or out.plot for out in found.outs)
    if pull:
        repo.stage_cache.pull(None)
    return {"changed": bool(repo.reproduce(stage, single_item=True, pull=pull))}


def push(repo: Repo, stage: str) -> dict[str, Any]:
    """Give the default remote what a stage made, and the record of its run, so that other machines need not run it."""
    return {"pushed": repo.push(targets=[stage], run_cache=True)}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request. The workspace is opened anew: dvc.yaml or params.yaml may have been edited meanwhile."""
    try:
        with Repo() as repo:
            match request["do"]:
                case "graph":
                    return graph(repo)
                case "push":
                    return push(repo, request["stage"])
                case _:
                    return repro(repo, request["stage"], request["share"])
    except DvcException as error:
        said = list(_messages(error))
        exits = [int(code) for text in said for code in re.findall(r"exited with (-?\d+)$", text)]
        return {"error": ": ".join(said), "exit": exits[-1] if exits else None}
    except Exception as error:  # of a disk or of a remote's library, as it comes: an answer too, and not the end of this process
        return {"error": f"{type(error).__name__}: {error}", "exit": None}


def _messages(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        if str(error):
            yield str(error)
        error = error.__cause__


def requests() -> Iterator[dict[str, Any]]:
    """Requests as they come; the end of input ends the whole process group, whatever it is doing."""
    waiting: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        for line in sys.stdin:
            waiting.put(line)
        os.killpg(os.getpgid(0), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield json.loads(waiting.get())


def main() -> None:
    """Answer until the input ends. Must be the leader of its own process group."""
    assert os.getpgid(0) == os.getpid(), "start it in a session of its own: the end of input ends the whole process group"
    token = sys.stdin.readline().strip()
    for request in requests():
        reply = json.dumps(answer(request))
        sys.stderr.flush()
        sys.stdout.write(f"\n{token}{reply}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
