"""Binary classification: focal loss of points, weighted cross-entropy of whole samples."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def focal(logits: Tensor, target: Tensor, counted: Tensor, *, gamma: float) -> Tensor:
    """Focal loss (Lin et al., 2017): logits, target (bool), counted (bool), all (B, P) -> mean of (1 - p_t)^gamma XE."""
    truth = target.to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    p = logits.sigmoid()
    missed = p + truth - 2 * p * truth  # 1 - p_t: p where the target is 0, 1 - p where it is 1
    return (missed**gamma * entropy).masked_fill(~counted, 0.0).sum() / counted.sum()


def weighted_cross_entropy(logits: Tensor, target: Tensor, counted: Tensor) -> Tensor:
    """logits, target, counted (bool), all of one shape -> scalar: mean of the binary cross-entropy over the counted."""
    entropy = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
    return entropy.masked_fill(~counted, 0.0).sum() / counted.sum()
