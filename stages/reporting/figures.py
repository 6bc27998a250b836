"""What the charts of a results page draw, as plain data; the script of the page draws it with Observable Plot.

Numbers are cut to four significant digits. Queries: stages/reporting/timelines.py.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from stages.reporting import labels
from stages.reporting.pages import RunPage
from stages.reporting.reading import Number
from stages.reporting.tables import breakdown_metrics, ordered
from stages.reporting.timelines import short

STEP_COLUMNS = ("epoch", "step")  # what a learning curve may run over, best first
CURVES_PER_GROUP = 10


def overview(pages: Sequence[RunPage]) -> dict[str, Any] | None:
    """The first primary metric of each run of one data set on every split; baselines as marks. None if nothing is measured."""
    metric = next((name for page in pages for name in page.primary), None)
    if metric is None:
        return None
    points = [
        {"run": labels.visible(page.run), "split": split, "value": short(value)}
        for page in pages
        for split, part in page.splits.items()
        if (value := part.metrics.get(metric)) is not None
    ]
    marks = [mark for page in pages for mark in _baselines(page, metric)]
    unique = [mark for n, mark in enumerate(marks) if mark not in marks[:n]]
    if not points:
        return None
    return {"metric": labels.metric(metric), "splits": _splits(pages), "points": points, "baselines": unique}


def split_bars(page: RunPage) -> dict[str, Any]:
    """The primary metrics of every split, with baselines and the published numbers as marks."""
    first = next(iter(page.splits))
    bars, marks = [], []
    for metric in page.primary:
        for split, part in page.splits.items():
            value = part.metrics.get(metric)
            if value is not None:
                bars.append({"metric": labels.metric(metric), "split": split, "value": short(value)})
        marks += [{"metric": labels.metric(metric), **mark} for mark in _baselines(page, metric)]
        published = page.published.get(metric)
        if published is not None:
            marks.append({"metric": labels.metric(metric), "split": first, "name": "published", "value": short(published)})
    return {"splits": _splits([page]), "bars": bars, "marks": marks}


def breakdown(page: RunPage) -> dict[str, Any] | None:
    """Each primary metric by group and split. None without a breakdown."""
    bars = [
        {"metric": labels.metric(metric), "split": split, "group": labels.visible(group.name)}
        | {"value": short(value), "count": group.count}
        for metric in breakdown_metrics(page)
        for split, groups in page.breakdown.items()
        for group in groups
        if (value := group.metrics.get(metric)) is not None
    ]
    return {"splits": _splits([page]), "bars": bars} if bars else None


def curves(page: RunPage) -> list[dict[str, Any]]:
    """Learning curves of every column of history.csv: "training", "validation", or what stands before a dot in the name.

    A column is of the validation when evaluation has a metric of that name. Of many columns, the primary metrics are drawn;
    the table of the history has all.
    """
    columns = ordered(column for row in page.history for column in row)
    x_column = next((name for name in STEP_COLUMNS if name in columns), None)
    metrics = {metric for split in page.splits.values() for metric in split.metrics}
    groups: dict[str, list[dict[str, Any]]] = {}
    for column in columns:
        if column not in STEP_COLUMNS and len(points := _points(page, column, x_column)) > 1:
            group, name = _named(column, metrics)
            groups.setdefault(group, []).append({"column": column, "name": labels.metric(name), "points": points})
    found = []
    for group, series in groups.items():
        primary = [one for one in series if any(one["column"].endswith(metric) for metric in page.primary)]
        shown = series if len(series) <= CURVES_PER_GROUP else primary or series
        found.append({"group": labels.visible(group), "x": x_column or "row", "series": shown[:CURVES_PER_GROUP]})
    return found


def _points(page: RunPage, column: str, x_column: str | None) -> list[list[Number]]:
    points = []
    for n, row in enumerate(page.history):
        x, y = row.get(x_column) if x_column else float(n), row.get(column)
        if isinstance(x, float) and isinstance(y, float):
            points.append([x, short(y)])
    return points


def _named(column: str, metrics: Collection[str]) -> tuple[str, str]:
    """The group of a column, and its name within it. "R1@0.5" has a dot, but no group."""
    if column in metrics:
        return "validation", column
    head, dot, rest = column.partition(".")
    return (head, rest) if dot and not head[-1:].isdigit() else ("training", column)


def _baselines(page: RunPage, metric: str) -> list[dict[str, Any]]:
    return [
        {"split": split, "name": name, "value": short(value)}
        for split, part in page.splits.items()
        for name, numbers in part.baselines.items()
        if (value := numbers.get(metric)) is not None
    ]


def _splits(pages: Sequence[RunPage]) -> list[str]:
    return ordered(split for page in pages for split in page.splits)
