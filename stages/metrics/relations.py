"""Visual relation detection: relations of moving objects, found and named.

    viou(t, t') = shared volume / (volume t + volume t' - shared volume),  a relation's overlap: the smaller of subject and object

Boxes are inclusive pixels [left, top, right, bottom], one per frame of [first, last + 1). Source: the VidVRD evaluation (Shang et
al., ACM MM 2017), as in the project's metric definitions; it accumulates in 32-bit floats, so values agree to 1e-6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.datasets.relation_schema import Relation, Triplet, viou

OVERLAP = 0.5
RECALL_AT, PRECISION_AT = (50, 100), (1, 5, 10)


def overlap(one: Relation, other: Relation) -> float:
    """The smaller viou of both objects."""
    subject = viou(one.subject, other.subject, one.first, other.first)
    return min(subject, viou(one.object, other.object, one.first, other.first)) if subject > 0 else 0.0


def ranked(predictions: Sequence[Relation]) -> list[Relation]:
    """By falling score; equal scores keep their order."""
    return sorted(predictions, key=lambda relation: -(relation.score or 0.0))


def hits(predictions: Sequence[Relation], truth: Sequence[Relation], least: float = OVERLAP) -> NDArray[np.bool_]:
    """(P,) which ranked predictions find a true relation that no better one has: see `matches`."""
    return matches(predictions, truth, least) >= 0


def matches(predictions: Sequence[Relation], truth: Sequence[Relation], least: float = OVERLAP) -> NDArray[np.int64]:
    """(P,) which true relation each ranked prediction finds: same triplet, largest overlap of at least `least`; -1: none."""
    free = [True] * len(truth)
    out = np.full(len(predictions), -1, dtype=np.int64)
    for place, prediction in enumerate(predictions):
        best, match = least, None
        for index, relation in enumerate(truth):
            if free[index] and relation.triplet == prediction.triplet:
                value = overlap(prediction, relation)
                if value > best or (match is None and value >= best):
                    best, match = value, index
        if match is not None:
            free[match], out[place] = False, match
    return out


def average_precision(found: NDArray[np.bool_], positives: int) -> float:
    """Area under the envelope of precision over recall."""
    if not found.any():
        return 0.0
    precision = np.cumsum(found) / np.arange(1, len(found) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[found].sum() / positives)


def tagging_precision(
    predictions: Sequence[Relation], truth: Sequence[Relation], count: int, *, corrected: bool = False
) -> float:
    """Share of right triplets among the first `count` distinct ones; 0 without any.

    Where there are fewer, the reference divides by their number; `corrected` divides by `count` all the same.
    """
    distinct = list(dict.fromkeys(relation.triplet for relation in predictions))[:count]
    known = {relation.triplet for relation in truth}
    return sum(triplet in known for triplet in distinct) / (count if corrected else max(len(distinct), 1))


def relation_scores(
    predictions: Mapping[str, Sequence[Relation]],
    truth: Mapping[str, Sequence[Relation]],
    recall_at: Sequence[int] = RECALL_AT,
    *,
    corrected: bool = False,
) -> dict[str, float]:
    """mAP, R@50, R@100, P@1, P@5, P@10 as fractions over the videos of `truth` that have a relation, at least one of them.

    `corrected` changes P@n alone: see `tagging_precision`.
    """
    videos = [video for video, relations in truth.items() if relations]
    ordered = {video: ranked(predictions.get(video, ())) for video in videos}
    hit = {video: hits(ordered[video], truth[video]) for video in videos}
    positives = sum(len(truth[video]) for video in videos)
    out = {"mAP": sum(average_precision(hit[video], len(truth[video])) for video in videos) / len(videos)}
    out |= {f"R@{n}": float(sum(hit[video][:n].sum() for video in videos)) / positives for n in recall_at}
    for n in PRECISION_AT:
        precision = [tagging_precision(ordered[video], truth[video], n, corrected=corrected) for video in videos]
        out[f"P@{n}"] = sum(precision) / len(videos)
    return out


def unseen(truth: Mapping[str, Sequence[Relation]], training: set[Triplet]) -> dict[str, list[Relation]]:
    """The true relations whose triplet does not occur in training."""
    return {video: [one for one in several if one.triplet not in training] for video, several in truth.items()}


def limited(predictions: Mapping[str, Sequence[Relation]], truth: Mapping[str, Sequence[Relation]]) -> dict[str, list[Relation]]:
    """The predictions whose triplet occurs among the true relations of any video."""
    known = {one.triplet for several in truth.values() for one in several}
    return {video: [one for one in several if one.triplet in known] for video, several in predictions.items()}
