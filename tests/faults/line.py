"""A small line of stages, built once without disturbance: the commands of its stages, and the bytes that they have to give."""

from __future__ import annotations

import copy
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import yaml

from tests import workspace


def params() -> dict[str, Any]:
    """One run on a few dozen videos of a planted world, and the words of a second one: every stage that needs no other file."""
    whole = yaml.safe_load((workspace.ROOT / "params.yaml").read_text())
    small: dict[str, Any] = {section: {} for section in whole}
    for world, dataset in (("demo", "planted"), ("weak", "planted_weak")):
        small["worlds"][world] = copy.deepcopy(whole["worlds"][world])
        for split in small["worlds"][world]["planted"]["splits"].values():
            split["videos"] = 40 if split is small["worlds"][world]["planted"]["splits"]["train"] else 8
        small["datasets"][dataset] = whole["datasets"][dataset]
        small["features"][dataset] = whole["features"][dataset]
    for name in ("planted-video", "planted-query"):
        small["dictionaries"][name] = {**whole["dictionaries"][name], "k": 8}
    small["vocabularies"]["planted_weak"] = whole["vocabularies"]["planted_weak"]
    run = copy.deepcopy(whole["runs"]["causalvtg-planted"])
    run["train"]["epochs"] = 2
    small["runs"]["one"] = run
    small["reports"]["demo"] = whole["reports"]["demo"]
    return small


def every_stage() -> dict[str, Any]:
    """The same with what only some data sets and runs have: graphs of questions, and an audit of two variants of an epoch."""
    whole = yaml.safe_load((workspace.ROOT / "params.yaml").read_text())
    small = params()
    small["runs"]["one"]["train"]["epochs"] = 1
    small["worlds"]["questions"] = whole["worlds"]["questions"]
    for split in small["worlds"]["questions"]["planted"]["splits"].values():
        split["videos"] = 8
    small["datasets"]["planted_grounded"] = whole["datasets"]["planted_grounded"]
    small["features"]["planted_grounded"] = whole["features"]["planted_grounded"]
    small["graphs"]["planted_grounded"] = {**whole["graphs"]["planted_grounded"], "clusters": 4}
    names = {"video": "data/dictionaries/planted-video.npz", "query": "data/dictionaries/planted-query.npz"}
    data = {"dataset": "planted", "confounders": names}
    variants = {"base": {"optim.lr": 1.0e-3}, "full": {}}
    small["audits"]["rates"] = {"run": "one", "report": "demo", "data": data, "unbiased": data, "variants": variants}
    small["audits"]["rates"] |= {"seeds": [0], "measures": ["IoU"], "resamples": 100}
    return small


@dataclass(frozen=True)
class Step:
    """One stage: its command and its outputs, relative to the workspace."""

    name: str
    command: list[str]
    outputs: tuple[str, ...]

    def remove(self, work: Path) -> None:
        """Forget its outputs."""
        for output in self.outputs:
            path = work / output
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def start(self, work: Path) -> subprocess.Popen[bytes]:
        """Run it, in a process group of its own."""
        with (work / "stage.log").open("wb") as log:
            return subprocess.Popen(
                self.command, cwd=work, env=workspace.environment(), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def finish(self, work: Path) -> float:
        """Run it to its end; seconds."""
        begin = time.monotonic()
        code = self.start(work).wait()
        assert code == 0, f"{self.name}: exit {code}\n{(work / 'stage.log').read_text()[-3000:]}"
        return time.monotonic() - begin

    def digest(self, work: Path) -> str:
        """Of names and bytes of all outputs."""
        seen = hashlib.sha256()
        for output in self.outputs:
            path = work / output
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    seen.update(f"{file.relative_to(work)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
        return seen.hexdigest()


def steps(work: Path) -> list[Step]:
    """The stages of a workspace in which everything has been built, in an order in which they can run."""
    lock = yaml.safe_load((work / "dvc.lock").read_text())["stages"]
    found = [Step(name, shlex.split(one["cmd"]), tuple(out["path"] for out in one["outs"])) for name, one in lock.items()]
    made = {output: step.name for step in found for output in step.outputs}
    needs = {name: {made[dep["path"]] for dep in one.get("deps", ()) if dep["path"] in made} for name, one in lock.items()}
    ordered: list[Step] = []
    while len(ordered) < len(found):
        done = {step.name for step in ordered}
        ordered += [step for step in found if step.name not in done and needs[step.name] <= done]
    return ordered


def killed(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """SIGKILL to the whole group after so many seconds; False if it had ended by itself."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def moment(rng: Random, seconds: float) -> float:
    """When to kill what lasts so many seconds: anywhere, the second half (where files are written) twice as often."""
    return rng.uniform(0.05, 1.0) * seconds if rng.random() < 1 / 3 else rng.uniform(0.5, 1.05) * seconds


def forget_locks(work: Path) -> None:
    """What a killed dvc leaves; its user deletes it as dvc advises."""
    for lock in (work / ".dvc" / "tmp").glob("*lock*"):
        if lock.is_file():
            lock.unlink()
