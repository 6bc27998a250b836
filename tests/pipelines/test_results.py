"""What a flow publishes, as plain data."""

from __future__ import annotations

import json

import pytest

from pipelines import results
from pipelines.dvc import Graph, Stage


@pytest.fixture
def graph(tmp_path):
    def stage(name, *upstream, outs=(), metrics=()):
        return Stage(name=name, upstream=upstream, deps=(), outs=outs, metrics=metrics)

    def metrics(run, content):
        file = tmp_path / f"{run}.json"
        file.write_text(json.dumps(content))
        return (str(file),)

    return Graph(
        (
            stage("evaluate@a", metrics=metrics("a", {"iid": {"mAP": 50.0}, "n_scored": 9})),
            stage("evaluate@b", metrics=metrics("b", {"iid.mAP": 40.0, "iid.mIoU": 30.0})),
            stage("report@p", "evaluate@a", "evaluate@b", outs=(str(tmp_path / "reports" / "p"),)),
        )
    )


def test_nested_and_dotted_names_meet_in_one_row_and_gaps_stay_empty(graph):
    assert results.metrics_table(graph, ["evaluate@a", "evaluate@b"]) == [
        {"metric": "iid.mAP", "a": 50.0, "b": 40.0},
        {"metric": "n_scored", "a": 9, "b": ""},
        {"metric": "iid.mIoU", "a": "", "b": 30.0},
    ]


def test_only_pages_that_exist_are_linked(graph, tmp_path):
    assert results.report_pages(graph, ["evaluate@a"]) == []
    page = tmp_path / "reports" / "p" / "index.html"
    page.parent.mkdir(parents=True)
    page.touch()
    assert results.report_pages(graph, ["evaluate@a"]) == [page]
