"""What evaluation hands to a results page: one JSON file per run, parsed once, strictly.

reads   data/pages/<report>/<run>.json

Times are seconds, metrics are what the benchmark calls them (percent for moment retrieval). A number that is null, or NaN as JSON
of other hands may have it, was not measured and becomes None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Number = float | None
Window = tuple[float, ...]


class ReportError(ValueError):
    """A page file is missing, unreadable or not what it should be. The message names file, place, expectation and way out."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Results on one split: flat metric names, records scored and dropped, and what trivial predictors reach."""

    metrics: dict[str, Number]
    n_scored: int
    n_dropped: int
    baselines: dict[str, dict[str, Number]]


@dataclass(frozen=True, kw_only=True)
class Example:
    """One query with its truth and what the run said about it.

    truth                 ((start, end), ...) seconds; empty: the query has no answer in this video
    windows               ((start, end, score), ...) by descending score
    saliency              one score per clip of `seconds_per_clip` seconds
    saliency_truth        the same, as annotated; None where nobody rated
    answerable            probability that the query can be answered; None if the method has no opinion
    """

    split: str
    sample_id: str
    query: str
    video_id: str
    duration: float
    truth: tuple[Window, ...]
    windows: tuple[Window, ...]
    saliency: tuple[Number, ...]
    saliency_truth: tuple[Number, ...] | None
    seconds_per_clip: float
    answerable: Number


@dataclass(frozen=True, kw_only=True)
class Group:
    """One row of a breakdown, e.g. all queries whose moment is short."""

    name: str
    count: int
    metrics: dict[str, Number]


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


def read_pages(folder: Path) -> list[RunPage]:
    """Every page of a report, by file name.

    Raises ReportError if there is none, or if one is not complete.
    """
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not files:
        raise ReportError(f"{folder}: no page of any run is there; evaluate a run of this report first: dvc repro evaluate@<run>")
    pages = [read_page(file) for file in files]
    for file, page in zip(files, pages, strict=True):
        if page.run != file.stem:
            raise ReportError(f"{file}: run: expected {file.stem!r}, as the file is called, got {page.run!r}; evaluate again")
    return pages


def read_page(file: Path) -> RunPage:
    """One page file. Raises ReportError."""
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ReportError(f"{file}: not readable as JSON ({error}); evaluate the run again") from None
    page = _Reader(raw, str(file))
    splits = {name: _split(part) for name, part in page.parts("splits")}
    if not splits:
        raise page.wrong("splits", "at least one split", {})
    return RunPage(
        run=page.text("run"),
        title=page.text("title"),
        method=page.text("method"),
        numerics=page.text("numerics"),
        dataset=page.text("dataset"),
        features=tuple(page.texts("features")),
        primary=tuple(page.texts("primary")),
        splits=splits,
        published=page.numbers("published") if page.raw.get("published") is not None else {},
        history=tuple(_history_row(row) for row in page.items("history")),
        breakdown=_breakdown(page),
        examples=tuple(_example(example) for example in page.items("examples")),
        provenance=page.mapping("provenance"),
    )


def _breakdown(page: _Reader) -> dict[str, tuple[Group, ...]]:
    raw = page.mapping("breakdown")
    inner = _Reader(raw, f"{page.place}: breakdown")
    return {split: tuple(_group(row) for row in inner.items(split)) for split in raw}


def _split(part: _Reader) -> Split:
    return Split(
        metrics=part.numbers("metrics"),
        n_scored=int(part.number("n_scored")),
        n_dropped=int(part.number("n_dropped")),
        baselines={name: _as_numbers(inner.raw, inner.place) for name, inner in part.parts("baselines")},
    )


def _group(row: _Reader) -> Group:
    rest = {key: value for key, value in row.raw.items() if key not in ("group", "count")}
    return Group(name=row.text("group"), count=int(row.number("count")), metrics=_as_numbers(rest, row.place))


