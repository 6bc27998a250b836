"""Watching a training: loss terms read rarely, the first non-finite number found exactly.

Terms stay on the device between two looks, so a step never waits for it. A look still names the very step in which a number went
wrong, because the terms of every step since the last look are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stages.training.processes import Processes


class NonFiniteError(ArithmeticError):
    """A loss term or the norm of the gradients became NaN or infinite."""

    def __init__(self, step: int, term: str, value: float) -> None:
        super().__init__(f"{term} is {value} in step {step}")
        self.step, self.term, self.value = step, term, value


class Meter:
    """The terms of the steps since the last look, on the device; their sums over the epoch, on the host."""

    def __init__(self, processes: Processes, sums: dict[str, list[float]], *, tolerated: Iterable[str] = ()) -> None:
        self._processes, self.sums, self._tolerated = processes, sums, frozenset(tolerated)
        self._names: list[str] = []
        self._unread: list[tuple[int, Tensor]] = []

    def add(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Remember the scalar terms of a step, without waiting for them."""
        self._names = list(terms)
        self._unread.append((step, torch.stack([term.detach().float() for term in terms.values()])))

    def look(self) -> dict[str, float]:
        """Read everything since the last look; returns the terms of the newest step.

        Raises NonFiniteError for the first step with a term that is not finite; terms named in `tolerated` may be infinite or NaN
        (a loss scaler skips such steps) and are left out of the sums then.
        """
        if not self._unread:
            return {}
        table = self._processes.mean(torch.stack([row for _, row in self._unread])).tolist()
        steps = [step for step, _ in self._unread]
        self._unread.clear()
        for step, row in zip(steps, table, strict=True):
            for name, value in zip(self._names, row, strict=True):
                if math.isfinite(value):
                    total, count = self.sums.get(name, (0.0, 0))
                    self.sums[name] = [total + value, count + 1]
                elif name not in self._tolerated:
                    raise NonFiniteError(step, name, value)
        return dict(zip(self._names, table[-1], strict=True))

    def close(self) -> dict[str, float]:
        """The means over the epoch, and a new epoch begins."""
        self.look()
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.sums.clear()
        return means


@contextmanager
def tracing(model: nn.Module, found: list[str]) -> Iterator[None]:
    """Within it, the first part of the model whose output is not finite is put into `found`.

    For debugging only: one wait per part. The whole model's output is not looked at, infinities may be part of it.
    """

    def hook_for(name: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            if not found and not all(bool(torch.isfinite(tensor).all()) for tensor in _float_tensors(output)):
                found.append(f"output of {name} ({type(module).__name__})")

        return hook

    handles = [module.register_forward_hook(hook_for(name)) for name, module in model.named_modules() if name]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def first_non_finite(model: nn.Module) -> str | None:
    """The first parameter that is not finite, else the first whose gradient is not; None if all are."""
    named = list(model.named_parameters())
    for kind, tensors in (
        ("parameter", named),
        ("gradient of", [(name, parameter.grad) for name, parameter in named if parameter.grad is not None]),
    ):
        for name, tensor in tensors:
            if not bool(torch.isfinite(tensor).all()):
                return f"{kind} {name}"
    return None


def _float_tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        yield from (tensor for item in value.values() for tensor in _float_tensors(item))
    elif isinstance(value, (list, tuple)):
        yield from (tensor for item in value for tensor in _float_tensors(item))
    elif is_dataclass(value):
        yield from _float_tensors(vars(value))
