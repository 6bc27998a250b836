"""Queries that the video does not answer: the decision, how CausalVTG's scorer treats it, and how RaTSG's does.

A prediction says "answerable" when its `relavent_score` (the reference's spelling) is above one half; exactly one half says "no
answer". Sources: the scorers of CausalVTG (2025) and RaTSG (NeurIPS 2024), as in the project's metric definitions.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import numpy as np

from stages.metrics.queries import Bool, Float, Int, Predictions, Ragged, Truth, sequences
from stages.metrics.records import IdsDifferError, NotApplicableError, sorted_ids

PLACEHOLDER = (0.0, 0.001, 0.0)  # window s, s, score that stands for "no answer"
COPIES = 10


def says_no_answer(predictions: Predictions) -> Bool:
    """(R,) the prediction is "no answer"; records without a score are taken as answerable."""
    assert predictions.relevance is not None
    return np.asarray(predictions.relevance <= 0.5)


def with_placeholders(predictions: Predictions) -> Predictions:
    """The windows of every "no answer" replaced by ten copies of the placeholder, as CausalVTG's scorer does."""
    assert predictions.windows is not None
    rejected = says_no_answer(predictions)
    lengths = np.where(rejected, COPIES, predictions.windows.lengths)
    values = np.empty((int(lengths.sum()), 3))
    replaced = np.repeat(rejected, lengths)
    values[replaced] = PLACEHOLDER
    values[~replaced] = predictions.windows.values[~rejected[predictions.windows.owners]]
    return replace(predictions, windows=Ragged.of(values, lengths))


def accuracy_by_position(predictions: Predictions, truth: Truth) -> float:
    """Share of right decisions, prediction i against ground-truth record i; pairs that lack either flag do not count."""
    assert predictions.relevance is not None
    count = min(len(predictions.ids), len(truth.ids))
    flags = truth.unanswerable[:count]
    scored = (flags >= 0) & ~np.isnan(predictions.relevance[:count])
    if not scored.any():
        raise NotApplicableError(f"{predictions.records.path}: no pair of records has both relavent_score and no_answer")
    right = says_no_answer(predictions)[:count] == (flags == 1)
    return float(np.count_nonzero(right & scored) / np.count_nonzero(scored))


def paired(predictions: Predictions, truth: Truth, *, strict: bool) -> tuple[Predictions, Truth]:
    """Both sides with record i speaking about record i: as they stand, or matched by (vid, qid) where the order differs.

    Raises IdsDifferError in strict mode if a pair has no partner, NotApplicableError if pairs repeat and the order differs.
    """
    has_vids = None not in predictions.vids and None not in truth.vids
    left, right = (_pairs(side.vids, side.ids) if has_vids else list(side.ids) for side in (predictions, truth))
    if left == right:
        return predictions, truth
    for pairs, side in ((left, predictions), (right, truth)):
        if len(set(pairs)) < len(pairs):
            where = repeated(pairs)[0]
            raise NotApplicableError(
                f"{side.records.place(where)}: this {'(vid, qid)' if has_vids else 'qid'} occurs before, and the files differ in "
                "their order, so records cannot be told apart; bring them into the same order"
            )
    if strict and set(left) != set(right):
        raise IdsDifferError(predictions.records.path, _shown(set(right) - set(left)), _shown(set(left) - set(right)))
    places = {pair: index for index, pair in enumerate(left)}
    kept = [index for index, pair in enumerate(right) if pair in places]
    order = np.array([places[right[index]] for index in kept], dtype=np.int64)
    return predictions.take(order), truth.take(np.array(kept, dtype=np.int64))


def repeated(ids: Sequence[Hashable]) -> list[int]:
    """Indices of the records whose id occurs before them."""
    groups, _ = sequences(ids)
    _, firsts = np.unique(groups, return_index=True)
    return [int(row) for row in np.setdiff1d(np.arange(len(ids)), firsts)]


def _pairs(vids: Sequence[Hashable], ids: Sequence[Hashable]) -> list[Hashable]:
    return list(zip(vids, ids, strict=True))


def _shown(pairs: set[Hashable]) -> list[str]:
    return sorted_ids([pair if isinstance(pair, (int, str)) else "/".join(map(str, pair)) for pair in pairs])  # type: ignore[call-overload]


def ratsg(predictions: Predictions, truth: Truth, *, corrected: bool = False) -> dict[str, float | int | None]:
    """RaTSG's own numbers over paired records: R1 at three thresholds, mIoU, accuracies (percent, unrounded), and their count.

    A record's IoU is 1 if both sides say "no answer", 0 if exactly one does, else inter / hull of the first window, at least 0.
    """
    if predictions.relevance is None or np.isnan(predictions.relevance).any():
        row = 0 if predictions.relevance is None else int(np.flatnonzero(np.isnan(predictions.relevance))[0])
        raise NotApplicableError(
            f"{predictions.records.place(row, 'relavent_score')}: missing; profile ratsg needs it in every record"
        )
    if (silent := np.flatnonzero(truth.unanswerable < 0)).size:
        raise NotApplicableError(
            f"{truth.records.place(int(silent[0]), 'no_answer')}: missing; profile ratsg needs it in every record"
        )
    no_answer, rejected = truth.unanswerable == 1, says_no_answer(predictions)
    iou = np.where(no_answer & rejected, 1.0, 0.0)
    both = np.flatnonzero(~no_answer & ~rejected)
    iou[both] = _top_window_iou(predictions, truth, both, corrected)
    right = no_answer == rejected
    out: dict[str, float | int | None] = {f"R1@{limit}": _percent(iou >= limit) for limit in (0.3, 0.5, 0.7)}
    out["mIoU"] = _percent(iou)
    for name, group in (("unanswerable", no_answer), ("answerable", ~no_answer)):
        if not group.any() and not corrected:
            raise NotApplicableError(f"{truth.records.path}: no {name} record; profile ratsg divides by their number")
        out[f"Acc-{name}"] = _percent(right[group]) if group.any() else None
    return {**out, "Acc": _percent(right), "n": len(iou)}


def _top_window_iou(predictions: Predictions, truth: Truth, rows: Int, corrected: bool) -> Float:
    """max(0, inter / hull) of the first window on each side, for `rows`."""
    assert predictions.windows is not None
    for windows, side, field in (
        (predictions.windows, predictions, "pred_relevant_windows"),
        (truth.windows, truth, "relevant_windows"),
    ):
        if (empty := rows[windows.lengths[rows] == 0]).size:
            raise NotApplicableError(f"{side.records.place(int(empty[0]), field)}: empty list; at least one window is needed")
    first = predictions.windows.values[predictions.windows.offsets[rows]]
    second = truth.windows.values[truth.windows.offsets[rows]]
    inter = np.minimum(first[:, 1], second[:, 1]) - np.maximum(first[:, 0], second[:, 0])
    hull = np.maximum(first[:, 1], second[:, 1]) - np.minimum(first[:, 0], second[:, 0])
    if not corrected and (flat := np.flatnonzero(hull == 0)).size:
        place = predictions.records.place(int(rows[flat[0]]), "pred_relevant_windows[0]")
        raise NotApplicableError(f"{place}: no length, at the same place as the true window; profile ratsg divides by zero there")
    return np.asarray(np.maximum(0.0, np.divide(inter, hull, out=np.zeros_like(inter), where=hull != 0)))


def _percent(values: Float | Bool) -> float:
    return float(np.mean(values) * 100)
