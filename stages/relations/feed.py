"""Segments of videos as batches of models.batch.Relations.

S segments of a batch, N proposals, T = 10 steps, Q ordered pairs; padded to the largest segment of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batch import Relations
from stages.datasets.relation_schema import STEPS, RelationSample
from stages.relations.proposals import Labels, Proposals, Segment, labels_of

Indices = NDArray[np.int64]
BOX = 4


@lru_cache(maxsize=256)
def ordered_pairs(count: int) -> NDArray[np.int64]:
    """(count (count - 1), 2): subject and object, subject first."""
    subject, other = np.divmod(np.arange(count * count), max(1, count))
    return np.asarray(np.stack((subject, other), axis=1)[subject != other])


class RelationFeed:
    """Batches of segments. Labels are made once per segment, when first asked for.

    classes, predicates     name -> id
    """

    fps = 0.0  # steps lie within segments, not in time

    def __init__(
        self,
        segments: Sequence[tuple[RelationSample, Segment]],
        proposals: Proposals,
        *,
        classes: Mapping[str, int],
        predicates: Mapping[str, int],
    ) -> None:
        self.segments, self.proposals = list(segments), proposals
        self._classes, self._predicates = classes, predicates
        self._labels: dict[int, Labels] = {}

    def __len__(self) -> int:
        return len(self.segments)

    @property
    def widths(self) -> dict[str, int]:
        """Channels of the appearance."""
        return {"video": self.proposals.appearance.info.width}

    def names(self, indices: Indices) -> list[str]:
        """Video and first frame, for messages."""
        chosen = [self.segments[index][1] for index in indices]
        return [f"{segment.video_id}-{segment.begin:04d}" for segment in chosen]

    def batch(self, indices: Indices, *, targets: bool = True) -> Relations:
        """The segments at these places. `targets=False` leaves object_class and labels None."""
        chosen = [self.segments[index] for index in indices]
        counts = [segment.count for _, segment in chosen]
        size, longest, pairs = len(chosen), max(counts), max(count * (count - 1) for count in counts)
        appearance = np.zeros((size, longest, len(STEPS), self.widths["video"]), dtype=np.float32)
        boxes = np.zeros((size, longest, len(STEPS), BOX), dtype=np.float32)
        present = np.zeros((size, longest, len(STEPS)), dtype=np.bool_)
        detector = np.zeros((size, longest, len(self._classes)), dtype=np.float32)
        place = np.zeros((size, pairs, 2), dtype=np.int64)
        for row, (_, segment) in enumerate(chosen):
            found, count = self.proposals.detections(segment), segment.count
            appearance[row, :count] = self.proposals.looks(segment)
            boxes[row, :count], present[row, :count] = found.boxes[:, STEPS], found.present[:, STEPS]
            detector[row, :count] = found.scores
            place[row, : count * (count - 1)] = ordered_pairs(count)
        real = np.array(counts)
        truth = self._truth(indices, longest, pairs) if targets else (None, None)
        return Relations(
            appearance=torch.from_numpy(appearance),
            boxes=torch.from_numpy(boxes),
            present=torch.from_numpy(present),
            proposals_mask=torch.from_numpy(np.arange(longest) < real[:, None]),
            frame=torch.tensor([(sample.width, sample.height) for sample, _ in chosen], dtype=torch.float32),
            detector=torch.from_numpy(detector),
            pairs=torch.from_numpy(place),
            pairs_mask=torch.from_numpy(np.arange(pairs) < (real * (real - 1))[:, None]),
            object_class=truth[0],
            labels=truth[1],
        )

    def _truth(self, indices: Indices, longest: int, pairs: int) -> tuple[Tensor, Tensor]:
        """object_class (S, N), labels (S, Q, P)."""
        classes = np.full((len(indices), longest), -1, dtype=np.int64)
        labels = np.zeros((len(indices), pairs, len(self._predicates)), dtype=np.bool_)
        for row, index in enumerate(indices):
            found = self.labels(int(index))
            count = len(found.classes)
            classes[row, :count] = found.classes
            subject, other, predicate = found.relations.T
            labels[row, subject * (count - 1) + other - (other > subject), predicate] = True
        return torch.from_numpy(classes), torch.from_numpy(labels)

    def labels(self, index: int) -> Labels:
        """What is true of the proposals of one segment."""
        if index not in self._labels:
            sample, segment = self.segments[index]
            found = self.proposals.detections(segment)
            self._labels[index] = labels_of(sample, segment.begin, found, self._classes, self._predicates)
        return self._labels[index]
