"""Moment retrieval and highlight detection as the published scorers report them, and without their quirks.

    moment_detr    official QVHighlights scorer              windows up to 150 s, an empty length range has no value
    lighthouse     lighthouse                                only "full" = (0, 1500] s, a real filter
    vtg            UniVTG = R2-Tuning = CausalVTG            adds mIoU and R5; an empty range is scored over everything; "no
    answer" vtg_by_record  vtg with every record as a query of its own ratsg          RaTSG's numbers for unanswerable queries
    (stages/metrics/answerability.py)

`corrected` values of a profile: the best-scored windows instead of the first in the file, an undefined IoU is 0, an empty range
has no value (None), repeated ids are told apart by (vid, qid), rejected queries count 1 or 0 instead of the overlap of
placeholders and only in "full", highlights as in stages/metrics/highlights.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stages.metrics import answerability, highlights, spans
from stages.metrics.queries import Bool, Float, Int, Predictions, Ragged, Truth, nonempty, sequences
from stages.metrics.records import IdsDifferError, InputError, NotApplicableError, sorted_ids

MAP_WINDOWS = 10  # windows of a record that count for average precision
RECALL_WINDOWS = 5
VALUE_AS_IT_IS = frozenset({"No-Answer-Acc"})  # a fraction that the reference prints with all its digits
DECIMALS = 2


@dataclass(frozen=True, kw_only=True)
class Profile:
    """ranges: name -> (min, max] seconds, None = not filtered; recall: thresholds of R1 (and R5)."""

    ranges: dict[str, tuple[float, float] | None]
    recall: tuple[float, ...] = spans.THRESHOLDS
    more: bool = False  # mIoU and R5
    empty_is_all: bool = False
    no_answer: bool = False  # knows "no answer"
    rated_only: bool = False  # highlights only if the first ground-truth record is rated


_VTG = Profile(
    ranges={"short": (0, 10), "middle": (10, 30), "long": (30, np.inf), "full": None},
    recall=(0.3, 0.35, 0.4, 0.45, *spans.THRESHOLDS),
    more=True,
    empty_is_all=True,
    no_answer=True,
    rated_only=True,
)
PROFILES: dict[str, Profile] = {
    "moment_detr": Profile(ranges={"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": None}),
    "lighthouse": Profile(ranges={"full": (0, 1500)}),
    "vtg": _VTG,
    "vtg_by_record": _VTG,
}


@dataclass(frozen=True)
class PerQuery:
    """Values of each query, in order of first occurrence in the predictions.

    precision (Q, 10) average precision per threshold; top1 (Q,) and top5 (Q,) IoU of the first and of the best of the first five.
    """

    precision: Float
    top1: Float
    top5: Float


def evaluate(
    predictions: Predictions, truth: Truth, profile: str, *, strict: bool = True, corrected: bool = False
) -> dict[str, Any]:
    """Unrounded values of one profile, nested as its reference reports them, with the summary under "brief".

    Raises NotApplicableError where the reference of the profile would fail, IdsDifferError in strict mode, InputError for
    repeated records in corrected mode.
    """
    if profile == "ratsg":
        if predictions.windows is None:
            raise NotApplicableError(
                f"{predictions.records.place(0, 'pred_relevant_windows')}: missing; profile ratsg scores windows"
            )
        return answerability.ratsg(*answerability.paired(predictions, truth, strict=strict), corrected=corrected)
    rules = PROFILES[profile]
    if profile == "vtg_by_record" or corrected:
        predictions, truth = _by_record(predictions, truth, strict=strict, needed=profile == "vtg_by_record")
    else:
        predictions, truth = common(predictions, truth, strict=strict)
    knows_no_answer = rules.no_answer and predictions.relevance is not None and truth.unanswerable[0] >= 0
    out: dict[str, Any] = {}
    accuracy = answerability.accuracy_by_position(predictions, truth) if knows_no_answer else None
    if predictions.windows is not None:
        if corrected:
            values = _corrected_windows(predictions, truth, rules, knows_no_answer)
        else:
            values = _reference_windows(
                answerability.with_placeholders(predictions) if knows_no_answer else predictions, truth, rules
            )
        out |= values
    rated = bool(truth.records.rows[0].get("saliency_scores")) if corrected else truth.rated
    if predictions.saliency is not None and (rated or not rules.rated_only):
        out |= _highlights(predictions, truth, corrected)
    return {"brief": _brief(out, rules, accuracy), **out}


def common(predictions: Predictions, truth: Truth, *, strict: bool) -> tuple[Predictions, Truth]:
    """Both sides as they are if their ids agree; else IdsDifferError (strict), or both reduced to the ids they share.

    Raises NotApplicableError if nothing is shared.
    """
    left, right = set(predictions.ids), set(truth.ids)
    if left == right:
        return predictions, truth
    if strict:
        raise IdsDifferError(predictions.records.path, sorted_ids(right - left), sorted_ids(left - right))
    shared = left & right
    if not shared:
        raise NotApplicableError(f"{predictions.records.path}: no id in common with {truth.records.path}")
    rows = [np.array([i for i, one in enumerate(side.ids) if one in shared], dtype=np.int64) for side in (predictions, truth)]
    return predictions.take(rows[0]), truth.take(rows[1])


def _by_record(predictions: Predictions, truth: Truth, *, strict: bool, needed: bool) -> tuple[Predictions, Truth]:
    """Every record a query of its own: records paired, and numbered where their ids repeat."""
    predictions, truth = common(predictions, truth, strict=strict)
    if not needed and len(set(predictions.ids)) == len(predictions.ids) and len(set(truth.ids)) == len(truth.ids):
        return predictions, truth
    if not needed:
        for side in (predictions, truth):
            pairs = [(str(vid), one) for vid, one in zip(side.vids, side.ids, strict=True)]
            if again := answerability.repeated(list(pairs)):
                raise InputError(
                    f"{side.records.place(again[0])}: this (vid, qid) occurs before; corrected values need unique records"
                )
    predictions, truth = answerability.paired(predictions, truth, strict=strict)
    ids = list(range(len(truth.ids)))
    return replace(predictions, ids=ids), replace(truth, ids=ids)


# Windows


def _reference_windows(predictions: Predictions, truth: Truth, rules: Profile) -> dict[str, Any]:
    assert predictions.windows is not None
    nonempty(predictions.windows, predictions.records, "pred_relevant_windows")
    groups, distinct = sequences(predictions.ids)
    numbers = {one: index for index, one in enumerate(distinct)}
    true_groups = np.fromiter((numbers[one] for one in truth.ids), dtype=np.int64, count=len(truth.ids))
    out = {}
    for name, limits in rules.ranges.items():
        windows = truth.windows if limits is None else _within(truth.windows, limits)
        if limits is None:
            nonempty(windows, truth.records, "relevant_windows")
        elif not len(windows.values):
            if not rules.empty_is_all:
                raise NotApplicableError(
                    f"{truth.records.path}: no window is {range_text(limits)} long; the reference has no value for it"
                )
            nonempty(truth.windows, truth.records, "relevant_windows")
            windows = truth.windows
        out[name] = _report(_per_query(predictions.windows, groups, windows, true_groups, undefined_matches=True), rules)
    return out


def range_text(limits: tuple[float, float]) -> str:
    """The range in words, e.g. "over 30 s"."""
    return f"over {limits[0]:g} s" if np.isinf(limits[1]) else f"over {limits[0]:g} and up to {limits[1]:g} s"


def _within(windows: Ragged, limits: tuple[float, float]) -> Ragged:
    length = windows.values[:, 1] - windows.values[:, 0]
    return windows.where((length > limits[0]) & (length <= limits[1]))


def _per_query(windows: Ragged, groups: Int, true: Ragged, true_groups: Int, *, undefined_matches: bool) -> PerQuery:
    """Values per query that still has a true window, from the windows of records and the query (group) of each record.

    Repeated ids: average precision pools the records of a query, the overlap values take its last record.
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
    precision = spans.average_precision(spans.by_score(pooled), pooled_true, undefined_matches=undefined_matches)
    last, last_true = windows.take(_last(groups, count)), true.take(_last(true_groups, count))
    top1 = spans.best_overlap(last.first(1), last_true, undefined_is=np.inf if undefined_matches else 0.0)
    top5 = spans.best_overlap(last.first(RECALL_WINDOWS), last_true, undefined_is=0.0)
    return PerQuery(precision, top1, top5)


