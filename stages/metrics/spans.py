"""Moment retrieval over all queries at once: average precision, and the best window among the first few.

    area IoU   inter / (length 1 + length 2 - inter),  inter = max(0, min(ends) - max(starts));  0/0 = NaN        matching
    hull IoU   inter / (max(ends) - min(starts));  0 where that is 0                                              recall values

Sources: the scorers of Moment-DETR (2021) and UniVTG (2023), quirk by quirk as in the project's metric definitions. Windows with
end < start go through the formulas as they are.
Q queries, P predicted and G true windows of a query, T thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from stages.metrics.queries import Bool, Float, Int, Ragged

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
CHUNK = 1 << 20  # elements of the largest intermediate array


def area_iou(first: Float, second: Float) -> Float:
    """(..., 2) and (..., 2) -> (...); NaN where both windows have no length and lie at the same place or apart."""
    inter = _intersection(first, second)
    with np.errstate(invalid="ignore", divide="ignore"):
        union = (first[..., 1] - first[..., 0]) + (second[..., 1] - second[..., 0]) - inter
        return np.asarray(inter / union)


def hull_iou(first: Float, second: Float) -> Float:
    """(..., 2) and (..., 2) -> (...); 0 where the hull has no length."""
    inter = _intersection(first, second)
    hull = np.maximum(first[..., 1], second[..., 1]) - np.minimum(first[..., 0], second[..., 0])
    return np.asarray(np.divide(inter, hull, out=np.zeros_like(inter), where=hull != 0))


def _intersection(first: Float, second: Float) -> Float:
    return np.asarray(np.maximum(0.0, np.minimum(first[..., 1], second[..., 1]) - np.maximum(first[..., 0], second[..., 0])))


def by_score(windows: Ragged) -> Ragged:
    """Windows (W, 3) of every query with the highest score first; equal scores keep their order."""
    order = np.lexsort((-windows.values[:, 2], windows.owners))
    return Ragged(windows.values[order], windows.offsets)


def average_precision(predicted: Ragged, true: Ragged, *, undefined_matches: bool) -> Float:
    """Average precision (Q, 10) at the IoU thresholds 0.50, 0.55, ... 0.95, area under the precision envelope.

    `predicted` (W, 3) in the order of decreasing confidence, `true` (V, 2); every query needs at least one of each.
    `undefined_matches`: an undefined IoU (0/0) is the largest of all and reaches every threshold, as in the references; else it
    is 0.
    """
    out = np.empty((len(true.offsets) - 1, len(THRESHOLDS)))
    for rows in _parts(predicted.lengths, true.lengths):
        compute = _single_truth if true.lengths[rows[0]] == 1 else _several_truths
        out[rows] = compute(predicted.take(rows), true.take(rows), undefined_matches)
    return out


def _parts(predicted: Int, true: Int) -> Iterator[Int]:
    """Queries of like size together, so that padding at most doubles each side, in parts of bounded memory."""
    wide, tall = np.ceil(np.log2(predicted)).astype(np.int64), np.ceil(np.log2(true)).astype(np.int64)  # tall 0: one true window
    sizes = np.where(tall == 0, -1, wide * 64 + tall)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        each = int(predicted[rows].max()) * max(int(true[rows].max()), len(THRESHOLDS))
        step = len(rows) if size < 0 else max(1, CHUNK // each)
        yield from (rows[start : start + step] for start in range(0, len(rows), step))


def _known(iou: Float, undefined_matches: bool) -> Float:
    return np.where(np.isnan(iou), np.inf if undefined_matches else 0.0, iou)


def _single_truth(predicted: Ragged, true: Ragged, undefined_matches: bool) -> Float:
    """One true window per query: the first prediction that reaches the threshold is the only hit, AP = 1 / its rank."""
    iou = _known(area_iou(predicted.values[:, :2], true.values[predicted.owners]), undefined_matches)  # (W,)
    reached = np.searchsorted(THRESHOLDS, iou, side="right")  # (W,) thresholds that the window reaches
    ranks = predicted.ranks + 1
    out = np.empty((len(true.offsets) - 1, len(THRESHOLDS)))
    for column in range(len(THRESHOLDS)):
        hit = np.where(reached > column, ranks, np.iinfo(np.int64).max)
        first = np.minimum.reduceat(hit, predicted.offsets[:-1])  # (Q,)
        out[:, column] = np.where(first == np.iinfo(np.int64).max, 0.0, 1.0 / first)
    return out


def _several_truths(predicted: Ragged, true: Ragged, undefined_matches: bool) -> Float:
    """Greedy matching at every threshold; among equal overlaps the last true window is taken."""
    queries, p, g, t = len(true.offsets) - 1, int(predicted.lengths.max()), int(true.lengths.max()), len(THRESHOLDS)
    pairs = Ragged.of(np.empty(0), predicted.lengths * true.lengths)
    owners = np.repeat(np.arange(queries), pairs.lengths)
    within = np.arange(pairs.offsets[-1]) - np.repeat(pairs.offsets[:-1], pairs.lengths)
    row, column = np.divmod(within, true.lengths[owners])
    iou = np.full((queries, p, g), -1.0)  # -1: padding, never reaches a threshold
    iou[owners, row, g - 1 - column] = _known(  # reversed, so that the first of equal overlaps is the last true window
        area_iou(predicted.values[predicted.offsets[owners] + row, :2], true.values[true.offsets[owners] + column]),
        undefined_matches,
    )
    free = np.ones((queries, t, g), dtype=np.bool_)
    free_rows = free.reshape(queries * t, g)  # the same memory: one row per query and threshold
    hits = np.zeros((queries, t, p), dtype=np.bool_)
    rows, limits = np.arange(queries * t), np.tile(THRESHOLDS, queries)
    for k in range(p):
        overlap = np.where(free, iou[:, None, k], -1.0).reshape(queries * t, g)
        best = overlap.argmax(axis=1)
        hit = overlap[rows, best] >= limits
        free_rows[rows[hit], best[hit]] = False
        hits[:, :, k] = hit.reshape(queries, t)
    return _area(hits, true.lengths)


def _area(hits: Bool, positives: Int) -> Float:
    """hits (Q, T, P), positives (Q,) -> area under the envelope (Q, T), summed in rank order."""
    hits_so_far = np.cumsum(hits, axis=2)
    precision = hits_so_far / np.arange(1, hits.shape[2] + 1)
    envelope = np.maximum.accumulate(precision[:, :, ::-1], axis=2)[:, :, ::-1]
    recall = hits_so_far / positives[:, None, None]
    area = np.zeros(hits.shape[:2])
    previous: Float | float = 0.0
    for k in range(hits.shape[2]):
        area += (recall[:, :, k] - previous) * envelope[:, :, k]
        previous = recall[:, :, k]
    return area


def best_overlap(predicted: Ragged, true: Ragged, *, undefined_is: float) -> Float:
    """Hull IoU (Q,) of the pair with the largest area IoU among all pairs of a query.

    On ties the first pair wins, all true windows of the first prediction before those of the second.
    `undefined_is` stands for an undefined area IoU (0/0) in that choice: infinity for the rank-1 window of the references, 0 for
    their best of five.
    """
    counts = true.lengths[predicted.owners]  # (W,) pairs of each predicted window
    first = np.repeat(np.arange(len(predicted.values)), counts)
    within = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
    second = true.offsets[predicted.owners[first]] + within
    windows, labels = predicted.values[first, :2], true.values[second]
    area = area_iou(windows, labels)
    area[np.isnan(area)] = undefined_is
    starts = np.concatenate([[0], np.cumsum(predicted.lengths * true.lengths)])  # (Q + 1,)
    largest = np.repeat(np.maximum.reduceat(area, starts[:-1]), np.diff(starts))
    positions = np.where(area == largest, np.arange(len(area)), len(area))
    chosen = np.minimum.reduceat(positions, starts[:-1])
    return hull_iou(windows[chosen], labels[chosen])
