"""Runs side by side: arrays in one order of queries."""

from __future__ import annotations

import pytest

from stages.reporting import comparing
from stages.reporting.pages import read_page, read_pages
from stages.reporting.reading import ReportError
from tests.stages.reporting.sample_audits import with_outcomes
from tests.stages.reporting.sample_pages import page, write_pages


def outcomes(ids, **measures):
    return {"test": {"ids": list(ids), "queries": [f"query {one}" for one in ids], "measures": measures}}


def run(name, found, dataset="planted"):
    return page(name, dataset=dataset, splits=("test",), examples=0) | {"outcomes": found}


def test_values_follow_the_order_of_the_first_run_with_null_where_there_is_none(tmp_path):
    pages = read_pages(
        write_pages(tmp_path, run("a", outcomes("xy", IoU=[10.04, 100.0])), run("b", outcomes("zx", IoU=[1, None])))
    )
    (group,) = comparing.groups(pages)
    assert group["splits"][0]["ids"] == ["x", "y", "z"]
    assert group["splits"][0]["queries"] == ["query x", "query y", "query z"]
    assert [one["measures"]["IoU"] for one in group["runs"]] == [[[10.0, 100, None]], [[None, None, 1]]]


def test_a_data_set_with_one_run_has_nothing_to_compare(tmp_path):
    pages = read_pages(
        write_pages(tmp_path, run("a", outcomes("x", IoU=[1])), run("b", {}), run("c", outcomes("x", IoU=[1]), "other"))
    )
    assert comparing.groups(pages) == []


def test_a_page_with_ten_thousand_queries_stays_small(tmp_path):
    pages = read_pages(write_pages(tmp_path, *(with_outcomes(page(run, examples=0), queries=3334) for run in "ab")))
    assert len(str(comparing.groups(pages))) < 1_500_000


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (outcomes("xy", IoU=[1]), r"outcomes\.test: IoU: expected 2 values, one per id, got '1 values'"),
        (outcomes("xx", IoU=[1, 2]), r"outcomes\.test: ids: expected distinct ids, got 'x'"),
        (outcomes("x", IoU=["1"]), r"measures: IoU\[0\]: expected a number or null"),
    ],
)
def test_every_fault_is_named(tmp_path, found, message):
    with pytest.raises(ReportError, match=message):
        read_page(write_pages(tmp_path, run("a", found)) / "a.json")
