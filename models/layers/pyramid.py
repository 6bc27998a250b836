"""Temporal pyramid: the same sequence at several strides, and a prediction head shared by its levels.

    level of stride 2^n:  n blocks  relu(norm(W [x_2k, x_2k+1]))  on the sequence itself; no weights in common between levels

B batch, T clips, C channels, P places of all levels together.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def level_sizes(length: int, strides: Sequence[int]) -> tuple[int, ...]:
    """Number of places per level; levels whose stride exceeds the length do not exist."""
    return tuple(length // stride for stride in strides if stride <= length)


class Halving(nn.Module):
    """Half as many places: relu(norm(W [x_2k, x_2k+1] + b)). A last odd place is dropped."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.join = nn.Linear(2 * d_model, d_model)  # a convolution of kernel 2 and stride 2, written as the product it is
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T // 2, C)."""
        half = x.shape[1] // 2
        pairs = x[:, : 2 * half].unflatten(1, (half, 2)).flatten(start_dim=2)  # (B, T // 2, 2 C)
        return F.relu(self.norm(self.join(pairs)))


class Pyramid(nn.Module):
    """Levels of the given strides (increasing powers of two from 1 on)."""

    def __init__(self, *, d_model: int, strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.levels = nn.ModuleList(
            nn.Sequential(*(Halving(d_model) for _ in range(stride.bit_length() - 1))) for stride in strides
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """x (B, T, C) -> one (B, T // stride, C) per existing level."""
        return [level(x) for level, stride in zip(self.levels, self.strides, strict=True) if stride <= x.shape[1]]


class LevelHead(nn.Module):
    """Two convolutions of kernel 3 over each level, zero padded: conv(relu(conv(x))).

    The levels lie behind each other with one zero between them, so that one product serves all of them.
    """

    def __init__(self, *, d_model: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Conv1d(d_model, d_model, 3, padding=1)
        self.outer = nn.Conv1d(d_model, outputs, 3, padding=1)

    def forward(self, packed: Tensor, real: Tensor) -> Tensor:
        """packed (B, C, P'), real (B or 1, P') -> (B, outputs, P'). Places that are not real are zero padding to both steps."""
        packed = packed * real[:, None]
        return self.outer(F.relu(self.inner(packed)) * real[:, None])


def pack(levels: Sequence[Tensor]) -> Tensor:
    """Levels (B, T_l, C) behind each other, one zero after each: (B, C, P + number of levels)."""
    return torch.cat([F.pad(level, (0, 0, 0, 1)) for level in levels], dim=1).mT


def unpack(packed: Tensor, sizes: Sequence[int]) -> Tensor:
    """The inverse without the zeros: (..., P + number of levels) -> (..., P)."""
    return torch.cat(
        [part[..., :size] for part, size in zip(packed.split([n + 1 for n in sizes], dim=-1), sizes, strict=True)], -1
    )
