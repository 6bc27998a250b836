"""What a flow leaves behind in Prefect: a table of the metrics, and links to the pages that show them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_table_artifact

from pipelines.dvc import Graph

PAGE = "index.html"


def publish(graph: Graph, evaluations: Sequence[str]) -> None:
    """A table artifact with the metrics of these evaluations, and a link to each report page that has any of them."""
    table = metrics_table(graph, evaluations)
    if table:
        create_table_artifact(table=table, key="metrics", description="Metrics as evaluation wrote them (`dvc metrics show`)")
    for page in report_pages(graph, evaluations):
        create_link_artifact(
            link=page.as_uri(), link_text=f"Results page {page.parent.name}", key=f"report-{_slug(page.parent.name)}"
        )


def metrics_table(graph: Graph, evaluations: Sequence[str]) -> list[dict[str, Any]]:
    """One row per metric, one column per run."""
    columns = {name.partition("@")[2] or name: _metrics(graph[name].metrics) for name in evaluations}
    names = dict.fromkeys(metric for values in columns.values() for metric in values)
    return [{"metric": metric, **{run: values.get(metric, "") for run, values in columns.items()}} for metric in names]


def report_pages(graph: Graph, evaluations: Sequence[str]) -> list[Path]:
    """Pages that exist in this workspace, of the reports that depend on these evaluations."""
    folders = [Path(out) for report in graph.downstream(evaluations, kind="report") for out in graph[report].outs]
    return [(folder / PAGE).resolve() for folder in folders if (folder / PAGE).is_file()]


def _metrics(files: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in files:
        found |= _flat(json.loads(Path(file).read_text(encoding="utf-8")))
    return found


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _slug(name: str) -> str:
    """Artifact keys hold lower-case letters, digits and dashes only."""
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower()).strip("-")
