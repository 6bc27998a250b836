"""What quality.json says about a data set, as tables: records of each split, stores of features, every repair and oddity.

The page file of a run carries the file as it stands (key `quality`); its layout is that of stages/datasets/samples.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.reporting.reading import Number, Reader

NO_COUNTS = ("bytes",)  # numbers of a split that count no records
STORE = ("items", "rows")  # what every store has


@dataclass(frozen=True, kw_only=True)
class SplitFacts:
    """One split: its published file, and what there is of everything."""

    name: str
    file: str
    sha256: str
    counts: dict[str, Number]


@dataclass(frozen=True, kw_only=True)
class Oddity:
    """One rule that repaired or noted something. `where`: a split, or a store of features. meaning may be empty."""

    where: str
    rule: str
    meaning: str
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """One data set. absent: split -> file that was not there; held_out: training videos kept for model selection."""

    dataset: str
    adapter: str
    task: str
    train: str
    validation: str | None
    held_out: int
    splits: tuple[SplitFacts, ...]
    stores: dict[str, dict[str, Number]]
    oddities: tuple[Oddity, ...]
    absent: dict[str, str]

    @property
    def columns(self) -> list[str]:
        """The counts that any split has."""
        return list(dict.fromkeys(name for split in self.splits for name in split.counts))


def read_quality(facts: Reader) -> Quality:
    """Raises ReportError."""
    held_out = facts.inner(facts.raw["held_out"], "held_out") if facts.has("held_out") else None
    features = dict(facts.parts("features")) if facts.has("features") else {}
    different = features.pop("different_lengths", None)
    oddities = [oddity for name, part in facts.parts("splits") for oddity in _rules(part, name)]
    oddities += [oddity for name, part in features.items() for oddity in _of_store(part, name)]
    if different is not None:
        oddities += [_oddity(part, pair, "different_lengths") for pair, part in different.objects()]
    if facts.has("shared_videos"):
        oddities += [_oddity(part, pair, "shared_videos") for pair, part in facts.parts("shared_videos")]
    return Quality(
        dataset=facts.text("dataset"),
        adapter=facts.text("adapter"),
        task=facts.text("task"),
        train=facts.text("train"),
        validation=facts.text_or_none("validation"),
        held_out=int(held_out.number("videos")) if held_out is not None else 0,
        splits=tuple(_split(part, name) for name, part in facts.parts("splits")),
        stores={name: {key: part.number(key) for key in STORE} for name, part in features.items()},
        oddities=tuple(sorted(oddities, key=lambda one: (-one.count, one.rule, one.where))),
        absent={name: str(file) for name, file in facts.mapping("absent").items()} if facts.has("absent") else {},
    )


def _split(part: Reader, name: str) -> SplitFacts:
    numbers = {key: value for key, value in part.raw.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}
    counts = {key: value for key, value in part.as_numbers(numbers, part.place).items() if key not in NO_COUNTS}
    leading = ("samples", "videos")
    return SplitFacts(
        name=name,
        file=part.text_or_none("file") or "",
        sha256=part.text_or_none("sha256") or "",
        counts={key: counts[key] for key in (*leading, *counts) if key in counts},
    )


def _rules(part: Reader, name: str) -> list[Oddity]:
    return [_oddity(rule, name, which) for which, rule in part.parts("quality")] if part.has("quality") else []


def _of_store(part: Reader, name: str) -> list[Oddity]:
    """Rules of a store: every entry with a count, or a number above 0 that is none of what every store has."""
    found = []
    for key, value in part.raw.items():
        if isinstance(value, dict) and "count" in value:
            found.append(_oddity(part.inner(value, key), name, key))
        elif key not in STORE and isinstance(value, int) and not isinstance(value, bool) and value > 0:
            found.append(Oddity(where=name, rule=key, meaning="", count=value, examples=()))
    return found


def _oddity(part: Reader, where: str, rule: str) -> Oddity:
    return Oddity(
        where=where,
        rule=rule,
        meaning=part.text_or_none("meaning") or "",
        count=int(part.number("count")),
        examples=part.texts("examples") if part.has("examples") else (),
    )


def by_dataset(found: list[Quality]) -> list[Quality]:
    """Each data set once, by name: runs on the same data bring the same facts."""
    return [quality for _, quality in sorted({one.dataset: one for one in found}.items())]
