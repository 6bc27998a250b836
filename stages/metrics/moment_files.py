"""Scoring prediction files of moment retrieval: what the five moment-retrieval benchmarks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stages.metrics.contract import Request, Scored, each_profile
from stages.metrics.oddities import oddities
from stages.metrics.queries import Predictions, Truth, predictions_of, truth_of
from stages.metrics.records import read_records
from stages.metrics.retrieval import DECIMALS, PROFILES, VALUE_AS_IT_IS, Memo, common, evaluate, range_text
from stages.metrics.rounding import rounded

FILES = ("predictions", "ground_truth")
ALL_PROFILES = (*PROFILES, "ratsg")


def scorer(default: tuple[str, ...]) -> Callable[[Request], Scored]:
    """The `score` of a benchmark whose scores are those of `default` unless profiles are named."""

    def score(request: Request) -> Scored:
        return score_records(
            predictions_of(read_records(request.files["predictions"])),
            truth_of(read_records(request.files["ground_truth"])),
            request,
            default,
        )

    return score


def score_records(predictions: Predictions, truth: Truth, request: Request, default: tuple[str, ...]) -> Scored:
    """Values of the requested profiles. n_scored counts prediction records, n_skipped what --ids intersection leaves out."""
    shared, shared_truth = common(predictions, truth, strict=request.strict)
    scored = Scored(
        n_scored=len(shared.ids),
        n_skipped=len(predictions.ids) - len(shared.ids) + len(truth.ids) - len(shared_truth.ids),
        warnings=oddities(shared, shared_truth),
    )
    if scored.n_skipped:
        scored.warnings.append(
            f"{predictions.records.path}: {len(predictions.ids) - len(shared.ids)} records with unknown ids and "
            f"{len(truth.ids) - len(shared_truth.ids)} ground-truth records without a prediction are left out"
        )

    memo: Memo = {}

    def values(profile: str, corrected: bool) -> dict[str, Any]:
        numbers = evaluate(shared, shared_truth, profile, strict=request.strict, corrected=corrected, memo=memo)
        return {"rounded": rounded(numbers, DECIMALS, as_they_are=VALUE_AS_IT_IS), "unrounded": numbers}

    each_profile(request, default, scored, values)
    scored.warnings += _empty_ranges(shared_truth, list(scored.profiles))
    return scored


def _empty_ranges(truth: Truth, profiles: list[str]) -> list[str]:
    """Which of the reported length ranges hold the values of the whole set."""
    lengths = truth.windows.values[:, 1] - truth.windows.values[:, 0]
    return [
        f"{profile}: no true window is in the range {name} ({range_text(limits)}); as in the reference, the values under this "
        "name are those of the whole set"
        for profile in profiles
        if profile in PROFILES and PROFILES[profile].empty_is_all
        for name, limits in PROFILES[profile].ranges.items()
        if limits is not None and not ((lengths > limits[0]) & (lengths <= limits[1])).any()
    ]
