"""What a backbone for questions on videos offers, so that a method can be put around any of them.

    q = read(words),   v = watch(clips),   f = join(q, v)

B batch, T rows (clips or words), D channels of everything that comes out.  Masks: True = real.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A sequence in terms of the backbone.

    rows (B, T, D), mask (B, T) bool     one vector per element, zero on padding
    summary (B, D)                       the whole sequence
    counted (B, T) bool                  those that share in a pooling softmax: as in `mask`, unless a reference pools padding
    """

    rows: Tensor
    mask: Tensor
    summary: Tensor
    counted: Tensor

    def __getitem__(self, index: Tensor) -> Encoded:
        """Other samples in other order, (N,) int64."""
        return Encoded(rows=self.rows[index], mask=self.mask[index], summary=self.summary[index], counted=self.counted[index])


class QuestionVideo(nn.Module):
    """Base of the backbones."""

    width: int  # D

    def read(self, words: Tensor, mask: Tensor) -> Encoded:
        """words (B, L, D_q), mask (B, L) bool, at least one word each, padding behind."""
        raise NotImplementedError

    def watch(self, clips: Tensor, keep: Tensor | None) -> Encoded:
        """clips (B, T, D_v), keep (B, T) bool, at least one each: the clips that are there at all; None: all of them.

        With all clips, or with padding at the end, row t of the result is clip t; otherwise the rows may have moved up.
        """
        raise NotImplementedError

    def join(self, question: Encoded, video: Encoded) -> Tensor:
        """One vector for the question in the light of the video, (B, D)."""
        raise NotImplementedError
