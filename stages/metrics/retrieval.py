"""Moment retrieval and highlight detection as the published scorers report them, and without their quirks.

    moment_detr      official QVHighlights scorer      long is up to 150 s; refuses files in which a length range is empty
    lighthouse       lighthouse                        range full alone, and that filters: over 0 and up to 1500 s
    vtg              UniVTG = R2-Tuning = CausalVTG    long has no end; adds mIoU and R5; knows "no answer"; an empty range
                                                       is scored over all windows
    vtg_by_record    the same scorer                   every record is a query of its own, whatever its id
    ratsg            RaTSG                             R1, mIoU and accuracy of "no answer" (stages/metrics/answerability.py)

`corrected` values of a profile: the best-scored windows instead of the first in the file, an undefined IoU is 0, an empty range
has no value (None), repeated ids are told apart by (vid, qid), rejected queries count 1 or 0 instead of the overlap of
placeholders and only in "full", highlights as in stages/metrics/highlights.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stages.metrics import answerability, highlights, spans
from stages.metrics.per_query import PerQuery, answers, corrected_values, last_of, reference_values
from stages.metrics.queries import Bool, Float, Predictions, Ragged, Truth, nonempty, sequences
from stages.metrics.records import IdsDifferError, InputError, NotApplicableError, sorted_ids

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


Memo = dict[tuple[Any, ...], Any]


def evaluate(
    predictions: Predictions,
    truth: Truth,
    profile: str,
    *,
    strict: bool = True,
    corrected: bool = False,
    memo: Memo | None = None,
) -> dict[str, Any]:
    """Unrounded values of one profile, nested as its reference reports them, with the summary under "brief".

    `memo`, handed to the calls for several profiles of the same two files, keeps what they share.

    Raises NotApplicableError where the reference of the profile would fail, IdsDifferError in strict mode, InputError for
    repeated records in corrected mode.
    """
    memo = {} if memo is None else memo
    if profile == "ratsg":
        if predictions.windows is None:
            place = predictions.records.place(0, "pred_relevant_windows")
            raise NotApplicableError(f"{place}: missing; profile ratsg scores windows")
        return answerability.ratsg(*answerability.paired(predictions, truth, strict=strict), corrected=corrected)
    rules = PROFILES[profile]
    by_record = profile == "vtg_by_record"
    predictions, truth = _matched(predictions, truth, strict=strict, by_record=by_record, corrected=corrected)
    may_reject = rules.no_answer and predictions.relevance is not None and bool(truth.unanswerable[0] >= 0)
    out: dict[str, Any] = {}
    accuracy = answerability.accuracy_by_position(predictions, truth) if may_reject else None
    if predictions.windows is not None:
        if corrected:
            out |= _corrected_windows(predictions, truth, rules, may_reject)
        else:
            replaced = answerability.with_placeholders(predictions) if may_reject else predictions
            out |= _reference_windows(replaced, truth, rules, memo, (by_record, may_reject))
    if predictions.saliency is not None and (truth.rated or not rules.rated_only):
        key = ("highlights", by_record, corrected)
        if key not in memo:
            memo[key] = _highlights(predictions, truth, corrected)
        out |= memo[key]
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
    rows = [np.array([i for i, qid in enumerate(side.ids) if qid in shared], dtype=np.int64) for side in (predictions, truth)]
    return predictions.take(rows[0]), truth.take(rows[1])


def _matched(
    predictions: Predictions, truth: Truth, *, strict: bool, by_record: bool, corrected: bool
) -> tuple[Predictions, Truth]:
    """Both sides with the ids that count: the published ones, or one per record where records are queries of their own.

    Corrected values need to know which record belongs to which, so record i then belongs to record i.
    """
    predictions, truth = common(predictions, truth, strict=strict)
    if not (by_record or corrected):
        return predictions, truth
    if not by_record:
        unique = len(set(predictions.ids)) == len(predictions.ids) and len(set(truth.ids)) == len(truth.ids)
        if unique:
            places = {qid: row for row, qid in enumerate(truth.ids)}
            return predictions, truth.take(np.array([places[qid] for qid in predictions.ids], dtype=np.int64))
        for side in (predictions, truth):
            if again := answerability.repeated(list(zip(side.vids, side.ids, strict=True))):
                place = side.records.place(again[0])
                raise InputError(f"{place}: this (vid, qid) occurs before; corrected values need unique records")
    predictions, truth = answerability.paired(predictions, truth, strict=strict)
    ids = list(range(len(truth.ids)))
    return replace(predictions, ids=ids), replace(truth, ids=ids)


# Windows


def _reference_windows(
    predictions: Predictions, truth: Truth, rules: Profile, memo: Memo, key: tuple[Any, ...]
) -> dict[str, Any]:
    assert predictions.windows is not None
    nonempty(predictions.windows, predictions.records, "pred_relevant_windows")
    groups, distinct = sequences(predictions.ids)
    numbers = {qid: index for index, qid in enumerate(distinct)}
    true_groups = np.fromiter((numbers[qid] for qid in truth.ids), dtype=np.int64, count=len(truth.ids))
    out = {}
    for name, limits in rules.ranges.items():
        inside = _inside(truth.windows, limits)
        if limits is not None and not inside.any():
            if not rules.empty_is_all:
                what = f"no window is {range_text(limits)} long; the reference has no value for it"
                raise NotApplicableError(f"{truth.records.path}: {what}")
            inside, limits = _inside(truth.windows, None), None
        if limits is None:
            nonempty(truth.windows, truth.records, "relevant_windows")
        same = ("windows", *key, inside.tobytes())
        if same not in memo:
            memo[same] = reference_values(predictions.windows, groups, truth.windows.where(inside), true_groups)
        out[name] = _report(memo[same], rules)
    return out


def _inside(windows: Ragged, limits: tuple[float, float] | None) -> Bool:
    """(W,) windows whose length is in the range."""
    if limits is None:
        return np.ones(len(windows.values), dtype=np.bool_)
    length = windows.values[:, 1] - windows.values[:, 0]
    return np.asarray((length > limits[0]) & (length <= limits[1]))


def range_text(limits: tuple[float, float]) -> str:
    """The range in words, e.g. "over 30 s"."""
    return f"over {limits[0]:g} s" if np.isinf(limits[1]) else f"over {limits[0]:g} and up to {limits[1]:g} s"


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


def _corrected_windows(predictions: Predictions, truth: Truth, rules: Profile, may_reject: bool) -> dict[str, Any]:
    answered, _ = answers(predictions, truth, may_reject=may_reject)
    out: dict[str, Any] = {}
    for name, limits in rules.ranges.items():
        if limits is None:
            out[name] = _report(corrected_values(predictions, truth, may_reject=may_reject), rules)
            continue
        filtered = truth.windows.where(_inside(truth.windows, limits))
        kept = np.flatnonzero((filtered.lengths > 0) & answered)
        if kept.size:
            labels = replace(truth, windows=filtered).take(kept)
            out[name] = _report(corrected_values(predictions.take(kept), labels, may_reject=may_reject), rules)
        else:
            out[name] = _nothing(rules)
    return out


def _nothing(rules: Profile) -> dict[str, Any]:
    """The report of a range in which there is nothing."""
    one = PerQuery(np.zeros((1, len(spans.THRESHOLDS))), np.zeros(1), np.zeros(1))
    return {key: dict.fromkeys(value) if isinstance(value, dict) else None for key, value in _report(one, rules).items()}


# Highlights


def _highlights(predictions: Predictions, truth: Truth, corrected: bool) -> dict[str, Any]:
    assert predictions.saliency is not None
    groups, distinct = sequences(predictions.ids)
    numbers = {qid: index for index, qid in enumerate(distinct)}
    true_groups = np.fromiter((numbers[qid] for qid in truth.ids), dtype=np.int64, count=len(truth.ids))
    kept, kept_true = last_of(groups, len(distinct)), last_of(true_groups, len(distinct))
    saliency, ratings = predictions.saliency.take(kept), highlights.ratings_of(truth.take(kept_true))
    if (empty := kept[saliency.lengths == 0]).size:
        raise NotApplicableError(
            f"{predictions.records.place(int(empty[0]), 'pred_saliency_scores')}: empty list; one score per clip is needed"
        )
    precision = highlights.average_precision(saliency, ratings, corrected=corrected)
    return {
        f"HL-min-{name}": {
            "HL-mAP": float(np.mean(precision[name]) * 100),
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
