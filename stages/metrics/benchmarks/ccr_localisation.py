"""Weakly supervised localisation as CPL and CCR score it: proposals with a reconstruction loss each, one answer per query.

Predictions: JSON lines in the order of the labels, `center`, `width`, `nll` with K numbers each, `vid`; `index` is the place of
the label where it is given. Labels: `vid`, `duration`, `window` in seconds. CCR quotes vote_weighted on Charades-STA (3,158
queries) and no_vote on ActivityNet Captions (17,031); the references vote with vote_weighted on the former and vote_plain on the
latter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.metrics.contract import Benchmark, Request, Scored, each_profile
from stages.metrics.localisation import PROFILES, localisation, ranked
from stages.metrics.records import IdsDifferError, InputError, Records, is_number, read_records
from stages.metrics.rounding import rounded

DECIMALS = 4
FIELDS = ("center", "width", "nll")


def score(request: Request) -> Scored:
    """Values of the requested profiles. There is nothing to correct: --corrected repeats them.

    Raises InputError for records that cannot be scored, IdsDifferError where predictions and labels are not about the same.
    """
    predictions = read_records(request.files["predictions"], "vid")
    labels = read_records(request.files["ground_truth"], "vid")
    places = _places(predictions, len(labels))
    kept, shared = _shared(predictions, labels, places, strict=request.strict)
    _same_videos(predictions, labels, kept, shared)
    values = _numbers(predictions, request.num_proposals)[:, kept]  # (3, Q, K)
    spans, truth = ranked(*values), _truth(labels)[shared]
    scored = Scored(n_scored=len(kept), n_skipped=len(predictions) + len(labels) - 2 * len(kept))
    if scored.n_skipped:
        scored.warnings.append(f"{predictions.path}: {scored.n_skipped} records without a counterpart are left out")
    if late := int((truth[:, 1] > 1).sum()):
        scored.warnings.append(f"{labels.path}: {late} windows end after their video; as in the reference, they are not clipped")

    def values_of(profile: str, _corrected: bool) -> dict[str, Any]:
        numbers = localisation(spans, truth, profile)
        return {"rounded": rounded(numbers, DECIMALS), "unrounded": numbers}

    each_profile(request, PROFILES, scored, values_of)
    return scored


def _places(predictions: Records, labels: int) -> list[int]:
    """Which label each prediction is about: its `index`, or its own place where no record has one."""
    if not any("index" in row for row in predictions.rows):
        return list(range(len(predictions)))
    places = predictions.column("index", (int,), "the place of the label, from 0")
    seen: dict[int, int] = {}
    for row, place in enumerate(places):
        if (first := seen.setdefault(place, row)) != row:
            raise InputError(
                f"{predictions.place(row, 'index')}: {place} was already used in {predictions.unit} {predictions.lines[first]}; "
                f"one prediction for each of the {labels} labels"
            )
    return places


def _shared(
    predictions: Records, labels: Records, places: list[int], *, strict: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Predictions with a label, and their labels."""
    known = [row for row, place in enumerate(places) if 0 <= place < len(labels)]
    missing = sorted(set(range(len(labels))) - set(places))
    unknown = [place for place in places if not 0 <= place < len(labels)]
    if strict and (missing or unknown):
        raise IdsDifferError(predictions.path, missing, unknown)
    if not known:
        raise InputError(f"{predictions.path}: no prediction is about any of the {len(labels)} labels of {labels.path}")
    return np.array(known, np.int64), np.array([places[row] for row in known], np.int64)


def _same_videos(predictions: Records, labels: Records, kept: NDArray[np.int64], shared: NDArray[np.int64]) -> None:
    theirs = labels.column("vid", (str,), "the id of a video")
    for row, place in zip(kept.tolist(), shared.tolist(), strict=True):
        if (vid := predictions.rows[row].get("vid", theirs[place])) != theirs[place]:
            raise InputError(
                f"{predictions.place(row, 'vid')}: label {place} is about {theirs[place]!r}, got {vid!r}; predictions must be in "
                "the order of the labels"
            )


def _numbers(predictions: Records, proposals: int | None) -> NDArray[np.float64]:
    """center, width, nll as (3, Q, K)."""
    first = predictions.rows[0].get("center")
    count = proposals if proposals is not None else len(first) if isinstance(first, list) else 0

    def good(value: Any) -> bool:
        return isinstance(value, list) and len(value) == count > 0 and all(map(is_number, value))

    columns = [predictions.column(name, (list,), f"a list of {count} numbers") for name in FIELDS]
    for name, column in zip(FIELDS, columns, strict=True):
        predictions.reject(column, good, name, f"a list of {count} finite numbers, one per proposal")
    return np.array(columns, dtype=np.float64)


def _truth(labels: Records) -> NDArray[np.float64]:
    """Windows as fractions of the duration, (Q, 2)."""

    def window(value: Any) -> bool:
        return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))

    windows = labels.column("window", (list,), "[start, end] in seconds")
    labels.reject(windows, window, "window", "[start, end] in seconds")
    durations = labels.column("duration", (int, float), "seconds above 0")
    labels.reject(durations, lambda value: is_number(value) and value > 0, "duration", "seconds above 0")
    return np.array(windows, dtype=np.float64) / np.array(durations, dtype=np.float64)[:, None]


BENCHMARK = Benchmark(
    title="Weakly supervised localisation (CPL, CCR)",
    files=("predictions", "ground_truth"),
    options=("ids", "num_proposals"),
    profiles=PROFILES,
    default=PROFILES,
    score=score,
)
