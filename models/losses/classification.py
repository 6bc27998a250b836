"""Classification: focal loss of points, weighted cross-entropy of whole samples, the right one of several candidates."""

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


def one_of_many(scores: Tensor, label: Tensor, counted: Tensor) -> Tensor:
    """scores (B, M), label (B,) int64, counted (B,) bool -> scalar: mean cross-entropy of the counted samples, 0 without any."""
    entropy = F.cross_entropy(scores, label.clamp(min=0), reduction="none")
    return entropy.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def yes_or_no(scores: Tensor, label: Tensor, counted: Tensor) -> Tensor:
    """The same for log-odds (B, M), each candidate on its own: mean of the right ones against yes, of the others against no."""
    right = F.one_hot(label.clamp(min=0), scores.shape[1]).bool()

    def mean(entropy: Tensor, chosen: Tensor) -> Tensor:
        return entropy.masked_fill(~chosen, 0.0).sum() / chosen.sum().clamp(min=1)

    return (mean(F.softplus(-scores), right & counted[:, None]) + mean(F.softplus(scores), ~right & counted[:, None])) / 2
