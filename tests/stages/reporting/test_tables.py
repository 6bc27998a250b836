"""Tables of the results page."""

from __future__ import annotations

import pytest

from stages.reporting import tables
from stages.reporting.pages import RunPage, read_pages
from tests.stages.reporting.sample_pages import page, write_pages

RECALL = "MR-full-R1@0.5"


@pytest.fixture
def read(tmp_path):
    def read(*pages) -> list[RunPage]:
        return read_pages(write_pages(tmp_path, *pages))

    return read


def with_value(run: str, value: float | None, **options):
    made = page(run, splits=("test",), **options)
    made["splits"]["test"]["metrics"][RECALL] = value
    return made


def test_runs_come_before_baselines_and_each_baseline_once(read):
    (table,) = tables.results(read(with_value("b", 60.0), with_value("a", 61.0)))
    for_split = [(row.kind, row.name) for row in table.rows]
    assert for_split == [("run", "a"), ("run", "b"), ("baseline", "random window"), ("baseline", "centre window")]


def test_a_baseline_that_differs_between_runs_names_its_run(read):
    other = with_value("b", 60.0)
    other["splits"]["test"]["baselines"]["random window"][RECALL] = 3.0
    (table,) = tables.results(read(with_value("a", 61.0), other))
    assert [row.name for row in table.rows[2:]] == ["random window (a)", "random window (b)", "centre window"]


def test_the_best_run_of_a_split_is_marked_in_printed_decimals(read):
    (table,) = tables.results(
        read(with_value("a", 61.001), with_value("b", 61.004), with_value("c", 60.0), with_value("d", None))
    )
    assert [row.cells[0].best for row in table.rows[:4]] == [True, True, False, False]


def test_one_run_alone_is_not_called_the_best(read):
    (table,) = tables.results(read(with_value("a", 61.0)))
    assert not any(cell.best for row in table.rows for cell in row.cells)


def test_published_numbers_stand_beside_the_first_split_only(read):
    made = page("a", dataset="charades", splits=("test", "val"))
    (table,) = tables.results(read(made))
    first, second = table.rows[:2]
    assert (first.split, first.cells[0].published) == ("test", 59.6)
    assert (second.split, second.cells[0].published) == ("val", None)
    assert table.has_published


def test_each_data_set_has_its_table_and_its_metrics(read):
    other = page("b", dataset="answers", splits=("val",))
    other |= {"primary": ["Acc"]}
    other["splits"]["val"]["metrics"] = {"Acc": 55.0}
    found = tables.results(read(page("a"), other))
    assert [(table.dataset, table.metrics[0]) for table in found] == [("answers", "Acc"), ("planted", RECALL)]


def test_breakdown_rows_put_the_splits_of_a_group_below_each_other(read):
    (one,) = read(page("a"))
    rows = tables.breakdown(one)
    assert [(row.group, row.split, row.span) for row in rows[:4]] == [
        ("short (0-10 s]", "iid", 3),
        ("short (0-10 s]", "interventional", None),
        ("short (0-10 s]", "reversed", None),
        ("middle (10-30 s]", "iid", 3),
    ]


def test_splits_side_by_side_lists_published_and_baselines_below_each_metric(read):
    (one,) = read(page("a", dataset="charades", splits=("test",)))
    names = [(row.metric, row.name) for row in tables.splits_side_by_side(one)[:4]]
    assert names == [(RECALL, None), (RECALL, "published"), (RECALL, "random window"), (RECALL, "centre window")]
