"""Batches for localisation learnt without times: one sentence on one video each, never a span.

B batch, N frames, L words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from models.batch import Description
from stages.datasets.schema import MomentSample
from stages.training.batches import Indices, cut


class Videos(Protocol):
    """Videos of equal length, as stages.features.resample.Resampled offers them."""

    width: int

    def batch(self, ids: Sequence[str]) -> Tensor:
        """(B, N, D)."""


class Texts(Protocol):
    """Sentences, as stages.features.words.Sentences offers them."""

    width: int
    classes: int

    def batch(self, ids: Sequence[str]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Vectors (B, L, D), mask (B, L), classes (B, L), hiding (B, L)."""


class DescriptionFeed:
    """Samples and features to batches; sentences are known by sample id."""

    def __init__(self, samples: Sequence[MomentSample], videos: Videos, texts: Texts) -> None:
        self.samples = list(samples)
        self._videos, self._texts = videos, texts
        self._video_ids = [sample.video_id for sample in self.samples]
        self._sample_ids = [sample.sample_id for sample in self.samples]

    fps = 0.0  # resampled: clips are not spaced in time alike

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def widths(self) -> dict[str, int]:
        """What a method's constructor wants to know: channels of videos and words, and the number of word classes."""
        return {"video": self._videos.width, "words": self._texts.width, "classes": self._texts.classes}

    def names(self, indices: Indices) -> list[str]:
        """The sample ids at these places."""
        return [self._sample_ids[index] for index in indices]

    def batch(self, indices: Indices, *, targets: bool = True) -> Description:  # noqa: ARG002  (the words are the targets)
        """The samples at these places."""
        chosen = np.asarray(indices, dtype=np.int64)
        video = self._videos.batch([self._video_ids[index] for index in chosen])
        words, word_mask, word_ids, hiding = self._texts.batch([self._sample_ids[index] for index in chosen])
        return Description(
            video=video,
            video_mask=torch.ones(video.shape[:2], dtype=torch.bool),
            words=words,
            word_mask=word_mask,
            word_ids=word_ids,
            hiding=hiding,
        )

    def epoch(self, batch_size: int) -> Iterator[tuple[Indices, Description]]:
        """Every sample once, in order: (places of the samples, their batch)."""
        for indices in cut(np.arange(len(self), dtype=np.int64), batch_size):
            yield indices, self.batch(indices)
