"""What a language-video network says about questions with several candidates each."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class AnswerPass:
    """One reading of B questions with M candidates each. A second axis of 1 instead of M: the same for all candidates.

    scores (B, M)             the larger, the likelier the candidate
    weights (B, M or 1, T)    of the frames: not negative
    span (B, M or 1, 2)       start and end as fractions of the video; None for a network that has no such opinion
    text (B, M, D), video (B, M or 1, D)    what was read and what was seen, in one space
    """

    scores: Tensor
    weights: Tensor
    span: Tensor | None
    text: Tensor
    video: Tensor
