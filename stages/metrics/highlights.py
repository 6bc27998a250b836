"""Highlight detection over all queries at once: average precision per annotator, and whether the best clip is a highlight.

A video of `duration` seconds has int(duration / 2) clips of 2 s. Three annotators rate clips 0..4; a clip is positive for an
annotator at a level when the rating reaches it (Fair 2, Good 3, VeryGood 4). Source: the scorer of Moment-DETR (2021), quirk by
quirk as in the project's metric definitions. Q queries, C clips (padded), A = 3 annotators.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.metrics.queries import Bool, Float, Int, Ragged, Truth
from stages.metrics.records import InputError, NotApplicableError, shown

LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
ANNOTATORS = 3
CLIP_SECONDS = 2
LONGEST = 86_400  # seconds of a video: every record takes the table's room of the longest


@dataclass(frozen=True)
class Ratings:
    """scores (Q, C, 3) int8, zero where nobody rated or beyond the video; clips (Q,) number of clips."""

    scores: NDArray[np.int8]
    clips: Int


def ratings_of(truth: Truth) -> Ratings:
    """The ratings of all records.

    Raises NotApplicableError for a record without ratings or duration, InputError for a clip beyond the video, a score that is no
    triple or a video of more than a day.
    """
    records = truth.records
    ids: list[Any] = [row.get("relevant_clip_ids") for row in records.rows]
    triples: list[Any] = [row.get("saliency_scores") for row in records.rows]
    for index, (numbers, scores) in enumerate(zip(ids, triples, strict=True)):
        if type(numbers) is not list or type(scores) is not list:
            raise NotApplicableError(
                f"{records.place(index)}: has no relevant_clip_ids and saliency_scores; highlights cannot be scored"
            )
        if len(numbers) != len(scores):
            raise InputError(
                f"{records.place(index, 'saliency_scores')}: {len(scores)} entries for {len(numbers)} relevant_clip_ids"
            )
    if (unknown := np.flatnonzero(np.isnan(truth.durations))).size:
        raise NotApplicableError(
            f"{records.place(int(unknown[0]), 'duration')}: missing; highlights need the length of the video"
        )
    if (long := np.flatnonzero(truth.durations > LONGEST)).size:
        raise InputError(
            f"{records.place(int(long[0]), 'duration')}: expected the seconds of one video, at most {LONGEST} (a day), "
            f"got {shown(float(truth.durations[long[0]]))}; correct the record"
        )
    clips = np.floor(truth.durations / CLIP_SECONDS).astype(np.int64)
    if (short := np.flatnonzero(clips < 1)).size:
        raise NotApplicableError(f"{records.place(int(short[0]), 'duration')}: shorter than one clip of {CLIP_SECONDS} s")
    owners = np.repeat(np.arange(len(ids)), [len(numbers) for numbers in ids])
    columns = _clip_numbers(truth, ids, clips, owners)
    table = np.zeros((len(ids), int(clips.max()), ANNOTATORS), dtype=np.int8)
    table[owners, columns] = _triples(truth, triples)
    return Ratings(table, clips)


def _clip_numbers(truth: Truth, ids: list[list[Any]], clips: Int, owners: Int) -> Int:
    flat = list(chain.from_iterable(ids))
    good = set(map(type, flat)) <= {int} and all(abs(number) < 2**53 for number in flat)
    numbers = np.array(flat if good else [], dtype=np.int64)
    if not good or ((numbers < 0) | (numbers >= clips[owners])).any():
        for index, (of_record, count) in enumerate(zip(ids, clips, strict=True)):
            for number in of_record:
                if type(number) is not int or not 0 <= number < count:
                    raise InputError(
                        f"{truth.records.place(index, 'relevant_clip_ids')}: expected clip numbers from 0 to {count - 1} "
                        f"(duration {truth.durations[index]:g} s), got {shown(number)}"
                    )
    return numbers


def _triples(truth: Truth, triples: list[list[Any]]) -> NDArray[np.int8]:
    flat = list(chain.from_iterable(triples))
    if set(map(type, flat)) <= {list} and set(map(len, flat)) <= {ANNOTATORS}:
        scores = list(chain.from_iterable(flat))
        if set(map(type, scores)) <= {int} and set(scores) <= {0, 1, 2, 3, 4}:
            return np.array(scores, dtype=np.int8).reshape(-1, ANNOTATORS)
    for index, of_record in enumerate(triples):
        for triple in of_record:
            if type(triple) is not list or len(triple) != ANNOTATORS or not all(map(_is_rating, triple)):
                raise InputError(
                    f"{truth.records.place(index, 'saliency_scores')}: expected {ANNOTATORS} ratings of 0..4, got {shown(triple)}"
                )
    raise AssertionError("the loop above finds what the fast test rejects")


def _is_rating(value: Any) -> bool:
    return type(value) is int and 0 <= value <= 4


def hit_one(saliency: Ragged, ratings: Ratings, level: int) -> Float:
    """(Q,) 1 where any annotator calls the best-scored clip positive; the first of equal scores, 0 beyond the last clip."""
    best = saliency.padded(int(saliency.lengths.max()), -np.inf).argmax(axis=1)  # (Q,) over the whole list, clips or not
    inside = best < ratings.clips
    rows = np.arange(len(best))
    found = (ratings.scores[rows, np.where(inside, best, 0)] >= level).any(axis=1)
    return np.asarray(inside & found, dtype=np.float64)


def average_precision(saliency: Ragged, ratings: Ratings, *, corrected: bool) -> dict[str, Float]:
    """Average precision (3, Q) per annotator, by name of the level.

    The list is cut to the number of clips or filled with zeros, and several positives at one score count once, as in the
    reference. `corrected`: clips without a score rank below all others, and each positive counts.
    """
    clips, width = ratings.clips, ratings.scores.shape[1]
    scores = saliency.padded(width, -np.inf if corrected else 0.0)  # (Q, C)
    scores[np.arange(width) >= clips[:, None]] = np.nan  # beyond the video: sorted behind everything, never a group of its own
    order = np.argsort(-scores, axis=1, kind="stable")  # (Q, C)
    rows = np.arange(len(clips))[:, None]
    ranked = scores[rows, order]
    ends = np.ones(ranked.shape, dtype=np.bool_)  # last clip of each group of equal scores
    ends[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    # Clips first from here on: running sums and maxima then go over whole rows of queries.
    ranked_ratings = np.ascontiguousarray(ratings.scores[rows, order].transpose(1, 2, 0))  # (C, A, Q)
    last = np.ascontiguousarray(ends.T)[:, None]  # (C, 1, Q)
    return {name: _area(ranked_ratings >= level, last, clips, corrected) for name, level in LEVELS.items()}


def _area(labels: Bool, ends: Bool, clips: Int, corrected: bool) -> Float:
    """labels (C, A, Q) in the order of falling scores, ends (C, 1, Q) -> (A, Q)."""
    hits = np.cumsum(labels, axis=0, dtype=np.int32)
    at_end = np.where(ends, hits, 0)
    precision = at_end / np.arange(1, len(labels) + 1)[:, None, None]
    envelope = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    before = np.zeros_like(at_end)  # positives found at the end of the group before
    np.maximum.accumulate(at_end[:-1], axis=0, out=before[1:])
    new = np.where(ends, hits - before, 0)  # positives of the group that ends here
    weights = new if corrected else new > 0
    area = (weights * envelope).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)
    positives = hits[-1]
    return np.asarray(np.where(positives == clips, 1.0, np.where(positives == 0, 0.0, area)))
