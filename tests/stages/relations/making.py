"""A video of two objects with stores of proposals, for the tests of this folder."""

import numpy as np

from stages.datasets.relation_schema import SEGMENT, STEPS, RelationSample, proposal_rows
from stages.features.store import FeatureStore, StoreInfo, StoreWriter

WIDTH, CLASSES, PREDICATES = 4, {"cat": 0, "dog": 1}, {"chase": 0, "see": 1}


def track(left, frames):
    """(frames, 4): a box of 10 by 10 pixels that moves right by a pixel a frame."""
    moved = left + np.arange(frames)
    return np.stack((moved, np.zeros(frames), moved + 9, np.full(frames, 9)), axis=1)


def sample(frames=45, relations=((0, 1, 0, 45),), predicates=("chase",), video="v1"):
    """A dog (0) at the left and a cat (1) a hundred pixels to its right."""
    boxes = np.concatenate((track(0, frames), track(100, frames)))
    return RelationSample(
        sample_id=video,
        video_id=video,
        frame_count=frames,
        fps=30.0,
        duration=frames / 30,
        width=320,
        height=240,
        tids=(0, 1),
        categories=("dog", "cat"),
        relations=tuple(relations),
        predicates=tuple(predicates),
        track_tids=np.repeat([0, 1], frames).astype("<i4").tobytes(),
        track_frames=np.tile(np.arange(frames), 2).astype("<i4").tobytes(),
        track_boxes=boxes.astype("<f4").tobytes(),
        source="v1.json",
        record=1,
    )


def proposed(begin, *lefts):
    """Rows of perfect proposals at these places; the class scores say dog for the first and cat for all others."""
    boxes = np.stack([track(left + begin, SEGMENT) for left in lefts])
    scores = np.array([[0.1, 0.9]] + [[0.8, 0.2]] * (len(lefts) - 1))
    return proposal_rows(np.full(len(lefts), begin), np.ones((len(lefts), SEGMENT)), boxes, scores)


def stores(folder, rows, looks=None):
    """Both stores of some videos: id -> rows; appearance counts up."""
    found = []
    for name, kind in (("proposals", rows), ("appearance", looks or {})):
        with StoreWriter(folder / f"{name}.zarr") as writer:
            for video in sorted(rows):
                steps = len(STEPS) * len(rows[video])
                counted = np.arange(1, steps * WIDTH + 1, dtype=np.float32).reshape(steps, WIDTH)
                writer.add(video, rows[video] if name == "proposals" else kind.get(video, counted))
            writer.finish(StoreInfo(dataset="toy", feature=name, kind="trajectory"))
        found.append(FeatureStore.open(folder / f"{name}.zarr"))
    return found
