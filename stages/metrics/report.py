"""The flat numbers of one split: what metrics.json, learning curves and results pages show.

Bare names are corrected values, every record a query of its own ("MR-full-R1@0.5", "HL-min-Good-mAP", "Acc"). Values as a
published scorer prints them carry its name in front ("vtg.MR-full-R1@0.5", "ratsg.mIoU"): those are for comparison with papers.
Predictions and ground truth are records as in the files, paired by position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stages.metrics.answerability import ratsg, says_no_answer
from stages.metrics.per_query import PerQuery, corrected_values
from stages.metrics.queries import Bool, Predictions, Truth, predictions_of, truth_of
from stages.metrics.records import NotApplicableError, Records
from stages.metrics.retrieval import DECIMALS, PROFILES, VALUE_AS_IT_IS, Memo, evaluate
from stages.metrics.rounding import rounded

Numbers = dict[str, float | None]
Rows = Sequence[Mapping[str, Any]]
GROUP_KEY = "kind"  # key of a ground-truth record that names a kind of query, e.g. hard and easy unanswerable ones
ALWAYS = ("MR-full-R1@0.3", "MR-full-R1@0.5", "MR-full-R1@0.7")


@dataclass(frozen=True)
class SplitReport:
    """metrics by flat name; recall: one row per threshold; groups: one row per group of queries with its count."""

    metrics: Numbers
    recall: list[dict[str, float]]
    groups: list[dict[str, Any]]


def validation_numbers(predictions: Rows, truth: Rows) -> dict[str, float]:
    """The corrected summary alone, for model selection; what has no value is left out."""
    numbers = evaluate(*_own(_columns(predictions, truth)), "vtg", corrected=True)["brief"]
    return {name: value for name, value in numbers.items() if value is not None}


def split_report(predictions: Rows, truth: Rows) -> SplitReport:
    """Everything that is said about one split."""
    columns = _columns(predictions, truth)
    own = _own(columns)
    values = evaluate(*own, "vtg", corrected=True)
    metrics: Numbers = dict(values["brief"])
    kinds = _kinds(own[1])
    if _may_reject(*own):
        numbers = ratsg(*own, corrected=True)
        metrics |= {name: numbers[name] for name in ("Acc", "Acc-answerable", "Acc-unanswerable")}
        right = says_no_answer(own[0]) == (own[1].unanswerable == 1)
        metrics |= {f"Acc-{kind}": float(np.mean(right[rows]) * 100) for kind, rows in kinds.items()}
    per_query = corrected_values(*own, may_reject=_may_reject(*own))
    recall = [
        {"threshold": float(limit), "R1": values["full"]["MR-R1"][limit], "R5": values["full"]["MR-R5"][limit]}
        for limit in values["full"]["MR-R1"]
    ]
    groups = _length_groups(values, own) + _answer_groups(per_query, own, kinds)
    return SplitReport(metrics | _published(*columns), recall, groups)


def baseline_numbers(predictions: Rows, truth: Rows) -> Numbers:
    """The corrected summary of a trivial predictor, with the accuracies where queries may be unanswerable."""
    own = _own(_columns(predictions, truth))
    numbers: Numbers = dict(evaluate(*own, "vtg", corrected=True)["brief"])
    if _may_reject(*own):
        accuracies = ratsg(*own, corrected=True)
        numbers |= {name: accuracies[name] for name in ("Acc", "Acc-answerable", "Acc-unanswerable")}
    return numbers


def _columns(predictions: Rows, truth: Rows) -> tuple[Predictions, Truth]:
    """Columns of both sides, with the published ids."""
    assert len(predictions) == len(truth), "evaluation makes one prediction per record"
    sides = [
        Records(name, [dict(row) for row in rows], range(1, len(rows) + 1))
        for name, rows in (("predictions", predictions), ("ground truth", truth))
    ]
    return predictions_of(sides[0]), truth_of(sides[1])


def _own(columns: tuple[Predictions, Truth]) -> tuple[Predictions, Truth]:
    """The same with every record as a query of its own."""
    ids = list(range(len(columns[0].ids)))
    return replace(columns[0], ids=ids), replace(columns[1], ids=ids)


def _may_reject(predictions: Predictions, truth: Truth) -> bool:
    return predictions.relevance is not None and bool((truth.unanswerable >= 0).all())


def _published(ours: Predictions, theirs: Truth) -> Numbers:
    """Values of the published scorers that apply, as they print them, quirks included."""
    out: Numbers = {}
    memo: Memo = {}
    for profile in ("vtg", "vtg_by_record", "ratsg") if _may_reject(ours, theirs) else ("vtg", "moment_detr"):
        try:
            numbers = evaluate(ours, theirs, profile, memo=memo)
        except NotApplicableError:
            continue
        printed = rounded(numbers.get("brief", numbers), DECIMALS, as_they_are=VALUE_AS_IT_IS)
        out |= {f"{profile}.{name}": value for name, value in printed.items()}
    return out


def _kinds(truth: Truth) -> dict[str, Bool]:
    """Records by what they call their kind, for the unanswerable ones; empty where they do not say."""
    named = [row.get(GROUP_KEY) if flag == 1 else None for row, flag in zip(truth.records.rows, truth.unanswerable, strict=True)]
    return {str(kind): np.array([one == kind for one in named]) for kind in sorted({one for one in named if one is not None})}


def _length_groups(values: dict[str, Any], own: tuple[Predictions, Truth]) -> list[dict[str, Any]]:
    """The length ranges of the scorers, each with its own values under the names of the whole set."""
    windows = own[1].windows
    length = windows.values[:, 1] - windows.values[:, 0]
    answered = (own[1].unanswerable != 1)[windows.owners]
    out = []
    for name, limits in PROFILES["vtg"].ranges.items():
        if limits is None:
            continue
        inside = (length > limits[0]) & (length <= limits[1]) & answered
        if inside.any():
            part = values[name]
            out.append(
                {
                    "group": f"{name} moments",
                    "count": len(np.unique(windows.owners[inside])),
                    **{f"MR-full-R1@{limit}": value for limit, value in part["MR-R1"].items() if f"MR-full-R1@{limit}" in ALWAYS},
                    "MR-full-mIoU": part["MR-mIoU"],
                    "MR-full-mAP": part["MR-mAP"]["average"],
                }
            )
    return out


def _answer_groups(values: PerQuery, own: tuple[Predictions, Truth], kinds: dict[str, Bool]) -> list[dict[str, Any]]:
    """Answerable and unanswerable queries apart, the latter by kind where the ground truth says one."""
    if not _may_reject(*own):
        return []
    flags = own[1].unanswerable
    rows = {
        "answerable": flags == 0,
        **({f"unanswerable, {kind}": inside for kind, inside in kinds.items()} or {"unanswerable": flags == 1}),
    }
    right = says_no_answer(own[0]) == (flags == 1)
    return [
        {
            "group": name,
            "count": int(inside.sum()),
            **{f"MR-full-R1@{limit}": float(np.mean(values.top1[inside] >= limit) * 100) for limit in (0.3, 0.5, 0.7)},
            "MR-full-mIoU": float(np.mean(values.top1[inside]) * 100),
            "MR-full-mAP": float(np.mean(values.precision[inside]) * 100),
            "Acc": float(np.mean(right[inside]) * 100),
        }
        for name, inside in rows.items()
        if inside.any()
    ]
