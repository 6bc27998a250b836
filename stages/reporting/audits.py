"""What an audit hands to a results page: one JSON file, read strictly, and its charts as plain data.

reads   data/pages/<report>/audits/<audit>.json

Effects are those of stages/auditing/effects.py, each with a bootstrap interval. Accuracies are percent, gains are points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.reporting import labels
from stages.reporting.reading import Number, Reader, ReportError, read_object
from stages.reporting.timelines import short

AGAIN = "audit again: dvc repro audit@<audit>"
LEVEL = "level"
# Kinds of effects in their order on the page, each with its explanation; a kind that is not listed comes last.
KINDS = {
    "gain": "Gain on the interventional split over the variant without the intervention",
    "gap": "Shortcut gap: what is lost from the split with the training bias to the one without",
    "narrowing": "Narrowing: how much of the gap of the variant without the intervention is closed",
    "part": "Part: how much better the full method is than the variant without this part",
    "gain beyond twin": "Gain minus the gain after training without bias: the share of the gain that is debiasing",
    "against base": "Controls on the interventional split: difference from the variant without the intervention",
    "against twin": "Controls on the interventional split: difference from the same model trained without bias",
    "gap beyond twin": "Gap minus the gap after training without bias: the share of the gap that the bias caused",
}


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One number of one variant with its interval; split: of a level, else empty; sd: over seeds."""

    kind: str
    variant: str
    split: str
    measure: str
    value: Number
    low: Number
    high: Number
    sd: Number = None
    queries: int = 0

    @property
    def verdict(self) -> str:
        """On which side of 0 the interval is; empty for levels and without an interval."""
        if self.kind == LEVEL or self.low is None or self.high is None:
            return ""
        return "above 0" if self.low > 0 else "below 0" if self.high < 0 else "includes 0"


