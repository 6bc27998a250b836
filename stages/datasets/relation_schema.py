"""Relations of moving objects: the sample type, and what a trajectory is.

    viou(t, t') = shared volume / (volume t + volume t' - shared volume)

Boxes are inclusive pixels [left, top, right, bottom], one per frame of [first, end).

Detectors propose trajectories for segments of SEGMENT frames. A store of kind `trajectory` holds one row per proposal of a video,
by rising first frame, columns as `proposal_rows` joins them; a second store holds ten rows of appearance per proposal, in the
same order: of the frames 0, 3, ..., 27 of the segment, zero where the object is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Triplet = tuple[str, str, str]
Float = NDArray[np.float64]
SEGMENT, STRIDE = 30, 15  # frames of a segment, and from one to the next, as the published baselines cut videos
STEPS = tuple(range(0, SEGMENT, 3))  # frames of a segment that have appearance features


def proposal_rows(begin: NDArray[Any], present: NDArray[Any], boxes: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float32]:
    """begin (M,) first frame of the segment, present (M, 30), boxes (M, 30, 4), class scores (M, C) -> (M, 151 + C)."""
    parts = (begin[:, None], present, boxes.reshape(len(boxes), 4 * SEGMENT), scores)
    return np.concatenate(parts, axis=1).astype(np.float32)


def proposal_columns(rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[Any], NDArray[Any]]:
    """The inverse: begin (M,), present (M, 30), boxes (M, 30, 4), scores (M, C)."""
    boxes = rows[:, 1 + SEGMENT : 1 + 5 * SEGMENT].reshape(len(rows), SEGMENT, 4)
    return rows[:, 0].astype(np.int64), rows[:, 1 : 1 + SEGMENT] > 0, boxes, rows[:, 1 + 5 * SEGMENT :]


def segment_begins(begin: int, end: int) -> range:
    """First frames of the segments within [begin, end); a tail shorter than a segment has none of its own."""
    return range(begin, end - SEGMENT + 1, STRIDE)


def volume(boxes: Float) -> float:
    """Pixels of all boxes together."""
    return float(((boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)).sum())


def viou(one: Float, other: Float, first: int, second: int) -> float:
    """Of two trajectories that begin in the frames `first` and `second`; 0 without a frame in common."""
    begin, end = max(first, second), min(first + len(one), second + len(other))
    if begin >= end:
        return 0.0
    a, b = one[begin - first : end - first], other[begin - second : end - second]
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0]) + 1
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1]) + 1
    shared = float((np.maximum(width, 0) * np.maximum(height, 0)).sum())
    union = volume(one) + volume(other) - shared
    return shared / union if union > 0 else 0.0


@dataclass(frozen=True)
class Relation:
    """frames [first, end); subject, object (T, 4) boxes; score is None in the ground truth."""

    triplet: Triplet
    first: int
    end: int
    subject: Float
    object: Float
    score: float | None = None


@dataclass(frozen=True)
class Instance:
    """One annotated relation: object ids, predicate, frames [begin, end)."""

    subject: int
    object: int
    predicate: str
    begin: int
    end: int


@dataclass(frozen=True, kw_only=True)
class RelationSample:
    """One video with the objects in it, where they are, and how they relate.

    video_id                   as published; the sample's id, too
    frame_count, fps           of the video; duration in seconds follows
    width, height              pixels
    tids, categories           ids of the objects in this video, and what they are
    relations, predicates      (subject tid, object tid, begin frame, end frame) of each relation, and its name; end is exclusive
    track_tids, track_frames   of every box: object and frame, sorted by both, int32 as bytes
    track_boxes                the boxes, (n, 4) float32 as bytes
    source, record             file name and 1-based place of it in the split
    """

    sample_id: str
    video_id: str
    frame_count: int
    fps: float
    duration: float
    width: int
    height: int
    tids: tuple[int, ...]
    categories: tuple[str, ...]
    relations: tuple[tuple[int, int, int, int], ...]
    predicates: tuple[str, ...]
    track_tids: bytes
    track_frames: bytes
    track_boxes: bytes
    source: str
    record: int

    @property
    def text_items(self) -> tuple[str, ...]:
        """See Sample: there are no texts."""
        return ()

    @property
    def untrainable(self) -> str | None:
        """See Sample: a video without relations shows objects, still."""
        return None

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """The annotated relations."""
        return tuple(
            Instance(subject, other, predicate, begin, end)
            for (subject, other, begin, end), predicate in zip(self.relations, self.predicates, strict=True)
        )

    @cached_property
    def category(self) -> dict[int, str]:
        """Object id -> what it is."""
        return dict(zip(self.tids, self.categories, strict=True))

    @cached_property
    def _tracks(self) -> dict[int, tuple[NDArray[np.int32], NDArray[np.float32]]]:
        tids, frames = (np.frombuffer(part, "<i4") for part in (self.track_tids, self.track_frames))
        boxes = np.frombuffer(self.track_boxes, "<f4").reshape(-1, 4)
        places = {tid: (int(np.searchsorted(tids, tid)), int(np.searchsorted(tids, tid, side="right"))) for tid in self.tids}
        return {tid: (frames[begin:end], boxes[begin:end]) for tid, (begin, end) in places.items()}

    def boxes(self, tid: int, begin: int, end: int) -> tuple[Float, NDArray[np.bool_]]:
        """Where the object is in the frames [begin, end): boxes (T, 4), 0 where it is not, and whether it is (T,)."""
        frames, boxes = self._tracks[tid]
        first, last = np.searchsorted(frames, [begin, end])
        out, there = np.zeros((end - begin, 4)), np.zeros(end - begin, dtype=np.bool_)
        out[frames[first:last] - begin] = boxes[first:last]
        there[frames[first:last] - begin] = True
        return out, there

    def triplet(self, instance: Instance) -> Triplet:
        """What an annotated relation says."""
        return self.category[instance.subject], instance.predicate, self.category[instance.object]

    def truth(self) -> list[Relation]:
        """The annotated relations as the scorer wants them, in published order."""
        return [
            Relation(
                self.triplet(one),
                one.begin,
                one.end,
                self.boxes(one.subject, one.begin, one.end)[0],
                self.boxes(one.object, one.begin, one.end)[0],
            )
            for one in self.instances
        ]
