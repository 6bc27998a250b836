"""Lengths and masks. True = real element, False = padding, everywhere.

B batch, T clips or tokens, D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor


def lengths(mask: Tensor) -> Tensor:
    """mask (B, T) bool -> number of real elements (B,) int64."""
    return mask.sum(dim=1)


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """x (B, T, D) with the rows where mask (B, T) is False set to 0, whatever they held; no gradient flows into them."""
    return x.masked_fill(~mask[..., None], 0.0)


def masked_mean(x: Tensor, mask: Tensor | None) -> Tensor:
    """x (B, T, D) -> mean over the real rows (B, D); mask (B, T) None: over all rows."""
    if mask is None:
        return x.mean(dim=1)
    return zero_padding(x, mask).sum(dim=1) / lengths(mask)[:, None]


def prefix_mask(count: Tensor, length: int) -> Tensor:
    """count (B,) -> (B, length) bool, row b True on its first count[b] places."""
    return torch.arange(length, device=count.device) < count[:, None]