def _example(example: _Reader) -> Example:
    answerable = example.raw.get("answerable_probability")
    truth = example.raw.get("saliency_truth")
    duration, step = example.number("duration"), example.number("seconds_per_clip")
    if duration <= 0 or step <= 0:
        raise example.wrong("duration, seconds_per_clip", "seconds above 0", (duration, step))
    return Example(
        split=example.text("split"),
        sample_id=example.text("sample_id"),
        query=example.text("query"),
        video_id=example.text("video_id"),
        duration=duration,
        truth=tuple(example.rows("truth", 2)),
        windows=tuple(example.rows("windows", 3)),
        saliency=example.series("saliency"),
        saliency_truth=None if truth is None else example.series("saliency_truth"),
        seconds_per_clip=step,
        answerable=None if answerable is None else example.number("answerable_probability"),
    )


def _history_row(row: _Reader) -> dict[str, Number | str]:
    """A row of history.csv; a CSV reader hands on text, so what reads as a number becomes one."""
    return {key: _cell(value) for key, value in row.raw.items()}


def _cell(value: object) -> Number | str:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value or None
    return _finite(float(value)) if isinstance(value, (int, float)) else None


def _finite(value: float) -> Number:
    return value if math.isfinite(value) else None


def _as_numbers(raw: Mapping[str, Any], place: str) -> dict[str, Number]:
    for key, value in raw.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise ReportError(f"{place}: {key}: expected a number or null, got {value!r}; evaluate the run again")
    return {key: None if value is None else _finite(float(value)) for key, value in raw.items()}


class _Reader:
    """A JSON object together with its place in the file, so that every complaint can name it."""

    def __init__(self, raw: object, place: str) -> None:
        if not isinstance(raw, dict):
            raise ReportError(f"{place}: expected a JSON object, got {type(raw).__name__}; evaluate the run again")
        self.raw: dict[str, Any] = raw
        self.place = place

    def wrong(self, key: str, expected: str, value: object) -> ReportError:
        shown = repr(value)
        shown = shown if len(shown) < 80 else shown[:77] + "..."
        return ReportError(f"{self.place}: {key}: expected {expected}, got {shown}; evaluate the run again")

    def take(self, key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        if key not in self.raw:
            raise ReportError(f"{self.place}: {key} is missing; evaluate the run again")
        value = self.raw[key]
        if isinstance(value, bool) or not isinstance(value, kind):
            raise self.wrong(key, expected, value)
        return value

    def text(self, key: str) -> str:
        value: str = self.take(key, str, "text")
        return value

    def texts(self, key: str) -> list[str]:
        values: list[str] = self.take(key, list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "a list of texts", values)
        return values

    def number(self, key: str) -> float:
        value = float(self.take(key, (int, float), "a number"))
        if not math.isfinite(value):
            raise self.wrong(key, "a finite number", value)
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value: dict[str, Any] = self.take(key, dict, "a JSON object")
        return value

    def numbers(self, key: str) -> dict[str, Number]:
        return _as_numbers(self.mapping(key), f"{self.place}: {key}")

    def series(self, key: str) -> tuple[Number, ...]:
        values = self.take(key, list, "a list of numbers")
        return tuple(_as_numbers({f"{key}[{n}]": value for n, value in enumerate(values)}, self.place).values())

    def rows(self, key: str, width: int) -> list[Window]:
        rows = []
        for n, row in enumerate(self.take(key, list, f"a list of lists of {width} numbers")):
            place = f"{self.place}: {key}[{n}]"
            numbers = _as_numbers({str(m): value for m, value in enumerate(row)}, place) if isinstance(row, list) else {}
            values = tuple(value for value in numbers.values() if value is not None)
            if len(values) != width or len(numbers) != width:
                raise self.wrong(f"{key}[{n}]", f"{width} numbers", row)
            rows.append(values)
        return rows

    def items(self, key: str) -> list[_Reader]:
        return [_Reader(item, f"{self.place}: {key}[{n}]") for n, item in enumerate(self.take(key, list, "a list of objects"))]

    def parts(self, key: str) -> list[tuple[str, _Reader]]:
        return [(name, _Reader(part, f"{self.place}: {key}.{name}")) for name, part in self.mapping(key).items()]
