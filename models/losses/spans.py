"""Distances between spans."""

from __future__ import annotations

from torch import Tensor


def mean_l1(predicted: Tensor, target: Tensor, chosen: Tensor, *, at_least: int) -> Tensor:
    """predicted, target (B, P, 2), chosen (B, P) bool -> scalar: mean absolute difference over both ends of the chosen.

    With fewer than `at_least` chosen the divisor is that of `at_least`: with 1, nothing chosen gives 0 instead of 0/0.
    """
    difference = (predicted - target).abs().sum(dim=-1).masked_fill(~chosen, 0.0)
    return difference.sum() / (2 * chosen.sum().clamp(min=at_least))
