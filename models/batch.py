"""Frozen batches and results, one pair per task. Tensors only: no ids, no paths, no device choice.

B batch, T clips, L query tokens, G ground-truth spans, P predicted windows, D channels.  Masks: True = real, False = padding.
Times are seconds; `fps` is clips per second.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """Moment retrieval, highlight detection and answerability: one query per row.

    video (B, T, D_v), video_mask (B, T) bool      clip features as the method is fed them, zero on padding
    query (B, L, D_q), query_mask (B, L) bool      token features, zero on padding
    fps (B,), duration (B,)                        clips per second, seconds
    video_group (B,) int64                         equal numbers = the same video (for negatives from other videos)
    spans (B, G, 2), spans_mask (B, G) bool        ground truth in seconds, already adjusted to the clip grid; None at inference
    saliency (B, T)                                target in 0..1 per clip, zero on padding; None at inference
    """

    video: Tensor
    video_mask: Tensor
    query: Tensor
    query_mask: Tensor
    fps: Tensor
    duration: Tensor
    video_group: Tensor
    spans: Tensor | None = None
    spans_mask: Tensor | None = None
    saliency: Tensor | None = None

    def __len__(self) -> int:
        return self.video.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Self:
        """The same batch on another device."""
        moved = {
            field.name: value.to(device, non_blocking=non_blocking)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What a grounding method says about one query.

    windows (P, 3)      start s, end s, score, by descending score, neither clamped nor suppressed
    saliency (T_i,)     one score per real clip of the video
    answerable          probability in 0..1 that the query can be answered in this video; None if the method has no opinion
    """

    windows: Tensor
    saliency: Tensor
    answerable: float | None
