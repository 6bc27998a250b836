"""Samples and features to batches: in order for evaluation, shuffled for training.

B batch, T clips, L tokens, G windows.  A batch's feature tensors are buffers of the feature source and are overwritten by its
next batch: use one batch before asking for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from models.batch import Grounding
from stages.datasets.schema import MomentSample
from stages.training.seeding import generator
from stages.training.targets import TargetError, boundary_target, saliency_from_ratings, saliency_from_windows

Indices: TypeAlias = NDArray[np.int64]


class Rows(Protocol):
    """Fused features of many items, as stages.features.resident.Fused offers them."""

    @property
    def width(self) -> int:
        """Number of channels."""

    def lengths(self, ids: Sequence[str]) -> Indices:
        """Rows per item."""

    def batch(self, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, T, D) float32, zero on padding, and the mask (B, T)."""


class Feed(Protocol):
    """What the training loop needs to know of a task's batches."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(self, indices: Indices, *, targets: bool = True) -> Any:
        """The samples at these places as the batch of the task, with `len()` and `.to(device)`."""

    def names(self, indices: Indices) -> list[str]:
        """The sample ids at these places, for messages."""


@runtime_checkable
class VaryingFeed(Feed, Protocol):
    """A feed whose samples are read differently each time."""

    def vary(self, indices: Indices, random: np.random.Generator) -> Any:
        """As `batch`, for one step of training; everything that is drawn is drawn from `random`."""


class MomentFeed:
    """Batches of one query on one video each. Targets are computed once per sample, when first asked for.

    fps            clips per second of the video features
    pad_multiple   T and L of a batch are multiples of this
    """

    def __init__(self, samples: Sequence[MomentSample], video: Rows, query: Rows, fps: float, *, pad_multiple: int = 1) -> None:
        self.samples, self.fps = list(samples), fps
        self._video, self._query, self._multiple = video, query, pad_multiple
        self._videos = [sample.video_id for sample in self.samples]
        self._queries = [sample.query_id for sample in self.samples]
        self.clips = np.asarray(video.lengths(self._videos), dtype=np.int64)
        self._groups = torch.from_numpy(np.unique(self._videos, return_inverse=True)[1].astype(np.int64))
        self._durations = torch.tensor([sample.duration for sample in self.samples], dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def widths(self) -> dict[str, int]:
        """Channels of the two streams, as a method's constructor wants them."""
        return {"video": self._video.width, "query": self._query.width}

    def names(self, indices: Indices) -> list[str]:
        """The sample ids at these places."""
        return [self.samples[index].sample_id for index in indices]

    def batch(self, indices: Indices, *, targets: bool = True) -> Grounding:
        """The samples at these places. `targets=False` leaves spans and saliency None.

        Raises TargetError if annotation and features of any sample of this feed do not belong together.
        """
        chosen = np.asarray(indices, dtype=np.int64)
        video, video_mask = self._padded(*self._video.batch([self._videos[index] for index in chosen]))
        query, query_mask = self._padded(*self._query.batch([self._queries[index] for index in chosen]))
        goals = self._targets.batch(chosen, video.shape[1]) if targets else (None, None, None)
        places = torch.from_numpy(chosen)
        return Grounding(
            video=video,
            video_mask=video_mask,
            query=query,
            query_mask=query_mask,
            fps=torch.full((len(chosen),), self.fps),
            duration=self._durations[places],
            video_group=self._groups[places],
            spans=goals[0],
            spans_mask=goals[1],
            saliency=goals[2],
        )

    def epoch(self, batch_size: int, *, targets: bool = False) -> Iterator[tuple[Indices, Grounding]]:
        """Every sample once, in order: (places of the samples, their batch). For evaluation and prediction."""
        for indices in cut(np.arange(len(self), dtype=np.int64), batch_size):
            yield indices, self.batch(indices, targets=targets)

    def _padded(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        missing = -values.shape[1] % self._multiple
        return (pad(values, (0, 0, 0, missing)), pad(mask, (0, missing))) if missing else (values, mask)

    @cached_property
    def _targets(self) -> _Targets:
        return _Targets.of(self.samples, self.clips, self.fps)


@dataclass(frozen=True)
class _Targets:
    """Ragged targets of all samples: rows of sample i are [offsets[i], offsets[i + 1])."""

    spans: NDArray[np.float32]
    span_offsets: Indices
    saliency: NDArray[np.float32]
    saliency_offsets: Indices

    @classmethod
    def of(cls, samples: Sequence[MomentSample], clips: Indices, fps: float) -> _Targets:
        counts = np.array([len(sample.spans) for sample in samples], dtype=np.int64)
        windows = np.array([span for sample in samples for span in sample.spans], dtype=np.float32).reshape(-1, 2)
        spans = boundary_target(windows, np.repeat(clips, counts), fps)
        offsets = _offsets(counts)
        saliency = [
            _saliency(sample, spans[begin:end], int(length), fps)
            for sample, begin, end, length in zip(samples, offsets[:-1], offsets[1:], clips, strict=True)
        ]
        return cls(spans, offsets, np.concatenate([*saliency, np.empty(0, dtype=np.float32)]), _offsets(clips))

    def batch(self, indices: Indices, clips: int) -> tuple[Tensor, Tensor, Tensor]:
        """Spans (B, G, 2), spans_mask (B, G), saliency (B, T = clips), zero on padding."""
        spans, spans_mask = _rows(self.spans, self.span_offsets, indices)
        saliency, _ = _rows(self.saliency, self.saliency_offsets, indices, clips)
        return torch.from_numpy(spans), torch.from_numpy(spans_mask), torch.from_numpy(saliency)


def _saliency(sample: MomentSample, spans: NDArray[np.float32], clips: int, fps: float) -> NDArray[np.float32]:
    if sample.relevant_clips is None and sample.saliency_scores is None:
        return saliency_from_windows(spans, clips, fps)
    where = f"{sample.source}: record {sample.record} ({sample.sample_id})"
    if sample.relevant_clips is None or sample.saliency_scores is None:
        raise TargetError(f"{where}: relevant_clips and saliency_scores must both be given, or neither")
    return saliency_from_ratings(
        sample.relevant_clips, sample.saliency_scores, clips=clips, duration=sample.duration, fps=fps, where=where
    )


def _offsets(counts: Indices) -> Indices:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])


def _rows(
    values: NDArray[np.float32], offsets: Indices, indices: Indices, longest: int | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The ragged rows at `indices`, padded with zeros at the end, and their mask."""
    counts = offsets[indices + 1] - offsets[indices]
    width = int(counts.max(initial=0)) if longest is None else longest
    mask = np.arange(width) < counts[:, None]
    padded = np.zeros((len(indices), width, *values.shape[1:]), dtype=values.dtype)
    padded[mask] = values[(offsets[indices, None] + np.arange(width))[mask]]
    return padded, mask


def shuffled(count: int, *, repeat: int, seed: int, epoch: int) -> Indices:
    """Order of one epoch: every place 0..count-1 `repeat` times, all shuffled together."""
    order = torch.randperm(count * repeat, generator=generator(seed, "order", epoch)).numpy()
    return np.asarray(order % count, dtype=np.int64)


def cut(order: Indices, batch_size: int, *, drop_last: bool = False) -> list[Indices]:
    """Consecutive batches; the last one may be smaller unless it is dropped."""
    batches = [order[begin : begin + batch_size] for begin in range(0, len(order), batch_size)]
    return batches[:-1] if drop_last and batches and len(batches[-1]) < batch_size else batches
