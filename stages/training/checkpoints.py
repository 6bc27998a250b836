"""States from which an interrupted training goes on, in <run>.resume/ beside the run's folder; <run>/resume is a link to it.

DVC removes a stage's outputs before it runs the stage again, so what an interrupted training left must lie beside them.

    state.pt                  tensors and numbers only, read with weights_only: model, optimiser, loss scaler, progress, identity
    best-<epoch>.safetensors  the weights of the best epoch so far that state.pt names

state.pt is replaced in one step, after everything it names is on the disk. So a process killed at any moment leaves a state that
is whole, and repeating from it does what the killed process would have done (seeding.py: there is no generator state).
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor

from stages.training.runs import settle, write_weights

Policy = Literal["auto", "insist", "restart"]
LINK = "resume"  # in the run's folder while it trains

log = logging.getLogger(__name__)


class ResumeError(ValueError):
    """The user asked to go on with a training, and there is nothing that fits."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a training is: the same recipe gives the same result, the same code and versions give the same bytes.

    recipe    settings, seed, digests of the inputs: plain values
    code      digests of source files, versions of libraries
    """

    recipe: Mapping[str, Any]
    code: Mapping[str, str]


@dataclass(kw_only=True)
class Progress:
    """How far a training has come, apart from the tensors.

    step           optimiser steps done
    rows           history of the finished epochs
    sums           term -> [sum, number of steps] of the unfinished epoch
    validations    value of the selection metric at each validation
    best           {"epoch", "value", "file"} of the best epoch so far
    """

    step: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    sums: dict[str, list[float]] = field(default_factory=dict)
    validations: list[float] = field(default_factory=list)
    best: dict[str, Any] | None = None


class ResumeFolder:
    """The states of the training whose results will be in the folder `run`."""

    def __init__(self, run: Path, identity: Identity) -> None:
        run = run.absolute()
        self.folder, self._link = run.with_name(f"{run.name}.resume"), run / LINK
        self._state = self.folder / "state.pt"
        self._identity = json.loads(json.dumps(asdict(identity)))

    def save(self, tensors: Mapping[str, Any], progress: Progress) -> None:
        """Replace the state; afterwards forget best weights that it no longer names."""
        self._make()
        partial = self._state.with_name("state.pt.partial")
        torch.save({**tensors, "progress": asdict(progress), "identity": json.dumps(self._identity)}, partial)
        settle(partial, self._state)
        kept = progress.best["file"] if progress.best else None
        for path in self.folder.glob("best-*"):
            if path.name != kept:
                path.unlink()

    def load(self, policy: Policy) -> tuple[dict[str, Any], Progress] | None:
        """The state to go on from, on the CPU, or None to start anew; says why where a state is there and not used.

        auto      a state of the same recipe, code and versions
        insist    a state of the same recipe; raises ResumeError if there is none
        restart   none
        """
        state, reason = (None, "asked to start anew") if policy == "restart" else self._read(policy)
        if state is not None:
            return state, Progress(**state.pop("progress"))
        if policy == "insist":
            raise ResumeError(f"{self.folder}: cannot resume: {reason}; leave --resume out to start anew")
        if self.folder.exists():
            log.warning("%s: state not used, training starts anew: %s", self.folder, reason)
            self.clear()
        return None

    def _read(self, policy: Policy) -> tuple[dict[str, Any] | None, str]:
        if not self._state.is_file():
            return None, "no state.pt"
        try:
            state = torch.load(self._state, map_location="cpu", weights_only=True)
            identity = json.loads(state.pop("identity"))
        except Exception as error:  # whatever a damaged file makes torch.load raise, the way out is the same
            return None, f"state.pt cannot be read ({type(error).__name__}: {error})"
        if different := _differences(identity["recipe"], self._identity["recipe"]):
            return None, "it belongs to another training: " + "; ".join(different)
        if different := _differences(identity["code"], self._identity["code"]):
            if policy == "auto":
                return None, "code or versions have changed since (--resume goes on all the same): " + "; ".join(different)
            log.warning("%s: going on although code or versions have changed: %s", self.folder, "; ".join(different))
        return state, ""

    def keep_best(self, epoch: int, weights: Mapping[str, Tensor]) -> str:
        """Write the weights of an epoch; the file's name, for Progress.best."""
        self._make()
        name = f"best-{epoch}.safetensors"
        write_weights(self.folder / name, weights)
        return name

    def best_weights(self, progress: Progress) -> dict[str, Tensor]:
        """The weights that `progress.best` names."""
        assert progress.best is not None
        return dict(load_file(self.folder / progress.best["file"]))

    def _make(self) -> None:
        """The folder, and the link to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._link.parent.mkdir(parents=True, exist_ok=True)
        if not self._link.is_symlink():
            self._link.symlink_to(Path("..") / self.folder.name, target_is_directory=True)

    def clear(self) -> None:
        """Remove link and folder, the state first: what is left of an interrupted removal is no state."""
        self._link.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def _differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Where two trees of plain values differ, the first few."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            found += _differences(old.get(key), new.get(key), f"{place}.{key}" if place else key)
        return found[:5]
    return [] if old == new else [f"{place} was {_short(old)}, is {_short(new)}"]


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."
