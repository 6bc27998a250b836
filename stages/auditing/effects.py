"""Effects in the outcomes of an audit: levels, gaps and gains, each with a bootstrap interval over seeds and queries.

    level      m(v, split)                                         measure m of variant v on a split
    gap        m(v, iid) - m(v, interventional)                    shortcut gap: how much of the iid level of v is due to the bias
    gain       m(v, interventional) - m(base, interventional)      debiasing gain
    part       m(full, interventional) - m(v, interventional)      what the part contributes that v is without
    narrowing  gap(base) - gap(v)                                  how much of the gap v closes
    gap beyond twin     gap(v) - gap(v trained without bias)                     the share of the gap that the bias caused
    against base        m(control, interventional) - m(base, interventional)     difference from base where the bias is cut
    against twin        m(control, interventional) - m(control trained without bias, interventional)
    gain beyond twin    gain(v) - gain(v, where v and base are trained without bias)      the share of the gain that is debiasing

An effect is a signed sum of means over (seed, query). Variants are paired by query and seed. Seeds and the queries of each split
are drawn independently, with replacement, by scipy.stats.bootstrap (percentile intervals); with one seed, only the queries.

Intervals over few seeds are too narrow, because few trainings understate how much others would differ: COVERED below says how
many of 100 contain the true value. One seed says nothing about other trainings. Queries of one video are drawn as if they were
independent; on the runs of the demo, drawing whole videos instead makes an interval between 14 % narrower and 10 % wider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from stages.auditing.outcomes import Aligned, Floats
from stages.auditing.settings import TWIN, Audit

Terms = Mapping[tuple[str, str], float]  # (variant, split) -> sign
BATCH = 100  # resamples at a time: bounds the memory
# Number of seeds -> how many of 100 intervals with a confidence of 0.95 contain the true value, simulated: where the standard
# deviation over trainings is as large as the standard error of the mean over queries, and 2, 4 and 20 times as large.
COVERED = {2: (89, 82, 71, 55), 3: (92, 89, 83, 76), 4: (92, 90, 87, 80), 5: (93, 91, 88, 85), 10: (93, 93, 92, 90)}


@dataclass(frozen=True)
class Effect:
    """One number of one variant, in the unit of the measure, with its interval; queries: how many it is a mean over."""

    kind: str
    variant: str
    split: str
    measure: str
    value: float
    low: float
    high: float
    seed_sd: float
    queries: int

    @property
    def name(self) -> str:
        """Dotted: variant, kind or split, measure."""
        return f"{self.variant}.{self.split or self.kind}.{self.measure}"


def effects(audit: Audit, aligned: Aligned) -> Iterator[Effect]:
    """All effects of all variants; an effect is left out where a variant that it compares does not have the measure."""
    for measure in audit.measures:
        for kind, variant, split, terms in _planned(audit):
            estimated = estimate(aligned, measure, terms, audit)
            if estimated is not None:
                value, low, high, seed_sd, queries = estimated
                yield Effect(kind, variant, split, measure, value, low, high, seed_sd, queries)


def _planned(audit: Audit) -> Iterator[tuple[str, str, str, Terms]]:
    """(kind, variant, split of a level, terms) of every effect."""
    cut = audit.splits.interventional
    for variant in audit.changes():
        for split in audit.splits.names():
            yield "level", variant, split, {(variant, split): 1.0}
        gap = _gap(variant, audit)
        yield "gap", variant, "", gap
        if variant in audit.controls:
            yield "against base", variant, "", {(variant, cut): 1.0, (audit.base, cut): -1.0}
            if variant in audit.with_twins:
                yield "against twin", variant, "", {(variant, cut): 1.0, (f"{variant}-{TWIN}", cut): -1.0}
        if variant not in audit.variants:  # a control or a twin
            continue
        gain = {(variant, cut): 1.0, (audit.base, cut): -1.0}
        if variant != audit.base:
            yield "gain", variant, "", gain
            yield "narrowing", variant, "", _sum(_gap(audit.base, audit), _minus(gap))
        if variant not in (audit.base, audit.full):
            yield "part", variant, "", {(audit.full, cut): 1.0, (variant, cut): -1.0}
        if variant in audit.twins:
            yield "gap beyond twin", variant, "", _sum(gap, _minus(_gap(f"{variant}-{TWIN}", audit)))
            if variant != audit.base and audit.base in audit.twins:
                gain_of_twins = {(f"{name}-{TWIN}", split): sign for (name, split), sign in gain.items()}
                yield "gain beyond twin", variant, "", _sum(gain, _minus(gain_of_twins))


def _gap(variant: str, audit: Audit) -> Terms:
    return {(variant, audit.splits.iid): 1.0, (variant, audit.splits.interventional): -1.0}


def _minus(terms: Terms) -> Terms:
    return {key: -sign for key, sign in terms.items()}


def _sum(*several: Terms) -> Terms:
    out: dict[tuple[str, str], float] = {}
    for terms in several:
        for key, sign in terms.items():
            out[key] = out.get(key, 0.0) + sign
    return out


def estimate(aligned: Aligned, measure: str, terms: Terms, audit: Audit) -> tuple[float, float, float, float, int] | None:
    """Value, low, high, standard deviation over seeds, queries of a signed sum of means; None where a variant lacks the measure.

    A query counts where every cell of its split has a number for it.
    """
    parts: dict[str, Floats] = {}  # split -> (S, Q)
    for (variant, split), sign in terms.items():
        values = aligned.of(variant, split, measure)
        if values is None:
            return None
        parts[split] = parts.get(split, np.zeros(())) + sign * values
    kept = [part[:, ~np.isnan(part).any(axis=0)] for part in parts.values()]
    if any(part.shape[1] == 0 for part in kept):
        return None
    by_seed = sum((part.mean(axis=1) for part in kept), np.zeros(len(aligned.seeds)))
    low, high = _interval(kept, audit)
    sd = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else float("nan")
    return float(by_seed.mean()), low, high, sd, sum(part.shape[1] for part in kept)


def _interval(parts: list[Floats], audit: Audit) -> tuple[float, float]:
    """Percentile interval of the sum of the parts' means; parts (S, Q_i) share their seeds."""
    seeds, drawn_seeds = parts[0].shape[0], parts[0].shape[0] > 1
    if any(part.shape[1] < 2 for part in parts):
        return float("nan"), float("nan")

    def statistic(*samples: NDArray[np.int64], axis: int = -1) -> Any:  # noqa: ARG001  # always the last one
        chosen, queries = (samples[0], samples[1:]) if drawn_seeds else (np.zeros((1, 1), np.int64), samples)
        chosen = np.broadcast_to(chosen, (*queries[0].shape[:-1], chosen.shape[-1]))
        picked = (part[chosen[..., :, None], rows[..., None, :]] for part, rows in zip(parts, queries, strict=True))
        return sum(values.mean(axis=(-2, -1)) for values in picked)

    places = [np.arange(part.shape[1]) for part in parts]
    with np.errstate(invalid="ignore", divide="ignore"):
        resampled = bootstrap(
            [np.arange(seeds), *places] if drawn_seeds else places,
            statistic,
            n_resamples=audit.resamples,
            batch=BATCH,
            vectorized=True,
            confidence_level=audit.confidence,
            method="percentile",
            rng=np.random.default_rng(audit.bootstrap_seed),
        )
    return float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)