@dataclass(frozen=True, kw_only=True)
class Control:
    """A result that a sound audit must have, whatever the method does; holds None: there is no interval to judge by."""

    control: str
    expected: str
    value: Number
    low: Number
    high: Number
    holds: bool | None


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Effects by strength of what `over` names: ((strength, effect), ...)."""

    over: str
    points: tuple[tuple[float, Effect], ...]


@dataclass(frozen=True, kw_only=True)
class Tabled:
    """A further metric of the evaluations: mean over seeds."""

    number: str
    variant: str
    split: str
    mean: Number
    sd: Number
    seeds: int


@dataclass(frozen=True, kw_only=True)
class AuditPage:
    """Everything a page says about one audit.

    coverage    how often the intervals contain the true value, in words; empty on pages of an older audit
    variants    name -> what is changed, in words
    """

    audit: str
    title: str
    run: str
    method: str
    dataset: str
    unbiased: str | None
    seeds: int
    confidence: float
    coverage: str
    base: str
    full: str
    variants: dict[str, str]
    splits: tuple[str, ...]
    measures: tuple[str, ...]
    effects: tuple[Effect, ...]
    numbers: tuple[Tabled, ...]
    controls: tuple[Control, ...]
    sweep: Sweep | None
    says: tuple[str, ...]
    provenance: dict[str, Any]

    def headline(self, kind: str, variant: str) -> Effect | None:
        """An effect of the first measure; None if the audit does not have it."""
        found = (one for one in self.effects if (one.kind, one.variant, one.measure) == (kind, variant, self.measures[0]))
        return next(found, None)


def read_audits(folder: Path) -> list[AuditPage]:
    """Every audit of a report, by file name; none where the folder is not there. Raises ReportError."""
    pages = []
    for file in sorted(folder.glob("*.json")):
        page = read_audit(file)
        if page.audit != file.stem:
            raise ReportError(f"{file}: audit: expected {file.stem!r}, as the file is called, got {page.audit!r}; audit again")
        pages.append(page)
    return pages


def read_audit(file: Path) -> AuditPage:
    """One audit. Raises ReportError."""
    page = read_object(file, AGAIN)
    splits = page.inner(page.mapping("splits"), "splits")
    variants = page.inner(page.mapping("variants"), "variants")
    measures = page.texts("measures")
    if not measures:
        raise page.wrong("measures", "at least one measure", [])
    return AuditPage(
        audit=page.text("audit"),
        title=page.text("title"),
        run=page.text("run"),
        method=page.text("method"),
        dataset=page.text("dataset"),
        unbiased=page.text_or_none("unbiased"),
        seeds=len(page.series("seeds")),
        confidence=page.number("confidence"),
        coverage=page.text("coverage") if page.has("coverage") else "",
        base=page.text("base"),
        full=page.text("full"),
        variants={name: variants.text(name) for name in variants.raw},
        splits=tuple(splits.text(name) for name in splits.raw if splits.has(name)),
        measures=measures,
        effects=tuple(_effect(row) for row in page.items("effects")),
        numbers=tuple(_tabled(row) for row in page.items("numbers")),
        controls=tuple(_control(row) for row in page.items("controls")) if page.has("controls") else (),
        sweep=_sweep(page.inner(page.raw["sweep"], "sweep")) if page.has("sweep") else None,
        says=page.texts("says") if page.has("says") else (),
        provenance=page.mapping("provenance") if page.has("provenance") else {},
    )


def _effect(row: Reader) -> Effect:
    return Effect(
        kind=row.text("kind"),
        variant=row.text("variant"),
        split=row.text_or_none("split") or "",
        measure=row.text("measure"),
        value=row.number_or_none("value"),
        low=row.number_or_none("low"),
        high=row.number_or_none("high"),
        sd=row.number_or_none("seed_sd"),
        queries=int(row.number_or_none("queries") or 0),
    )


def _tabled(row: Reader) -> Tabled:
    return Tabled(
        number=row.text("number"),
        variant=row.text("variant"),
        split=row.text("split"),
        mean=row.number_or_none("mean"),
        sd=row.number_or_none("seed_sd"),
        seeds=int(row.number("seeds")),
    )


def _control(row: Reader) -> Control:
    return Control(
        control=row.text("control"),
        expected=row.text("expected"),
        value=row.number_or_none("value"),
        low=row.number_or_none("low"),
        high=row.number_or_none("high"),
        holds=row.flag_or_none("holds"),
    )


def _sweep(part: Reader) -> Sweep:
    return Sweep(over=part.text("over"), points=tuple((row.number("strength"), _effect(row)) for row in part.items("rows")))


def charts(page: AuditPage) -> dict[str, Any]:
    """Levels, effects and sweeps by measure."""
    drawn = {
        "splits": [labels.visible(split) for split in page.splits],
        "variants": [labels.visible(variant) for variant in page.variants],
        "measures": [{"measure": labels.visible(measure), **_charts(page, measure)} for measure in page.measures],
    }
    if parts := parts_of_headline(page):
        drawn["parts"] = parts
    return drawn | {"over": labels.visible(page.sweep.over) if page.sweep else None}


def parts_of_headline(page: AuditPage) -> list[dict[str, Any]]:
    """Gain of the full method by groups of the headline measure, as "Acc, above 80 s" is one of "Acc"; nothing without groups."""
    first = page.measures[0]
    groups = [one for one in page.measures if one == first or one.startswith(f"{first}, ")]
    found = [one for group in groups for one in page.effects
             if (one.kind, one.variant, one.measure) == ("gain", page.full, group) and one.value is not None]  # fmt: skip
    return [_point(one) | {"variant": labels.visible(one.measure)} for one in found] if len(groups) > 1 else []


def gains(pages: Sequence[AuditPage]) -> list[dict[str, Any]]:
    """The gain of the full method in every audit, by its headline measure."""
    found = ((page, page.headline("gain", page.full)) for page in pages)
    return [
        _point(one) | {"variant": labels.visible(f"{page.audit}, {one.measure}")}
        for page, one in found
        if one and one.value is not None
    ]


def _charts(page: AuditPage, measure: str) -> dict[str, Any]:
    effects = [one for one in page.effects if one.measure == measure and one.value is not None]
    points = [(x, one) for x, one in page.sweep.points if one.measure == measure and one.value is not None] if page.sweep else []
    return {
        "levels": [_point(one) for one in effects if one.kind == LEVEL],
        "effects": [
            {"kind": kind, "says": KINDS.get(kind, kind), "points": [_point(one) for one in effects if one.kind == kind]}
            for kind in _in_order(one.kind for one in effects if one.kind != LEVEL)
        ],
        "sweeps": [
            {"kind": kind, "split": labels.visible(split), "points": [{"strength": x, **_point(one)} for x, one in points
                                                                     if (one.kind, one.split) == (kind, split)]}
            for kind, split in dict.fromkeys((one.kind, one.split) for _, one in points)
        ],
    }  # fmt: skip


def _in_order(kinds: Iterable[str]) -> list[str]:
    known = list(KINDS)
    return sorted(dict.fromkeys(kinds), key=lambda kind: known.index(kind) if kind in known else len(known))


def _point(one: Effect) -> dict[str, Any]:
    return {
        "variant": labels.visible(one.variant),
        "split": labels.visible(one.split),
        "value": short(one.value),
        "low": short(one.low),
        "high": short(one.high),
    }


def ordered_effects(page: AuditPage) -> Sequence[Effect]:
    """For the table: effects before levels, headline measure first."""
    kinds = [*_in_order(one.kind for one in page.effects if one.kind != LEVEL), LEVEL]
    measures = {measure: n for n, measure in enumerate(page.measures)}
    return sorted(page.effects, key=lambda one: (measures.get(one.measure, len(measures)), kinds.index(one.kind)))
