"""What a method offers to the training loop, to evaluation and to prediction; and how it is found.

A method is one module in `models/methods/` with two names:

    Config     frozen dataclass: every number the paper tunes, without defaults; `preset(name)` where a reference deviates
    Model      a `Method`, built by  Model(config, widths={"video": D_v, "query": D_q}, confounders={"video": (K, D), ...})

The folder is the registry: a new file is a new method, nothing else has to be told.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import torch
from torch import Tensor, nn

TASKS = ("moments", "weak_moments", "questions", "grounded_questions", "relations")  # what they are: Method.TASK
REQUIRED = ("draw", "forward", "losses", "decode")  # functions that every Model has of its own


@dataclass(frozen=True, kw_only=True)
class Departures:
    """Where the released code of a method departs from its paper; the method's subclass has one bool field for each."""

    @classmethod
    def all(cls, value: bool) -> Self:
        """Every field set to `value`."""
        return cls(**{field.name: value for field in fields(cls)})

    @classmethod
    def chosen(cls, numerics: str, own: Self | None) -> Self:
        """`own` where given, else the preset: none of them are "corrected" numerics, all of them "released" ones.

        Raises ValueError if numerics is neither.
        """
        if numerics not in ("corrected", "released"):
            raise ValueError(f"numerics: expected corrected or released, got {numerics!r}")
        return cls.all(numerics == "released") if own is None else own


class Method(nn.Module):
    """Base of every `Model`. Batches, draws and outputs are the frozen dataclasses of the method's task."""

    # "moments": the batch is models.batch.Grounding, decode gives models.batch.Moments
    # "weak_moments": the batch is models.batch.Description, decode gives models.batch.Proposals
    # "questions": the batch is models.batch.Questions, decode gives models.batch.Answer; a method that has an attribute `bank`
    #     wants a models.causal.invariant.ClipBank of the training videos there before it draws
    # "grounded_questions": the batch is models.batch.GroundedQuestions, decode gives models.batch.GroundedAnswer
    # "relations": the batch is models.batch.Relations, decode gives models.batch.PairScores
    TASK: str
    apart: tuple[str, ...] = ()  # parameters with an optimiser group of their own, left out of the clipping norm

    def __init__(self, config: Any, *, widths: Mapping[str, int], confounders: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.config = config
        self.widths = dict(widths)
        self.confounder_rows = {stream: rows.shape[0] for stream, rows in confounders.items()}

    def enter(self, epoch: int) -> None:
        """Called by the training loop when an epoch begins or is gone on with; the first is 1."""

    def observe(self, batch: Any) -> None:
        """Called by the training loop before `forward`, in training only: the place of memories that learn without gradient."""

    def remember(self, output: Any, batch: Any) -> None:
        """Called by the training loop after the backward pass: the place of memories that take in what this pass has computed."""

    def settle(self, batches: Iterator[Any]) -> None:
        """Called at an epoch's end, in eval state and without gradient: what is made anew from all training samples, in order."""

    def draw(self, batch: Any, generator: torch.Generator) -> Any:
        """Sample whatever `forward` or `losses` needs at random, apart from dropout. `generator` lives on the CPU."""
        raise NotImplementedError

    def forward(self, batch: Any, draws: Any) -> Any:
        """One pass; does not branch on train or test and never writes into the batch. `draws` None: only what decode needs."""
        raise NotImplementedError

    def losses(self, output: Any, batch: Any) -> dict[str, Tensor]:
        """Every loss term by name, unweighted, each a scalar, and the weighted sum as "total"."""
        raise NotImplementedError

    def decode(self, output: Any, batch: Any) -> list[Any]:
        """One result per row of the batch, on the CPU."""
        raise NotImplementedError


def method_names() -> list[str]:
    """The methods there are, by file name."""
    return sorted(path.stem for path in (Path(__file__).parent / "methods").glob("[a-z]*.py"))


def load_method(name: str) -> ModuleType:
    """Import models/methods/<name>.py.

    Raises LookupError with the known names if there is no such file, and with what it lacks if it is not a whole method.
    """
    if name not in method_names():
        near = difflib.get_close_matches(name, method_names(), n=1)
        known = f"; did you mean {near[0]!r}?" if near else f": models/methods/ has {', '.join(method_names())}"
        raise LookupError(f"no method {name!r}{known}")
    module = importlib.import_module(f"models.methods.{name}")
    if lacking := incomplete(module):
        raise LookupError(f"models/methods/{name}.py: {lacking}; models/method.py says what a method offers")
    return module


def incomplete(module: ModuleType) -> str:
    """What a module lacks of a method, empty if it is a whole one."""
    if absent := [name for name in ("Config", "Model") if not isinstance(getattr(module, name, None), type)]:
        return f"there is no class {' and no class '.join(absent)}"
    if not issubclass(module.Model, Method):
        return "Model is no subclass of models.method.Method"
    if absent := [name for name in REQUIRED if getattr(module.Model, name) is getattr(Method, name)]:
        return f"Model lacks the function{'s' if len(absent) > 1 else ''} {', '.join(absent)}"
    if (task := getattr(module.Model, "TASK", None)) not in TASKS:
        return f"Model.TASK is {task!r}, must be one of {', '.join(TASKS)}"
    return ""
