"""What the outcomes of an audit say: levels, gaps and gains, each with a bootstrap interval over seeds and queries.

    level      m(v, split)                                                       of variant v on a split
    gap        m(v, iid) - m(v, interventional)                                  what v owes to the bias: the shortcut gap
    gain       m(v, interventional) - m(base, interventional)                    the debiasing gain
    part       m(full, interventional) - m(v, interventional)                    what the part adds that v lacks
    narrowing  gap(base) - gap(v)                                                how much of the gap v closes
    gap beyond twin     gap(v) - gap(v trained without bias)                     the part of the gap that the bias made
    against base        m(control, interventional) - m(base, interventional)     of a control: what it lacks, or has, without bias
    against twin        m(control, .) - m(control trained without bias, .)       on the interventional split
    gain beyond twin    gain(v) - gain(v) where both are trained without bias    the part of the gain that is debiasing

An effect is a signed sum of means over (seed, query). Queries of the same split are paired, and so are seeds; both are drawn with
replacement, each for itself, by scipy.stats.bootstrap (percentile intervals). With one seed only the queries are drawn.
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


@dataclass(frozen=True)
class Effect:
    """One number of one variant: value in percent or as the measure is, with its interval; queries: how many it is over."""

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
    """All effects of all variants, for every measure that the variants in question have."""
    for measure in audit.measures:
        for kind, variant, split, terms in _planned(audit):
            found = estimate(aligned, measure, terms, audit)
            if found is not None:
                value, low, high, sd, count = found
                yield Effect(kind, variant, split, measure, value, low, high, sd, count)


def _planned(audit: Audit) -> Iterator[tuple[str, str, str, Terms]]:
    """(kind, variant, split of a level, terms) of every effect."""
    iid, cut = audit.splits.iid, audit.splits.interventional
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
        over = {(variant, cut): 1.0, (audit.base, cut): -1.0}
        if variant != audit.base:
            yield "gain", variant, "", over
            yield "narrowing", variant, "", _sum(_gap(audit.base, audit), _minus(gap))
        if variant not in (audit.base, audit.full):
            yield "part", variant, "", {(audit.full, cut): 1.0, (variant, cut): -1.0}
        if variant in audit.twins:
            yield "gap beyond twin", variant, "", _sum(gap, _minus(_gap(f"{variant}-{TWIN}", audit)))
            if variant != audit.base and audit.base in audit.twins:
                yield (
                    "gain beyond twin",
                    variant,
                    "",
                    _sum(over, _minus({(f"{v}-{TWIN}", s): sign for (v, s), sign in over.items()})),
                )
    assert iid != cut


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
        found = bootstrap(
            [np.arange(seeds), *places] if drawn_seeds else places,
            statistic,
            n_resamples=audit.resamples,
            batch=BATCH,
            vectorized=True,
            confidence_level=audit.confidence,
            method="percentile",
            rng=np.random.default_rng(audit.bootstrap_seed),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
