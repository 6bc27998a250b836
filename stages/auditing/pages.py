"""The page file of an audit (stages/reporting/audits.py reads it): its numbers, and the findings in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stages.auditing.effects import COVERED, Effect
from stages.auditing.settings import EVIDENCE, SCENE, TWIN, WORDS, Audit

SEEN = {SCENE: "the time average of every video", WORDS: "no video at all", EVIDENCE: "the clips with the answer only"}
SIMULATED = 0.95  # the confidence of COVERED
CLOSED = 4.0  # points: a gap smaller than this without bias counts as none (differences between the splits themselves)


def page(
    name: str,
    audit: Audit,
    method: str,
    found: Sequence[Effect],
    numbers: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, str],
    sweep_effects: Sequence[tuple[float, Effect]] = (),
) -> dict[str, Any]:
    """The content of the page file; sweep_effects: (strength, effect)."""
    return {
        "audit": name,
        "title": audit.title or name,
        "run": audit.run,
        "method": method,
        "dataset": audit.data.dataset,
        "unbiased": audit.unbiased.dataset if audit.twins else None,
        "seeds": list(audit.seeds),
        "confidence": audit.confidence,
        "coverage": coverage(audit),
        "base": audit.base,
        "full": audit.full,
        "variants": dict(_variants(audit)),
        "splits": asdict(audit.splits),
        "measures": list(audit.measures),
        "effects": [_finite(asdict(effect)) for effect in found],
        "numbers": [_finite(row) for row in numbers],
        "controls": list(controls(audit, found, numbers)),
        "sweep": _sweep(audit, sweep_effects),
        "says": list(sentences(audit, found, numbers, sweep_effects)),
        "provenance": dict(provenance),
    }


def coverage(audit: Audit) -> str:
    """How often the intervals contain the true value, in words."""
    seeds = len(audit.seeds)
    if seeds == 1:
        return "One seed: the intervals are over queries alone and say nothing about other trainings."
    if audit.confidence != SIMULATED:
        return "Intervals over few seeds are too narrow: they contain the true value less often than their confidence says."
    alike, twice, _, most = COVERED[max(known for known in COVERED if known <= seeds)]
    return (
        f"Intervals over few seeds are too narrow: with {seeds} seeds, about {alike} of 100 contain the true value where "
        f"trainings differ as much as the error over queries, {twice} where they differ twice as much, {most} where far more."
    )


def _variants(audit: Audit) -> Iterator[tuple[str, str]]:
    """(name, what is changed, in words) of every variant, control and twin."""
    for variant, changes in audit.variants.items():
        told = ", ".join(f"{path.removeprefix('model.')} {value}" for path, value in changes.items())
        yield variant, audit.notes.get(variant, told or f"the run {audit.run} as it is")
    for control in audit.controls:
        yield control, f"{audit.base}, shown {SEEN[control]}"
    for variant in audit.with_twins:
        yield f"{variant}-{TWIN}", f"{variant}, trained on videos without bias"


def _sweep(audit: Audit, sweep_effects: Sequence[tuple[float, Effect]]) -> dict[str, Any] | None:
    if audit.sweep is None:
        return None
    by_strength = sorted(sweep_effects, key=lambda one: one[0])
    rows = [{"strength": strength, **_finite(asdict(effect))} for strength, effect in by_strength]
    return {"over": audit.sweep.over, "rows": rows}


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}


def _headline(audit: Audit, found: Iterable[Effect]) -> dict[tuple[str, str], Effect]:
    """Effects of the first measure by variant, and kind or split."""
    return {(one.variant, one.split or one.kind): one for one in found if one.measure == audit.measures[0]}


def controls(audit: Audit, found: Sequence[Effect], numbers: Sequence[Mapping[str, Any]] = ()) -> Iterator[dict[str, Any]]:
    """Results that a sound audit must have whatever the method does: a gap after biased training, and none after unbiased.

    The time average of a video still shows the objects that questions are about. A model that sees it alone and was trained with
    bias follows the scene, so where the bias is cut it is worse than its twin, which was trained without. The average does not
    show when something happens: a model of moments that sees it alone falls to chance, and so does its twin.
    """
    effects, chance = _headline(audit, found), _chance(audit, numbers)
    if gap := effects.get((audit.base, "gap")):
        yield _control(f"Gap of {audit.base}, trained with bias", "above 0", gap, holds=gap.low > 0)
    for variant in audit.twins:
        if gap := effects.get((f"{variant}-{TWIN}", "gap")):
            yield _control(
                f"Gap of {variant}, trained without bias", f"within {CLOSED:g} points of 0", gap, abs(gap.value) < CLOSED
            )
    cut = audit.splits.interventional
    if gap := effects.get((SCENE, "gap")):
        yield _control(
            "Gap of the model that sees the time average alone", "above 0: it answers from the scene", gap, gap.low > 0
        )
    level = effects.get((SCENE, cut))
    if level and chance is not None and abs(level.value - chance) < CLOSED:
        yield _control("The same model where the bias is cut", f"chance, {chance:.1f}", level, holds=True)
    elif less := effects.get((SCENE, "against twin")):
        yield _control("The same where the bias is cut, minus its twin trained without bias", "below 0", less, less.high < 0)
    if (level := effects.get((WORDS, cut))) and chance is not None:
        near = abs(level.value - chance) < CLOSED
        yield _control("The model that sees the query alone, where the bias is cut", f"chance, {chance:.1f}", level, near)
    elif level and (less := effects.get((WORDS, "against base"))):
        yield _control("The model that sees the query alone, minus base, where the bias is cut", "below 0", less, less.high < 0)
    if room := effects.get((EVIDENCE, "against base")):
        yield _control(
            f"Room for improvement: {audit.base} shown the true evidence, minus {audit.base}", "above 0", room, room.low > 0
        )


def _chance(audit: Audit, numbers: Sequence[Mapping[str, Any]]) -> float | None:
    """The number in the settings, or the named one of `numbers` for base where the biases are cut; None: unknown."""
    if not isinstance(audit.chance, str):
        return audit.chance
    wanted = (audit.chance, audit.base, audit.splits.interventional)
    return next((row["mean"] for row in numbers if (row["number"], row["variant"], row["split"]) == wanted), None)


def _control(control: str, expected: str, effect: Effect, holds: bool) -> dict[str, Any]:
    numbers = _finite({"value": effect.value, "low": effect.low, "high": effect.high})
    return {"control": control, "expected": expected, **numbers, "holds": None if math.isnan(effect.low) else holds}


def sentences(
    audit: Audit,
    found: Sequence[Effect],
    numbers: Sequence[Mapping[str, Any]] = (),
    sweep_effects: Sequence[tuple[float, Effect]] = (),
) -> Iterator[str]:
    """Findings of the headline measure, the three main ones first; an effect is claimed only if its interval excludes 0."""
    effects, measure = _headline(audit, found), audit.measures[0]
    many = f"{len(audit.seeds)} seeds" if len(audit.seeds) > 1 else "one seed, so no interval over trainings"
    iid, cut, gap = (effects.get((audit.base, which)) for which in (audit.splits.iid, audit.splits.interventional, "gap"))
    if iid and cut and gap:
        yield (
            f"{measure}, {many}: {audit.base} reaches {iid.value:.1f} where the biases of training hold and {cut.value:.1f} "
            f"where they are cut, a gap of {_ranged(gap)} points."
        )
    if gain := effects.get((audit.full, "gain")):
        yield f"{audit.full} is {_than(gain, audit.base)} points where the biases are cut{_debiasing(effects, audit)}."
    if narrowing := effects.get((audit.full, "narrowing")):
        that = f"that of {audit.base}"
        said = _verdict(narrowing, f"smaller than {that}", f"larger than {that}", f"not distinguishable from {that}")
        yield f"The gap of {audit.full} is {said} points."
    if told := [f"{name} is {_than(gain, audit.base)}" for name in audit.variants
                if name != audit.full and (gain := effects.get((name, "gain")))]:  # fmt: skip
        yield f"Where the biases are cut, {'; '.join(told)} points."
    yield from _rationale(audit, found)
    yield from swept(audit, sweep_effects)
    if failed := [one["control"] for one in controls(audit, found, numbers) if one["holds"] is False]:
        yield f"Controls that are not as expected, so that the rest is doubtful: {'; '.join(failed)}."


def _than(gain: Effect, base: str) -> str:
    return _verdict(gain, f"better than {base}", f"worse than {base}", f"not distinguishable from {base}")


def _debiasing(effects: Mapping[tuple[str, str], Effect], audit: Audit) -> str:
    """How much of the gain of the full method is not there after training without bias; empty without twins."""
    gain, beyond = effects.get((audit.full, "gain")), effects.get((audit.full, "gain beyond twin"))
    if gain is None or beyond is None:
        return ""
    verdict = "is debiasing" if beyond.low > 0 else "is not distinguishable from 0, so there is no evidence of debiasing"
    twins = gain.value - beyond.value
    return f"; after training without bias it is {twins:.1f}, and the difference, {_ranged(beyond)}, {verdict}"


def _rationale(audit: Audit, found: Sequence[Effect]) -> Iterator[str]:
    """Precision of the clips and objects that the full method chooses as evidence, and of those that base chooses."""
    for measure, what in (("clip precision", "clips"), ("object precision", "objects")):
        levels = {one.variant: one.value for one in found
                  if (one.kind, one.measure, one.split) == ("level", measure, audit.splits.interventional)}  # fmt: skip
        if audit.full in levels and audit.base in levels:
            own, other = (f"of {name} {levels[name]:.1f} %" for name in (audit.full, audit.base))
            yield f"Share of the chosen {what} that show the answer, where the biases are cut: {own}, {other}."


def swept(audit: Audit, sweep_effects: Sequence[tuple[float, Effect]]) -> Iterator[str]:
    """The sweep in one sentence: from its weakest to its strongest bias."""
    told, ends = [], ""
    for kind, variant, what in (
        ("gap", audit.base, f"the gap of {audit.base} goes"),
        ("gap", audit.full, f"that of {audit.full}"),
        ("gain", audit.full, f"the gain of {audit.full}"),
    ):
        wanted = (kind, variant, audit.measures[0])
        chosen = [(at, one) for at, one in sweep_effects if (one.kind, one.variant, one.measure) == wanted]
        if len(chosen) > 1:
            (weakest, first), (strongest, last) = (choose(chosen, key=lambda one: one[0]) for choose in (min, max))
            told.append(f"{what} from {_ranged(first)} to {_ranged(last)}")
            ends = f"From strength {weakest:g} of the bias to {strongest:g}"
    if told:
        yield f"{ends} {', '.join(told)} points."


def _ranged(effect: Effect, sign: int = 1) -> str:
    """The effect and its interval; sign -1: of the opposite effect."""
    low, high = sorted((sign * effect.low, sign * effect.high))
    return f"{sign * effect.value:.1f}" + ("" if math.isnan(low) else f" ({low:.1f} to {high:.1f})")


def _verdict(effect: Effect, above: str, below: str, neither: str) -> str:
    """The claim that the interval supports, with the effect and its interval."""
    if effect.low > 0:
        return f"{above} by {_ranged(effect)}"
    return f"{below} by {_ranged(effect, -1)}" if effect.high < 0 else f"{neither}: {_ranged(effect)}"
