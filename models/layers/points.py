"""Anchor points of a temporal pyramid: where they stand, which ones a window belongs to, what they predict.

Point k of stride s stands at clip k s and predicts the distances to the start and the end of a window, in units of s.
B batch, P points, G windows. Times here are clips, not seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def point_table(sizes: Sequence[int], strides: Sequence[int], device: torch.device) -> Tensor:
    """(P, 4): position, shortest and longest distance it answers for, stride; level by level.

    `sizes` may be shorter than `strides` (levels that a short video does not have); the ranges are those of all strides.
    """
    bounds = [0, *strides[1:], math.inf]
    rows = [
        torch.stack(
            [torch.arange(size, device=device) * float(stride), *(torch.full((size,), value, device=device) for value in ends)], 1
        )
        for size, stride, low, high in zip(sizes, strides, bounds, bounds[1:], strict=False)
        for ends in [(float(low), float(high), float(stride))]
    ]
    return torch.cat(rows)


def assign(points: Tensor, windows: Tensor, windows_mask: Tensor, *, radius: float) -> tuple[Tensor, Tensor]:
    """points (P, 4), windows (B, G, 2) in clips, windows_mask (B, G) -> positive (B, P) bool, distances (B, P, 2) in strides.

    A point is positive for a window if it lies within `radius` strides of its middle, inside it, and its larger distance to the
    two ends is within the range of its level. It learns the shortest of its windows, the first among equals. The distances of
    points that are not positive are 0.
    """
    position, low, high, stride = points.T[:, None, :, None].unbind()  # (1, P, 1) each
    start, end = (windows[..., side][:, None, :] for side in (0, 1))  # (B, 1, G)
    middle, reach = (start + end) / 2, radius * stride
    left, right = position - start, end - position  # (B, P, G)
    near = (position >= torch.maximum(middle - reach, start)) & (position <= torch.minimum(middle + reach, end))
    far = torch.maximum(left, right)
    fits = near & (far >= low) & (far <= high) & windows_mask[:, None, :]
    shortest = (end - start).expand_as(fits).masked_fill(~fits, math.inf).argmin(dim=-1, keepdim=True)  # (B, P, 1)
    positive = fits.any(dim=-1)
    distances = torch.cat((left.gather(-1, shortest), right.gather(-1, shortest)), dim=-1) / stride
    return positive, distances.masked_fill(~positive[..., None], 0.0)
