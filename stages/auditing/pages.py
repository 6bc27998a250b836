"""What an audit hands to a results page (stages/reporting/audits.py reads it): its numbers, and what they say in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from stages.auditing.effects import Effect
from stages.auditing.settings import EVIDENCE, SCENE, TWIN, WORDS, Audit

SEEN = {SCENE: "the time average of every video", WORDS: "no video at all", EVIDENCE: "the clips with the answer only"}
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


def _variants(audit: Audit) -> Iterator[tuple[str, str]]:
    """What is changed, in a line each."""
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
    """What has to come out whatever the method: a gap where the training is biased, and none where it is not.

    The time average of a video still shows the objects that questions ask for, so there the scene costs it what its twin has. It
    does not show when something happens: a model of moments that sees it falls to chance, twin or not.
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
        yield _control("Gap of the model that sees the time average alone", "above 0: it lives by the scene", gap, gap.low > 0)
    level = effects.get((SCENE, cut))
    if level and chance is not None and abs(level.value - chance) < CLOSED:
        yield _control("The same without the bias", f"chance, {chance:.1f}", level, holds=True)
    elif less := effects.get((SCENE, "against twin")):
        yield _control("The same without the bias, against its twin trained without it", "below 0", less, less.high < 0)
    if (level := effects.get((WORDS, cut))) and chance is not None:
        near = abs(level.value - chance) < CLOSED
        yield _control("The model that sees the query alone, without the bias", f"chance, {chance:.1f}", level, near)
    elif level and (less := effects.get((WORDS, "against base"))):
        yield _control("The model that sees the query alone against base, without the bias", "below 0", less, less.high < 0)
    if room := effects.get((EVIDENCE, "against base")):
        yield _control(f"Room: {audit.base} shown the true evidence against {audit.base}", "above 0", room, room.low > 0)


def _chance(audit: Audit, numbers: Sequence[Mapping[str, Any]]) -> float | None:
    """As told, or as the trivial baseline reached it beside `base` where the biases are cut."""
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
    """What the headline measure says, the three main things first; a claim is made only where the interval leaves 0 out."""
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
        said = _verdict(narrowing, f"smaller than {that}", f"larger than {that}", f"not told from {that}")
        yield f"The gap of {audit.full} is {said} points."
    if told := [f"{name} is {_than(gain, audit.base)}" for name in audit.variants
                if name != audit.full and (gain := effects.get((name, "gain")))]:  # fmt: skip
        yield f"Where the biases are cut, {'; '.join(told)} points."
    yield from _rationale(audit, found)
    yield from swept(audit, sweep_effects)
    if failed := [one["control"] for one in controls(audit, found, numbers) if one["holds"] is False]:
        yield f"Not as expected, so read the rest with care: {'; '.join(failed)}."


def _than(gain: Effect, base: str) -> str:
    return _verdict(gain, f"better than {base}", f"worse than {base}", f"not told from {base}")


def _debiasing(effects: Mapping[tuple[str, str], Effect], audit: Audit) -> str:
    """What the gain of the full method is beyond that after training without bias; empty where nobody asked."""
    gain, beyond = effects.get((audit.full, "gain")), effects.get((audit.full, "gain beyond twin"))
    if gain is None or beyond is None:
        return ""
    verdict = "is debiasing" if beyond.low > 0 else "cannot be told from 0, so nothing says that it debiases"
    twins = gain.value - beyond.value
    return f"; after training without bias it is {twins:.1f}, and the difference, {_ranged(beyond)}, {verdict}"


def _rationale(audit: Audit, found: Sequence[Effect]) -> Iterator[str]:
    """How often what the full method points to shows the answer, beside the variant that points to everything, or evenly."""
    for measure, what in (("clip precision", "clips"), ("object precision", "objects")):
        levels = {one.variant: one.value for one in found
                  if (one.kind, one.measure, one.split) == ("level", measure, audit.splits.interventional)}  # fmt: skip
        if audit.full in levels and audit.base in levels:
            own, other = (f"of {name} {levels[name]:.1f} %" for name in (audit.full, audit.base))
            yield f"Of the {what} that it points to, this many show the answer where the biases are cut: {own}, {other}."


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
    """The number and its interval, or of the opposite effect."""
    low, high = sorted((sign * effect.low, sign * effect.high))
    return f"{sign * effect.value:.1f}" + ("" if math.isnan(low) else f" ({low:.1f} to {high:.1f})")


def _verdict(effect: Effect, above: str, below: str, neither: str) -> str:
    """The claim that the interval allows, with its number."""
    if effect.low > 0:
        return f"{above} by {_ranged(effect)}"
    return f"{below} by {_ranged(effect, -1)}" if effect.high < 0 else f"{neither}: {_ranged(effect)}"
