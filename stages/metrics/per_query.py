"""Values of every query, before anything is averaged: average precision and overlaps, with and without the references' quirks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.metrics import answerability, spans
from stages.metrics.queries import Bool, Float, Int, Predictions, Ragged, Truth, nonempty

MAP_WINDOWS = 10  # windows of a record that count for average precision
RECALL_WINDOWS = 5


@dataclass(frozen=True)
class PerQuery:
    """Values of each query, in order of first occurrence in the predictions.

    precision (Q, 10) average precision per threshold; top1 (Q,) and top5 (Q,) IoU of the first and of the best of the first five.
    """

    precision: Float
    top1: Float
    top5: Float


def reference_values(windows: Ragged, groups: Int, true: Ragged, true_groups: Int) -> PerQuery:
    """Of every query that still has a true window, from the windows of records and the query (group) of each record.

    As in the references: average precision pools the records of a query, the overlaps take its last record, windows count in
    file order, and an undefined IoU (0/0) is a perfect match.
    """
    kept = np.flatnonzero(true.lengths > 0)  # records
    alive = np.zeros(int(groups.max()) + 1, dtype=np.bool_)
    alive[true_groups[kept]] = True
    renumbered = np.cumsum(alive) - 1
    rows = np.flatnonzero(alive[groups])
    windows, groups = windows.take(rows), renumbered[groups[rows]]
    true, true_groups = true.take(kept), renumbered[true_groups[kept]]
    count = int(alive.sum())
    pooled, pooled_true = _pooled(windows.first(MAP_WINDOWS), groups, count), _pooled(true, true_groups, count)
    last, last_true = windows.take(last_of(groups, count)), true.take(last_of(true_groups, count))
    return _values(spans.by_score(pooled), pooled_true, last, last_true, quirks=True)


def corrected_values(predictions: Predictions, truth: Truth, *, may_reject: bool) -> PerQuery:
    """Of every prediction; record i on one side belongs to record i on the other.

    The best-scored windows count, and an undefined IoU is 0. With `may_reject`, a query without an answer counts 1 if it was
    rejected and 0 otherwise, and an answerable one that was rejected counts 0.
    """
    assert predictions.windows is not None
    answered, rejected = answers(predictions, truth, may_reject=may_reject)
    right = (~answered & rejected).astype(np.float64)
    out = PerQuery(np.repeat(right[:, None], len(spans.THRESHOLDS), axis=1), right.copy(), right.copy())
    scored = np.flatnonzero(answered & ~rejected)
    if scored.size:
        subset, labels = predictions.take(scored), truth.take(scored)
        assert subset.windows is not None
        nonempty(subset.windows, subset.records, "pred_relevant_windows")
        nonempty(labels.windows, labels.records, "relevant_windows")
        ranked = spans.by_score(subset.windows)
        values = _values(ranked.first(MAP_WINDOWS), labels.windows, ranked, labels.windows, quirks=False)
        out.precision[scored], out.top1[scored], out.top5[scored] = values.precision, values.top1, values.top5
    return out


def answers(predictions: Predictions, truth: Truth, *, may_reject: bool) -> tuple[Bool, Bool]:
    """(R,) which records have an answer, and which predictions say that there is none; all and none without `may_reject`."""
    if may_reject:
        return truth.unanswerable != 1, answerability.says_no_answer(predictions)
    return np.ones(len(truth.ids), dtype=np.bool_), np.zeros(len(truth.ids), dtype=np.bool_)


def _values(ranked: Ragged, true: Ragged, in_order: Ragged, in_order_true: Ragged, *, quirks: bool) -> PerQuery:
    return PerQuery(
        spans.average_precision(ranked, true, undefined_matches=quirks),
        spans.best_overlap(in_order.first(1), in_order_true, undefined_is=np.inf if quirks else 0.0),
        spans.best_overlap(in_order.first(RECALL_WINDOWS), in_order_true, undefined_is=0.0),
    )


def _pooled(windows: Ragged, groups: Int, count: int) -> Ragged:
    """Windows of the records of a group together, in record order."""
    owners = groups[windows.owners]
    order = np.argsort(owners, kind="stable")
    return Ragged.of(windows.values[order], np.bincount(owners, minlength=count))


def last_of(groups: Int, count: int) -> Int:
    """(count,) the last record of each group."""
    last = np.zeros(count, dtype=np.int64)
    np.maximum.at(last, groups, np.arange(len(groups)))
    return last