def _pooled(windows: Ragged, groups: Int, count: int) -> Ragged:
    """Windows of the records of a group together, in record order."""
    owners = groups[windows.owners]
    order = np.argsort(owners, kind="stable")
    return Ragged.of(windows.values[order], np.bincount(owners, minlength=count))


def _last(groups: Int, count: int) -> Int:
    """(count,) the last record of each group."""
    last = np.zeros(count, dtype=np.int64)
    np.maximum.at(last, groups, np.arange(len(groups)))
    return last


def _report(values: PerQuery, rules: Profile) -> dict[str, Any]:
    precision = values.precision.mean(axis=0)
    out: dict[str, Any] = {"MR-mAP": dict(zip(map(str, spans.THRESHOLDS), (100 * precision).tolist(), strict=True))}
    out["MR-mAP"]["average"] = float(100 * np.mean(precision))
    out["MR-R1"] = _recall(values.top1, rules.recall)
    if rules.more:
        out["MR-mIoU"] = float(np.mean(values.top1) * 100)
        out["MR-R5"] = _recall(values.top5, rules.recall)
    return out


def _recall(overlap: Float, limits: tuple[float, ...]) -> dict[str, float]:
    return {str(limit): float(np.mean(overlap >= limit) * 100) for limit in limits}


# Corrected windows


