"""The smallest method and feed that the training loop can be shown: a line through points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from models.method import Method
from stages.training.checkpoints import Identity
from stages.training.loop import Training
from stages.training.processes import Processes
from stages.training.settings import Recipe

IDENTITY = Identity(recipe={"run": "toy"}, code={"toy": "1"})


@dataclass(frozen=True)
class Points:
    x: Tensor  # (B, 3)
    y: Tensor  # (B, 1)

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: Any) -> Self:
        return type(self)(self.x.to(device), self.y.to(device))


class PointFeed:
    """40 points of a plane, with a little noise; point i is called p<i>."""

    def __init__(self, count: int = 40) -> None:
        random = torch.Generator().manual_seed(0)
        self.x = torch.randn(count, 3, generator=random)
        self.y = self.x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.1 * torch.randn(count, 1, generator=random)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, indices: Any, *, targets: bool = True) -> Points:
        chosen = torch.from_numpy(np.asarray(indices))
        return Points(self.x[chosen], self.y[chosen])

    def names(self, indices: Any) -> list[str]:
        return [f"p{index}" for index in indices]


class Line(Method):
    """Two linear layers with dropout; `observe` counts points; `draw` gives noise that is added to the input."""

    TASK = "points"
    seen: Tensor

    def __init__(self, *, dropout: float = 0.0, noise: float = 0.0) -> None:
        super().__init__(None, widths={}, confounders={})
        torch.manual_seed(1)
        self.hidden, self.out = nn.Linear(3, 8), nn.Linear(8, 1)
        self.dead = nn.Parameter(torch.ones(2))  # no pass reaches it
        self.dropout, self.noise = nn.Dropout(dropout), noise
        self.register_buffer("seen", torch.zeros(()))

    def observe(self, batch: Points) -> None:
        self.seen += len(batch)

    def draw(self, batch: Points, generator: torch.Generator) -> Tensor:
        return self.noise * torch.randn(batch.x.shape, generator=generator)

    def forward(self, batch: Points, draws: Tensor) -> Tensor:
        result: Tensor = self.out(self.dropout(self.hidden(batch.x + draws).tanh()))
        return result

    def losses(self, output: Tensor, batch: Points) -> dict[str, Tensor]:
        fit = ((output.float() - batch.y) ** 2).mean()
        size = output.float().abs().mean()
        return {"fit": fit, "size": size, "total": fit + 0.01 * size}


def settings(**changes: Any) -> Recipe:
    """Three epochs of five batches."""
    form: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 8,
        "lr": 0.05,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "warmup_steps": 2,
        "clip_norm": 5.0,
    }
    return Recipe(**(form | changes))


def training(
    folder: Path,
    train: Recipe | None = None,
    *,
    model: Method | None = None,
    feed: Any = None,
    kind: Callable[..., Training] = Training,
    **more: Any,
) -> Training:
    """A training of a line, below `folder`."""
    given = {"seed": 3, "identity": IDENTITY, "processes": Processes(device=torch.device("cpu"))} | more
    return kind(model or Line(), feed or PointFeed(), train or settings(), folder=folder, **given)
