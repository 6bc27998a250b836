"""What a detector proposes, segment by segment: where it lies in the stores, and how it meets the annotated trajectories.

    label of a pair of proposals = predicates of every relation that lasts through the segment and whose subject and object have,
    within the segment, a viou of at least 0.5 with the two proposals (equality counts)
    class of a proposal = that of the annotated object with the largest such viou                               -> Labels

N proposals of a segment, T = 30 frames, G annotated objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.datasets.relation_schema import SEGMENT, STEPS, RelationSample, proposal_columns, segment_begins
from stages.features.store import FeatureStore, StoreError

OVERLAP = 0.5
EPSILON = 1e-5  # as features of other tasks are normalised


@dataclass(frozen=True)
class Segment:
    """One segment of a video: rows [first, first + count) of the proposals' store."""

    video_id: str
    begin: int
    first: int
    count: int


@dataclass(frozen=True)
class Detections:
    """Proposals of one segment: boxes (N, 30, 4), present (N, 30), class scores (N, C)."""

    boxes: NDArray[Any]
    present: NDArray[np.bool_]
    scores: NDArray[Any]

    def filled(self) -> NDArray[np.float64]:
        """(N, 30, 4): frames without the object show its box of the nearest frame, the earlier one of two."""
        frames = np.arange(SEGMENT)
        distance = np.abs(frames[:, None] - frames) * 2 + (frames > frames[:, None])  # (30, 30): to where it is looked for
        cost = np.where(self.present[:, None], distance, 4 * SEGMENT)
        return np.asarray(np.take_along_axis(self.boxes, cost.argmin(axis=2)[..., None], axis=1), dtype=np.float64)


class Proposals:
    """Two stores of the same videos: proposals, and ten rows of appearance for each.

    Raises StoreError: stores that do not belong together, rows that are not in the order of time.
    """

    def __init__(self, proposals: FeatureStore, appearance: FeatureStore) -> None:
        self.proposals, self.appearance = proposals, appearance
        self.classes = proposals.info.width - 1 - 5 * SEGMENT
        if self.classes < 1:
            raise StoreError(f"{proposals.path}: width {proposals.info.width}; proposals need {1 + 5 * SEGMENT} and class scores")

    def has(self, video_id: str) -> bool:
        """Whether both stores have the video."""
        return video_id in self.proposals and video_id in self.appearance

    def segments(self, video_id: str) -> dict[int, Segment]:
        """First frame -> segment with at least one proposal, in the order of time."""
        (place,) = self.proposals.index([video_id])
        first, end = self.proposals.offsets[place], self.proposals.offsets[place + 1]
        if (rows := int(self.appearance.lengths([video_id])[0])) != (wanted := len(STEPS) * int(end - first)):
            raise StoreError(
                f"{self.appearance.path}: {video_id!r}: {rows} rows, expected {wanted}: {len(STEPS)} of each of its proposals"
            )
        begins = self.proposals.span(int(first), int(end))[:, 0].astype(np.int64)
        if (np.diff(begins) < 0).any():
            raise StoreError(f"{self.proposals.path}: {video_id!r}: proposals are not sorted by the first frame of their segment")
        starts, counts = np.unique(begins, return_counts=True)
        places = int(first) + np.concatenate([[0], np.cumsum(counts)])
        rows_of = zip(starts.tolist(), places.tolist(), counts.tolist(), strict=False)
        return {begin: Segment(video_id, begin, at, count) for begin, at, count in rows_of}

    def detections(self, segment: Segment) -> Detections:
        """The proposals of a segment, as stored."""
        rows = self.proposals.span(segment.first, segment.first + segment.count)
        _, present, boxes, scores = proposal_columns(rows)
        return Detections(boxes, present, scores)

    def looks(self, segment: Segment) -> NDArray[np.float32]:
        """(N, 10, D): appearance, every row divided by its length."""
        (place,) = self.proposals.index([segment.video_id])
        (other,) = self.appearance.index([segment.video_id])
        start = int(self.appearance.offsets[other]) + len(STEPS) * (segment.first - int(self.proposals.offsets[place]))
        end = start + len(STEPS) * segment.count
        rows = np.asarray(self.appearance.span(start, end), dtype=np.float32)
        rows = rows / (self.appearance.row_norms[start:end, None] + np.float32(EPSILON))
        return np.asarray(rows.reshape(segment.count, len(STEPS), -1))

    def recipes(self) -> dict[str, str]:
        """Store name -> recipe."""
        return {store.path.stem: store.info.recipe for store in (self.proposals, self.appearance)}


