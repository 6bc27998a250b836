"""What evaluation hands to a results page: one JSON file per run, parsed once, strictly.

reads   data/pages/<report>/<run>.json

Metrics are what the benchmark calls them (percent for moment retrieval). Queries: stages/reporting/queries.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.reporting.quality import Quality, read_quality
from stages.reporting.queries import Example, read_example
from stages.reporting.reading import Number, Reader, ReportError, finite, read_object

AGAIN = "evaluate the run again"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Results on one split: flat metric names, records scored and dropped, and what trivial predictors reach."""

    metrics: dict[str, Number]
    n_scored: int
    n_dropped: int
    baselines: dict[str, dict[str, Number]]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One row of a breakdown, e.g. all queries whose moment is short."""

    name: str
    count: int
    metrics: dict[str, Number]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """Numbers of every query of a split, for runs side by side: ids, texts (may be empty), and values by measure."""

    ids: tuple[str, ...]
    queries: tuple[str, ...]
    measures: dict[str, tuple[Number, ...]]


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """Everything a page says about one run."""

    run: str
    title: str
    method: str
    numerics: str
    dataset: str
    features: tuple[str, ...]
    primary: tuple[str, ...]
    splits: dict[str, Split]
    published: dict[str, Number]
    history: tuple[dict[str, Number | str], ...]
    breakdown: dict[str, tuple[Group, ...]]
    examples: tuple[Example, ...]
    provenance: dict[str, Any]
    outcomes: dict[str, Outcomes] = field(default_factory=dict)
    quality: Quality | None = None


def read_pages(folder: Path) -> list[RunPage]:
    """Every page of a report, by file name; none where the folder is not there.

    Raises ReportError if one is not complete.
    """
    files = sorted(folder.glob("*.json"))
    pages = [read_page(file) for file in files]
    for file, page in zip(files, pages, strict=True):
        if page.run != file.stem:
            raise ReportError(f"{file}: run: expected {file.stem!r}, as the file is called, got {page.run!r}; evaluate again")
    return pages


def read_page(file: Path) -> RunPage:
    """One page file. Raises ReportError."""
    page = read_object(file, AGAIN)
    splits = {name: _split(part) for name, part in page.parts("splits")}
    if not splits:
        raise page.wrong("splits", "at least one split", {})
    return RunPage(
        run=page.text("run"),
        title=page.text("title"),
        method=page.text("method"),
        numerics=page.text("numerics"),
        dataset=page.text("dataset"),
        features=page.texts("features"),
        primary=page.texts("primary"),
        splits=splits,
        published=page.numbers("published") if page.has("published") else {},
        history=tuple(_history_row(row) for row in page.items("history")),
        breakdown=_breakdown(page),
        examples=tuple(read_example(example) for example in page.items("examples")),
        provenance=page.mapping("provenance"),
        outcomes={name: _outcomes(part) for name, part in page.parts("outcomes")} if page.has("outcomes") else {},
        quality=read_quality(page.inner(page.raw["quality"], "quality")) if page.has("quality") else None,
    )


def _breakdown(page: Reader) -> dict[str, tuple[Group, ...]]:
    inner = page.inner(page.mapping("breakdown"), "breakdown")
    return {split: tuple(_group(row) for row in inner.items(split)) for split in inner.raw}


def _split(part: Reader) -> Split:
    return Split(
        metrics=part.numbers("metrics"),
        n_scored=int(part.number("n_scored")),
        n_dropped=int(part.number("n_dropped")),
        baselines={name: inner.as_numbers(inner.raw, inner.place) for name, inner in part.parts("baselines")},
    )


def _group(row: Reader) -> Group:
    rest = {key: value for key, value in row.raw.items() if key not in ("group", "count")}
    return Group(name=row.text("group"), count=int(row.number("count")), metrics=row.as_numbers(rest, row.place))


def _outcomes(part: Reader) -> Outcomes:
    ids, queries = part.texts("ids"), part.texts("queries")
    measures = part.inner(part.mapping("measures"), "measures")
    found = {name: measures.series(name) for name in measures.raw}
    for name, values in {"queries": queries, **found}.items():
        if len(values) != len(ids) and (values or name != "queries"):
            raise part.wrong(name, f"{len(ids)} values, one per id", f"{len(values)} values")
    if len(set(ids)) < len(ids):
        raise part.wrong("ids", "distinct ids", next(one for n, one in enumerate(ids) if one in ids[:n]))
    return Outcomes(ids=ids, queries=queries, measures=found)


def _history_row(row: Reader) -> dict[str, Number | str]:
    """A row of history.csv; a CSV reader hands on text, so what reads as a number becomes one."""
    return {key: _cell(value) for key, value in row.raw.items()}


def _cell(value: object) -> Number | str:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value or None
    return finite(float(value)) if isinstance(value, (int, float)) else None
