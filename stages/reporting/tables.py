"""The tables of a results page, as rows of cells; the templates write them down.

One table per data set puts every run on it side by side, one row per run and split, with what trivial predictors reach below.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stages.reporting import labels
from stages.reporting.pages import RunPage, Split
from stages.reporting.reading import Number


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One metric: ours, what the paper published for it, and whether no other run did better on the same split."""

    value: Number
    published: Number = None
    best: bool = False


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """A run, or a baseline (no method of its own), on one split. `anchor` leads to the run's part of the page."""

    kind: str  # "run" or "baseline"
    name: str
    anchor: str | None
    method: str
    numerics: str
    features: str
    split: str
    n_scored: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class ResultTable:
    """All results on one data set."""

    dataset: str
    anchor: str
    metrics: tuple[str, ...]
    rows: tuple[ResultRow, ...]

    @property
    def splits(self) -> list[str]:
        """The splits in the order in which the runs name them."""
        return ordered(row.split for row in self.rows)

    @property
    def has_published(self) -> bool:
        """Whether a paper's number stands beside any of ours."""
        return any(cell.published is not None for row in self.rows for cell in row.cells)


@dataclass(frozen=True, kw_only=True)
class SplitRow:
    """One metric on every split: ours, or (name given) a baseline's or the published one below it."""

    metric: str
    name: str | None
    values: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class GroupRow:
    """One group of queries on one split; `span` in the first row of a group: how many rows it has."""

    group: str
    span: int | None
    split: str
    count: int
    values: tuple[Number, ...]


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run by one number on its first split: the first primary metric that the paper published, else the first."""

    name: str
    anchor: str
    method: str
    dataset: str
    features: str
    numerics: str
    metric: str
    split: str
    value: Number
    published: Number

    @property
    def difference(self) -> Number:
        """Ours minus the published one; None where either is missing."""
        return None if self.value is None or self.published is None else self.value - self.published


def every_run(pages: Sequence[RunPage]) -> list[RunRow]:
    """One row per run, by data set and name."""
    return [_headline(page) for page in sorted(pages, key=lambda page: (page.dataset, page.run))]


def _headline(page: RunPage) -> RunRow:
    published = (name for name in page.primary if page.published.get(name) is not None)
    metric = next(published, page.primary[0] if page.primary else "")
    split = next(iter(page.splits))
    return RunRow(
        name=page.run,
        anchor=labels.anchor("run", page.run),
        method=page.method,
        dataset=page.dataset,
        features=", ".join(page.features),
        numerics=page.numerics,
        metric=metric,
        split=split,
        value=page.splits[split].metrics.get(metric),
        published=page.published.get(metric),
    )


def ordered(names: Iterable[str]) -> list[str]:
    """Without repetitions, first mention first."""
    return list(dict.fromkeys(names))


def results(pages: Sequence[RunPage]) -> list[ResultTable]:
    """One table per data set, in alphabetical order; runs by name, baselines last."""
    tables = []
    pages = sorted(pages, key=lambda page: page.run)
    for dataset in sorted({page.dataset for page in pages}):
        members = [page for page in pages if page.dataset == dataset]
        metrics = tuple(ordered(metric for page in members for metric in page.primary))
        rows = [_run_row(page, split, metrics, members) for page in members for split in page.splits]
        tables.append(
            ResultTable(
                dataset=dataset,
                anchor=labels.anchor("results", dataset),
                metrics=metrics,
                rows=(*rows, *_baseline_rows(members, metrics)),
            )
        )
    return tables


def _run_row(page: RunPage, split: str, metrics: Sequence[str], members: Sequence[RunPage]) -> ResultRow:
    # `published` holds the paper's numbers on the split that the run names first
    published = page.published if split == next(iter(page.splits)) else {}
    ours = page.splits[split].metrics
    cells = tuple(
        Cell(value=ours.get(metric), published=published.get(metric), best=_is_best(ours.get(metric), metric, split, members))
        for metric in metrics
    )
    return ResultRow(
        kind="run",
        name=page.run,
        anchor=labels.anchor("run", page.run),
        method=page.method,
        numerics=page.numerics,
        features=", ".join(page.features),
        split=split,
        n_scored=page.splits[split].n_scored,
        cells=cells,
    )


def _is_best(value: Number, metric: str, split: str, members: Sequence[RunPage]) -> bool:
    """Whether no run has more on this split, in the two decimals that are printed; of one run alone nothing is said."""
    rivals = [page.splits[split].metrics.get(metric) for page in members if split in page.splits]
    known = [round(rival, 2) for rival in rivals if rival is not None]
    return value is not None and len(known) > 1 and round(value, 2) == max(known)


def _baseline_rows(members: Sequence[RunPage], metrics: Sequence[str]) -> list[ResultRow]:
    """Each baseline once per split: runs on the same data bring the same ones, and a differing one is told apart by its run."""
    seen: dict[tuple[str, str], list[tuple[str, Split, tuple[Number, ...]]]] = {}
    for page in members:
        for split, part in page.splits.items():
            for name, numbers in part.baselines.items():
                values = tuple(numbers.get(metric) for metric in metrics)
                variants = seen.setdefault((name, split), [])
                if values not in [known for _, _, known in variants]:
                    variants.append((page.run, part, values))
    return [
        ResultRow(
            kind="baseline",
            name=name if len(variants) == 1 else f"{name} ({run})",
            anchor=None,
            method="baseline",
            numerics="",
            features="",
            split=split,
            n_scored=part.n_scored,
            cells=tuple(Cell(value=value) for value in values),
        )
        for (name, split), variants in seen.items()
        for run, part, values in variants
    ]


def splits_side_by_side(page: RunPage) -> list[SplitRow]:
    """The primary metrics on every split, each with the published number and the baselines below it."""
    baselines = ordered(name for part in page.splits.values() for name in part.baselines)
    rows = []
    for metric in page.primary:
        rows.append(SplitRow(metric=metric, name=None, values=_over_splits(page, metric)))
        if page.published.get(metric) is not None:
            rest = (None,) * (len(page.splits) - 1)
            rows.append(SplitRow(metric=metric, name="published", values=(page.published[metric], *rest)))
        for name in baselines:
            values = tuple(part.baselines.get(name, {}).get(metric) for part in page.splits.values())
            if any(value is not None for value in values):
                rows.append(SplitRow(metric=metric, name=name, values=values))
    return rows


def all_numbers(page: RunPage) -> list[SplitRow]:
    """Every flat metric on every split."""
    names = ordered(name for part in page.splits.values() for name in part.metrics)
    return [SplitRow(metric=name, name=None, values=_over_splits(page, name)) for name in names]


def _over_splits(page: RunPage, metric: str) -> tuple[Number, ...]:
    return tuple(part.metrics.get(metric) for part in page.splits.values())


def breakdown(page: RunPage) -> list[GroupRow]:
    """Every group with its splits below each other; the values are those of `breakdown_metrics`."""
    metrics = breakdown_metrics(page)
    names = ordered(group.name for groups in page.breakdown.values() for group in groups)
    rows = []
    for name in names:
        members = [(split, group) for split, groups in page.breakdown.items() for group in groups if group.name == name]
        for n, (split, group) in enumerate(members):
            values = tuple(group.metrics.get(metric) for metric in metrics)
            span = len(members) if n == 0 else None
            rows.append(GroupRow(group=name, span=span, split=split, count=group.count, values=values))
    return rows


def breakdown_metrics(page: RunPage) -> list[str]:
    """The primary metrics that the breakdown has; if it has none of them, what it has."""
    present = ordered(metric for groups in page.breakdown.values() for group in groups for metric in group.metrics)
    return [metric for metric in page.primary if metric in present] or present


def history(page: RunPage) -> tuple[list[str], list[list[str]]]:
    """Column heads and rows of history.csv, as text."""
    columns = ordered(column for row in page.history for column in row)
    return columns, [[_history_cell(row.get(column)) for column in columns] for row in page.history]


def _history_cell(value: Number | str) -> str:
    if value is None or isinstance(value, str):
        return value or labels.MISSING
    return f"{value:.6g}".replace("-", labels.MINUS, 1) if value < 0 else f"{value:.6g}"
