"""Runs on the same data set side by side, query by query: compact arrays for the script of the page.

Queries of a split stand in the order of the first run that has them; every array follows that order, null where a run or a
measure has no number for a query.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stages.reporting import labels
from stages.reporting.pages import Outcomes, RunPage
from stages.reporting.reading import Number
from stages.reporting.tables import ordered

MEASURES = 4  # per query and run; more would make the page heavy
LETTERS = 160  # of a query


def groups(pages: Sequence[RunPage]) -> list[dict[str, Any]]:
    """One group per data set on which two runs or more were measured query by query, in alphabetical order."""
    found = []
    for dataset in sorted({page.dataset for page in pages}):
        members = sorted((page for page in pages if page.dataset == dataset and page.outcomes), key=lambda page: page.run)
        if len(members) > 1:
            found.append(_group(dataset, members))
    return found


def _group(dataset: str, members: Sequence[RunPage]) -> dict[str, Any]:
    splits = ordered(split for page in members for split in page.outcomes)
    asked: dict[str, dict[str, str]] = {split: {} for split in splits}
    for page in members:
        for split, part in page.outcomes.items():
            for n, one in enumerate(part.ids):
                asked[split].setdefault(one, part.queries[n] if part.queries else "")
    return {
        "dataset": labels.visible(dataset),
        "splits": [
            {
                "split": labels.visible(split),
                "ids": [labels.visible(one) for one in texts],
                "queries": [labels.visible(text[:LETTERS]) for text in texts.values()] if any(texts.values()) else [],
            }
            for split, texts in asked.items()
        ],
        "runs": [
            {
                "run": labels.visible(page.run),
                "anchor": labels.anchor("run", page.run),
                "method": labels.visible(page.method),
                "measures": _measures(page, asked),
            }
            for page in members
        ],
    }


def _measures(page: RunPage, asked: dict[str, dict[str, str]]) -> dict[str, list[list[Number] | None]]:
    """Measure -> one array per split, None where the run has no such split."""
    names = ordered(name for part in page.outcomes.values() for name in part.measures)[:MEASURES]
    return {
        labels.visible(name): [
            _aligned(page.outcomes[split], name, list(texts)) if split in page.outcomes else None
            for split, texts in asked.items()
        ]
        for name in names
    }


def _aligned(part: Outcomes, measure: str, ids: Sequence[str]) -> list[Number]:
    values = dict(zip(part.ids, part.measures.get(measure, ()), strict=False))
    return [_rounded(values.get(one)) for one in ids]


def _rounded(value: Number) -> Number:
    """One decimal, whole numbers without: most outcomes are 0 or 100."""
    if value is None:
        return None
    value = round(value, 1)
    return int(value) if value == int(value) else value
