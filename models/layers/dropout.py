"""Dropout whose masks cost little to draw and to keep on a CPU; on other devices PyTorch's own.

    y = x * keep / P(keep),   keep ~ Bernoulli(1 - p), one per element

Drawing one random number per element is a fifth of a CausalVTG step on a CPU. Here 64 random bits serve four elements (eight
where p is a multiple of 1/256), and the mask is kept as bytes, not as floats. p is rounded to a multiple of 2^-16, by less than
8e-6; the scale is that of the rounded p, so the expectation stays x. Random bits come from PyTorch's global generator.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """x of any shape -> the same shape; the identity unless `training`."""
    if not training or p == 0.0:
        return x
    if not x.is_cpu or torch.compiler.is_compiling():
        return F.dropout(x, p, True)
    dropped, share = _draw(x.shape, p)
    masked: Tensor = _Masked.apply(x, dropped, 1.0 / (1.0 - share))  # type: ignore[no-untyped-call]
    return masked


class Dropout(nn.Module):
    """`dropout` as a module."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape, to the same shape."""
        return dropout(x, self.p, self.training)


def _draw(shape: torch.Size, p: float) -> tuple[Tensor, float]:
    """Which elements to drop (bool, of `shape`), and the share of them in expectation."""
    bits = 8 if (p * 2**8).is_integer() else 16
    count, each = shape.numel(), 64 // bits
    random = torch.empty(-(-count // each), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
    level = round(p * 2**bits)
    values = random.view(torch.int8 if bits == 8 else torch.int16)[:count].view(shape)
    return values < level - 2 ** (bits - 1), level / 2**bits


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dropped: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(dropped)
        ctx.scale = scale
        return (x * scale).masked_fill_(dropped, 0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (dropped,) = ctx.saved_tensors
        return (gradients[0] * ctx.scale).masked_fill_(dropped, 0.0), None, None