def training_begins(sample: RelationSample) -> list[int]:
    """First frames of the segments that are trained on: each labelled duration is cut by itself."""
    return sorted({begin for one in sample.instances for begin in segment_begins(one.begin, one.end)})


def vious(
    one: NDArray[Any], one_there: NDArray[np.bool_], other: NDArray[Any], other_there: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Boxes (N, T, 4), (G, T, 4) and whether they are there -> (N, G) viou over the same T frames."""
    a, b = one[:, None].astype(np.float64), other[None].astype(np.float64)
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0]) + 1
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1]) + 1
    both = one_there[:, None] & other_there[None]
    shared = (np.maximum(width, 0) * np.maximum(height, 0) * both).sum(axis=2)
    volumes = [_volumes(boxes, there) for boxes, there in ((one, one_there), (other, other_there))]
    union = volumes[0][:, None] + volumes[1][None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _volumes(boxes: NDArray[Any], there: NDArray[np.bool_]) -> NDArray[np.float64]:
    area = (boxes[..., 2] - boxes[..., 0] + 1.0) * (boxes[..., 3] - boxes[..., 1] + 1.0)
    return np.asarray((area * there).sum(axis=1))


@dataclass(frozen=True)
class Labels:
    """Of one segment: class ids (N,), -1 without an object; rows (subject, object, predicate id) of the labelled pairs."""

    classes: NDArray[np.int64]
    relations: NDArray[np.int64]


def labels_of(
    sample: RelationSample, begin: int, found: Detections, classes: Mapping[str, int], predicates: Mapping[str, int]
) -> Labels:
    """What is true of the proposals of the segment that begins in frame `begin`."""
    end = begin + SEGMENT
    tracks = [sample.boxes(tid, begin, end) for tid in sample.tids]
    if not tracks:
        return Labels(np.full(len(found.boxes), -1, dtype=np.int64), np.empty((0, 3), dtype=np.int64))
    value = vious(found.boxes, found.present, np.stack([boxes for boxes, _ in tracks]), np.stack([there for _, there in tracks]))
    category = np.array([classes[name] for name in sample.categories])
    of_object = np.where(value.max(axis=1) >= OVERLAP, category[value.argmax(axis=1)], -1)
    place = {tid: number for number, tid in enumerate(sample.tids)}
    rows: set[tuple[int, int, int]] = set()
    for one in sample.instances:
        if one.begin <= begin and end <= one.end:
            subjects, objects = (np.flatnonzero(value[:, place[tid]] >= OVERLAP) for tid in (one.subject, one.object))
            rows |= {(int(s), int(o), predicates[one.predicate]) for s in subjects for o in objects if s != o}
    return Labels(of_object.astype(np.int64), np.array(sorted(rows), dtype=np.int64).reshape(-1, 3))


def whole_video(sample: RelationSample, segments: Mapping[int, Segment]) -> list[Segment]:
    """The segments of the whole video that have proposals, in the order of time."""
    return [segments[begin] for begin in segment_begins(0, sample.frame_count) if begin in segments]


def for_training(samples: Sequence[RelationSample], proposals: Proposals) -> tuple[list[tuple[RelationSample, Segment]], int]:
    """Every segment that is trained on with its video, and how many have no proposal."""
    found, missing = [], 0
    for sample in samples:
        segments = proposals.segments(sample.video_id)
        for begin in training_begins(sample):
            if begin in segments:
                found.append((sample, segments[begin]))
            else:
                missing += 1
    return found, missing
