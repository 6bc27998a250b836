"""What is odd in files that can be scored: one sentence per kind, with the number of cases and the first of them.

The references score all of this without a word; whoever reads the values should know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from stages.metrics.answerability import repeated
from stages.metrics.highlights import CLIP_SECONDS
from stages.metrics.per_query import MAP_WINDOWS
from stages.metrics.queries import Bool, Float, Int, Predictions, Ragged, Truth
from stages.metrics.records import Records

TOLERANCE = 0.01  # s; labels of ActivityNet end up to one hundredth after their video


def oddities(predictions: Predictions, truth: Truth) -> list[str]:
    """Warnings about repeated ids, foreign videos, odd windows, odd saliency lists and odd answerability scores."""
    return [
        *_ids(predictions, truth),
        *_windows(predictions, truth),
        *_saliency(predictions, truth),
        *_relevance(predictions, truth),
    ]


def _said(records: Records, rows: Sequence[int] | Int, sentence: str, field: str | None = None) -> Iterator[str]:
    """The sentence with the number of `rows` and the place of the first; nothing if there are none."""
    if len(rows):
        yield f"{records.place(int(rows[0]), field)}: {sentence} ({len(rows)} such record{'s' if len(rows) > 1 else ''})"


def _ids(predictions: Predictions, truth: Truth) -> Iterator[str]:
    for side in (predictions, truth):
        yield from _said(
            side.records,
            repeated(side.ids),
            "this qid occurs before; as in the references, average precision pools its windows, all else takes its last record",
        )
    videos: dict[object, set[object]] = {}
    for qid, vid in zip(truth.ids, truth.vids, strict=True):
        videos.setdefault(qid, set()).add(vid)
    foreign = [
        row
        for row, (qid, vid) in enumerate(zip(predictions.ids, predictions.vids, strict=True))
        if vid is not None and qid in videos and vid not in videos[qid] and None not in videos[qid]
    ]
    yield from _said(
        predictions.records, foreign, "the ground truth has this qid with another video; matched by qid all the same", "vid"
    )
    for key, columns in (("pred_relevant_windows", predictions.windows), ("pred_saliency_scores", predictions.saliency)):
        if columns is None:
            late = [row for row, record in enumerate(predictions.records.rows) if key in record]
            yield from _said(predictions.records, late, "not scored, because the first record has none", key)


def _windows(predictions: Predictions, truth: Truth) -> Iterator[str]:
    durations = dict(zip(truth.ids, truth.durations, strict=True))
    if predictions.windows is not None:
        limits = np.array([durations.get(qid, np.nan) for qid in predictions.ids])
        yield from _spans(predictions.records, predictions.windows, limits, "pred_relevant_windows")
        many = np.flatnonzero(predictions.windows.lengths > MAP_WINDOWS)
        yield from _said(predictions.records, many, f"only the first {MAP_WINDOWS} windows count for average precision")
        scores, owners = predictions.windows.values[:, 2], predictions.windows.owners
        rising = np.unique(owners[1:][(scores[1:] > scores[:-1]) & (owners[1:] == owners[:-1])])
        yield from _said(predictions.records, rising, "windows are not ordered by score; R1 and R5 take them in file order")
        longer = [
            row
            for row, record in enumerate(predictions.records.rows)
            if any(len(window) > 3 for window in record["pred_relevant_windows"])
        ]
        yield from _said(predictions.records, longer, "numbers behind [start, end, score] are ignored", "pred_relevant_windows")
    yield from _spans(truth.records, truth.windows, truth.durations, "relevant_windows")


def _spans(records: Records, windows: Ragged, limits: Float, field: str) -> Iterator[str]:
    start, end, owners = windows.values[:, 0], windows.values[:, 1], windows.owners
    kinds: dict[str, Bool] = {
        "a window ends before it starts; it goes through the formulas as it is": end < start,
        "a window has no length; equal to a true one it counts as a perfect match (0/0)": end == start,
        "a window lies outside the video; taken as it is": (start < 0) | (end > limits[owners] + TOLERANCE),
    }
    for sentence, odd in kinds.items():
        yield from _said(records, np.unique(owners[odd]), sentence, field)


def _saliency(predictions: Predictions, truth: Truth) -> Iterator[str]:
    if predictions.saliency is None or not truth.rated:
        return
    durations = dict(zip(truth.ids, truth.durations, strict=True))
    clips = np.array([durations.get(one, np.nan) for one in predictions.ids]) // CLIP_SECONDS
    lengths = predictions.saliency.lengths
    short, long = np.flatnonzero(lengths < clips), np.flatnonzero(lengths > clips)
    yield from _said(predictions.records, short, "fewer scores than clips; filled with zeros", "pred_saliency_scores")
    yield from _said(predictions.records, long, "more scores than clips; the rest counts for Hit1 only", "pred_saliency_scores")


def _relevance(predictions: Predictions, truth: Truth) -> Iterator[str]:
    if predictions.relevance is None:
        return
    with np.errstate(invalid="ignore"):
        outside = np.flatnonzero((predictions.relevance < 0) | (predictions.relevance > 1))
    yield from _said(
        predictions.records, outside, "not a probability; taken as it is, above 0.5 means answerable", "relavent_score"
    )
    absent = np.flatnonzero(np.isnan(predictions.relevance))
    yield from _said(predictions.records, absent, "missing; taken as answerable, left out of the accuracy", "relavent_score")
    if truth.unanswerable[0] >= 0 and predictions.ids != truth.ids:
        yield (
            f"{predictions.records.path}: not in the order of the ground truth; profile vtg pairs decisions by position all the "
            "same, so its No-Answer-Acc means little"
        )
