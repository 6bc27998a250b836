"""Contrast of clips with queries, along the video and across the batch.

    row = mean_b -log softmax_t(s[b, :])[t_b],    col = mean_b -log softmax_b'(s[:, t_b])[b]

s similarity of clip t of video b with query b, t_b a clip that answers query b. Clips that answer better than t_b are left out.
B batch, T clips.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def clip_contrast(similarity: Tensor, relevance: Tensor, clip_mask: Tensor, positive: Tensor, counted: Tensor | None) -> Tensor:
    """similarity, relevance (B, T), clip_mask (B, T), positive (B,) int64, counted (B,) bool or None -> scalar row + col.

    `counted` leaves samples out of both means and out of the softmax across the batch; None counts all. Nothing counted gives 0.
    """
    at = positive[:, None]
    better = relevance > relevance.gather(1, at)
    score = similarity.masked_fill(better | ~clip_mask, -math.inf)  # (B, T)
    across = score[:, positive]  # (B', B): every video at the clip that answers query b
    if counted is None:
        return -(score.log_softmax(dim=1).gather(1, at).mean() + across.log_softmax(dim=0).diagonal().mean())
    score = score.masked_fill(~counted[:, None], 0.0)
    across = across.masked_fill(~counted[:, None], -math.inf).masked_fill(~counted[None, :], 0.0)
    each = score.log_softmax(dim=1).gather(1, at)[:, 0] + across.log_softmax(dim=0).diagonal()
    return -torch.where(counted, each, 0.0).sum() / counted.sum().clamp(min=1)
