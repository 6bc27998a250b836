"""Scores of a temporal pyramid's points, read back at every clip: the best level counts.

B batch, T clips, P points of all levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def spread(scores: Tensor, sizes: Sequence[int], strides: Sequence[int], n: Tensor, length: int) -> Tensor:
    """scores (B, P) >= 0, n (B,) clips per video -> (B, length): clip j of level s reads point floor(j / s) of its own video.

    A last clip that no point of a level stands for reads the last one; a level longer than the video is not asked.
    """
    clips = torch.arange(length, device=scores.device)
    best = scores.new_zeros(scores.shape[0], length)
    for part, stride in zip(scores.split(list(sizes), dim=1), strides, strict=False):
        own = (n // stride)[:, None]  # (B, 1) points of the video itself
        at = (clips // stride).expand_as(best).clamp(max=(own - 1).clamp(min=0))
        best = torch.maximum(best, part.gather(1, at) * (own > 0))
    return best


def stretch(scores: Tensor, sizes: Sequence[int], length: int) -> Tensor:
    """scores (P,) of one sample -> (length,), each level stretched or shrunk to `length` by whole steps (reference behaviour).

    The steps follow from the number of points, padding included, so a level may be read at the wrong clips or not to its end.
    """
    clips = torch.arange(length)
    levels = []
    for part, size in zip(scores.split(list(sizes)), sizes, strict=True):
        if size > length:
            step = size // length
            levels.append(part[: step * length].unflatten(0, (length, step)).amax(dim=1))
        else:
            levels.append(part[(clips // (length // size)).clamp(max=size - 1)])
    return torch.stack(levels).amax(dim=0)
