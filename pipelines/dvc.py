"""The one task that calls DVC. DVC alone decides what is out of date; Prefect orders, retries, limits and reports.

    with Workspace.open() as workspace:
        for stage in workspace.graph.upstream(["evaluate@cra-nextgqa"]):
            repro(stage, workspace)            # one task run per DVC stage: Ran, Cached or Failed, with the stage's own log

One DVC writer per workspace: stages run one at a time.
"""

from __future__ import annotations

import difflib
import json
import logging
import os
import re
import secrets
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed

from pipelines.output import lines

TRY_AGAIN = 75  # exit code of a stage's command that says: not now, but later (EX_TEMPFAIL)
RETRY_SECONDS = (10, 60, 300)
TAIL = 12  # lines of log that a failure quotes


class StageFailedError(RuntimeError):
    """A stage did not become up to date. `exit_code` is that of its command, None where DVC itself refused."""

    def __init__(self, message: str, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stage of dvc.yaml with what it reads and writes; `upstream` are the stages it directly depends on."""

    name: str
    upstream: tuple[str, ...]
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """The stages of a workspace, each after those that it depends on."""

    stages: tuple[Stage, ...]

    def __getitem__(self, name: str) -> Stage:
        """The stage of that name. Raises LookupError with the nearest names."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = [stage.name for stage in self.stages]
        near = difflib.get_close_matches(name, known, n=3) or known[:8]
        raise LookupError(f"dvc.yaml has no stage {name!r}; nearest: {', '.join(near)}")

    def upstream(self, names: Iterable[str]) -> list[str]:
        """These stages and all that they depend on, in the order in which they can run."""
        wanted = {self[name].name for name in names}
        for stage in reversed(self.stages):
            if stage.name in wanted:
                wanted.update(stage.upstream)
        return [stage.name for stage in self.stages if stage.name in wanted]

    def downstream(self, names: Iterable[str], *, kind: str) -> list[str]:
        """All stages `kind@...` that depend on any of these."""
        reached = {self[name].name for name in names}
        for stage in self.stages:
            if reached.intersection(stage.upstream):
                reached.add(stage.name)
        return [stage.name for stage in self.stages if stage.name in reached and kind_of(stage.name) == kind]

    def reading(self, path: str, *, kind: str) -> list[str]:
        """All stages `kind@...` that have the path among their dependencies."""
        return [stage.name for stage in self.stages if kind_of(stage.name) == kind and path in stage.deps]


def kind_of(stage: str) -> str:
    """The part of a stage's name before the @: train@cra-nextgqa is a `train`."""
    return stage.partition("@")[0]


class Workspace:
    """The DVC workspace of the current folder, through a process that stays open (pipelines/reproducer.py)."""

    def __init__(self, process: subprocess.Popen[bytes], token: str, share: bool) -> None:
        self._process, self._share = process, share
        self._token = token
        assert process.stdout is not None
        self._lines = lines(process.stdout)
        self.graph = self.read_graph()

    @classmethod
    def open(cls, *, share: bool = False) -> Self:
        """Start the process. `share`: take from and give to the default DVC remote, stage by stage.

        Raises StageFailedError if the folder is no DVC workspace.
        """
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DVC_NO_ANALYTICS": "1"}
        # Prefect puts the folder of a flow on the path, and there `dvc` is the file that you are reading
        paths = environment.pop("PYTHONPATH", "").split(os.pathsep)
        if kept := [path for path in paths if path and not Path(path, "reproducer.py").exists()]:
            environment["PYTHONPATH"] = os.pathsep.join(kept)
        process = subprocess.Popen(
            [sys.executable, "-m", "pipelines.reproducer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        token = secrets.token_hex(16)
        _write(process, token)
        return cls(process, token, share)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and whatever command it runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def read_graph(self) -> Graph:
        """The stages of dvc.yaml as they are now."""
        said: list[str] = []
        reply = self._ask({"do": "graph"}, said.append)
        if "error" in reply:
            raise StageFailedError(f"DVC: {reply['error']}")
        return Graph(
            tuple(
                Stage(name=stage["name"], **{key: tuple(stage[key]) for key in ("upstream", "deps", "outs", "metrics")})
                for stage in reply["stages"]
            )
        )

    def repro(self, stage: str, log: Callable[[str], None]) -> str:
        """Bring one stage up to date whose dependencies are; returns "ran", "restored" (from the run cache) or "unchanged".

        `log` gets every line that the stage prints, while it prints. Raises StageFailedError.
        """
        tail: deque[str] = deque(maxlen=TAIL)
        ran = False

        def hear(line: str) -> None:
            nonlocal ran
            # DVC says this just before it starts the command, so a command that prints it runs already
            ran = ran or line == f"Running stage '{stage}':"
            tail.append(line)
            log(line)

        reply = self._ask({"do": "repro", "stage": stage, "share": self._share}, hear)
        if "error" in reply:
            quoted = "\n".join(f"    {line}" for line in tail)
            raise StageFailedError(f"{stage}: {reply['error']}\n{quoted}\nAlone: dvc repro {stage}", reply["exit"])
        unshared = _mark(stage)
        if ran:
            unshared.touch()
        if self._share and unshared.exists():
            pushed = self._ask({"do": "push", "stage": stage}, log)
            if "error" in pushed:
                raise StageFailedError(f"{stage}: it ran, but the DVC remote did not take it: {pushed['error']}", TRY_AGAIN)
            unshared.unlink()
        if ran:
            return "ran"
        return "restored" if reply["changed"] else "unchanged"

    def _ask(self, request: dict[str, Any], hear: Callable[[str], None]) -> dict[str, Any]:
        _write(self._process, json.dumps(request))
        tail: deque[str] = deque(maxlen=TAIL)
        for line in self._lines:
            if line.startswith(self._token):
                reply: dict[str, Any] = json.loads(line.removeprefix(self._token))
                return reply
            tail.append(line)
            hear(line)
        raise StageFailedError("the DVC process ended before it answered:\n" + "\n".join(tail))


def _mark(stage: str) -> Path:
    """A file that is there as long as no remote has what this workspace ran of the stage."""
    folder = Path(".dvc/tmp/unshared")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / stage


def _write(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(f"{line}\n".encode())
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it has ended: what it said last is still to be read


def network_trouble(_task: object, _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed stage said that another try may help: a download, or the remote. Bad data stay bad."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, StageFailedError) and error.exit_code == TRY_AGAIN


@task(name="dvc stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def repro(stage: str, workspace: Workspace) -> State[str]:
    """Bring one DVC stage up to date. Ends as Ran, Cached or Failed."""
    logger = get_run_logger()
    outcome = workspace.repro(stage, lambda line: logger.log(_level(line), "%s", line))
    said = {"ran": f"{stage} ran", "restored": f"{stage} restored from the run cache", "unchanged": f"{stage} is up to date"}
    return Completed(name="Ran" if outcome == "ran" else "Cached", message=said[outcome], data=outcome)


def _level(line: str) -> int:
    if line.startswith(("ERROR", "Traceback")) or re.match(r"\w*Error: ", line):
        return logging.ERROR
    return logging.WARNING if line.startswith("WARNING") else logging.INFO


def bring_up_to_date(targets: Sequence[str], workspace: Workspace) -> None:
    """Every stage that the targets need, one task run each, one at a time: they share the workspace and the accelerator.

    A stage is tried again if it was the network that failed it. The first other failure ends the flow.
    """
    delays: list[float] = list(RETRY_SECONDS)
    patient = repro.with_options(retries=len(delays), retry_delay_seconds=delays, retry_condition_fn=network_trouble)
    for stage in workspace.graph.upstream(targets):
        patient(stage, workspace)