def _corrected_windows(predictions: Predictions, truth: Truth, rules: Profile, knows_no_answer: bool) -> dict[str, Any]:
    values, answered = corrected_per_query(predictions, truth, knows_no_answer)
    _, distinct = sequences(predictions.ids)
    rows = {one: index for index, one in enumerate(truth.ids)}
    order = np.array([rows[one] for one in distinct], dtype=np.int64)
    out: dict[str, Any] = {}
    for name, limits in rules.ranges.items():
        if limits is None:
            out[name] = _report(values, rules)
            continue
        kept = np.flatnonzero((_within(truth.windows, limits).lengths[order] > 0) & answered)
        if not kept.size:
            out[name] = _nothing(rules)
            continue
        subset, labels = predictions.take(kept), truth.take(order[kept])
        labels = replace(labels, windows=_within(labels.windows, limits))
        out[name] = _report(corrected_per_query(subset, labels, knows_no_answer)[0], rules)
    return out


def corrected_per_query(predictions: Predictions, truth: Truth, knows_no_answer: bool) -> tuple[PerQuery, Bool]:
    """Values of every prediction (ids unique on both sides), and which queries have an answer.

    A query without an answer counts 1 if it was rejected and 0 otherwise; an answerable one that was rejected counts 0.
    """
    assert predictions.windows is not None
    rows = {one: index for index, one in enumerate(truth.ids)}
    truth = truth.take(np.array([rows[one] for one in predictions.ids], dtype=np.int64))
    count = len(predictions.ids)
    answered = truth.unanswerable != 1 if knows_no_answer else np.ones(count, dtype=np.bool_)
    rejected = answerability.says_no_answer(predictions) if knows_no_answer else np.zeros(count, dtype=np.bool_)
    right = (~answered & rejected).astype(np.float64)
    values = PerQuery(np.repeat(right[:, None], len(spans.THRESHOLDS), axis=1), right.copy(), right.copy())
    scored = np.flatnonzero(answered & ~rejected)
    if scored.size:
        subset, labels = predictions.take(scored), truth.take(scored)
        assert subset.windows is not None
        nonempty(subset.windows, subset.records, "pred_relevant_windows")
        nonempty(labels.windows, labels.records, "relevant_windows")
        one_each = np.arange(len(scored))
        found = _per_query(spans.by_score(subset.windows), one_each, labels.windows, one_each, undefined_matches=False)
        values.precision[scored], values.top1[scored], values.top5[scored] = found.precision, found.top1, found.top5
    return values, answered


def _nothing(rules: Profile) -> dict[str, Any]:
    """The report of a range in which there is nothing."""
    one = PerQuery(np.zeros((1, len(spans.THRESHOLDS))), np.zeros(1), np.zeros(1))
    return {key: dict.fromkeys(value) if isinstance(value, dict) else None for key, value in _report(one, rules).items()}


# Highlights


def _highlights(predictions: Predictions, truth: Truth, corrected: bool) -> dict[str, Any]:
    assert predictions.saliency is not None
    groups, distinct = sequences(predictions.ids)
    numbers = {one: index for index, one in enumerate(distinct)}
    true_groups = np.fromiter((numbers[one] for one in truth.ids), dtype=np.int64, count=len(truth.ids))
    kept, kept_true = _last(groups, len(distinct)), _last(true_groups, len(distinct))
    saliency, ratings = predictions.saliency.take(kept), highlights.ratings_of(truth.take(kept_true))
    if (empty := kept[saliency.lengths == 0]).size:
        raise NotApplicableError(
            f"{predictions.records.place(int(empty[0]), 'pred_saliency_scores')}: empty list; one score per clip is needed"
        )
    return {
        f"HL-min-{name}": {
            "HL-mAP": float(np.mean(highlights.average_precision(saliency, ratings, level, corrected=corrected)) * 100),
            "HL-Hit1": float(np.mean(highlights.hit_one(saliency, ratings, level)) * 100),
        }
        for name, level in highlights.LEVELS.items()
    }


def _brief(values: dict[str, Any], rules: Profile, accuracy: float | None) -> dict[str, Any]:
    """The summary that the references print."""
    out: dict[str, Any] = {}
    for name in rules.ranges if "full" in values else ():
        out[f"MR-{name}-mAP"] = values[name]["MR-mAP"]["average"]
        if rules.more:
            out[f"MR-{name}-mIoU"] = values[name]["MR-mIoU"]
        if name == "full":
            out |= {f"MR-full-mAP@{limit}": values[name]["MR-mAP"][limit] for limit in ("0.5", "0.75")}
            limits = ("0.3", "0.5", "0.7") if rules.more else ("0.5", "0.7")
            for rank in ("R1", "R5") if rules.more else ("R1",):
                out |= {f"MR-full-{rank}@{limit}": values[name][f"MR-{rank}"][limit] for limit in limits}
    for level, scores in values.items():
        if level.startswith("HL-min-"):
            out |= {f"{level}-{metric.removeprefix('HL-')}": value for metric, value in scores.items()}
    if accuracy is not None:
        out["No-Answer-Acc"] = accuracy
    return out
