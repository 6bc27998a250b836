"""What the charts draw."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.reporting import figures
from stages.reporting.pages import read_pages
from tests.stages.reporting.sample_pages import page, write_pages


@pytest.fixture
def one(tmp_path):
    return read_pages(write_pages(tmp_path, page("a", examples=7)))[0]


@given(st.floats(-1e12, 1e12))
def test_four_digits_are_within_a_two_thousandth(value):
    assert math.isclose(figures.short(value) or 0.0, value, rel_tol=5.01e-4, abs_tol=1e-300)


def test_examples_are_spread_evenly_over_every_split(one):
    chosen = figures.examples(one, 3)
    assert [(query["split"], query["id"]) for query in chosen[:4]] == [
        ("iid", "1000"),
        ("iid", "1002"),
        ("iid", "1004"),
        ("interventional", "1000"),
    ]
    assert len(figures.examples(one, 100)) == 21
    assert figures.examples(one, 0) == []


def test_windows_are_kept_inside_the_video_and_judged_as_they_were(tmp_path):
    made = page("a", examples=1)
    made["examples"][0] |= {"duration": 10.0, "truth": [[0.0, 4.0], [8.0, 10.0]], "windows": [[-4.0, 4.0, 0.9], [8.0, 12.0, 0.2]]}
    (query, *_) = figures.examples(read_pages(write_pages(tmp_path, made))[0], 1)
    assert [(window["span"], window["iou"]) for window in query["windows"]] == [([0.0, 4.0], 0.5), ([8.0, 10.0], 0.5)]


def test_an_unanswerable_query_has_no_overlap(one):
    assert figures.best_iou((0.0, 5.0, 1.0), ()) is None


def test_curves_are_grouped_and_show_the_primary_metrics_of_a_validation(one):
    groups = figures.curves(one)
    assert [group["group"] for group in groups] == ["training", "validation"]
    assert [series["name"] for series in groups[0]["series"]] == ["lr", "cls", "reg", "sal", "neg", "total"]
    assert [series["name"] for series in groups[1]["series"]] == ["R1@0.5", "R1@0.7", "mIoU", "mAP"]
    assert groups[0]["series"][1]["points"][0][0] == 0.0


def test_columns_with_a_dot_are_grouped_by_what_stands_before_it(tmp_path):
    made = page("a", examples=0)
    made["history"] = [{"epoch": n, "loss.cls": n, "loss.reg": n, "R1@0.9": n} for n in range(3)]
    groups = figures.curves(read_pages(write_pages(tmp_path, made))[0])
    assert [(group["group"], [one["name"] for one in group["series"]]) for group in groups] == [
        ("loss", ["cls", "reg"]),
        ("training", ["R1@0.9"]),
    ]


def test_a_column_measured_only_now_and_then_keeps_its_own_epochs(tmp_path):
    made = page("a", examples=0)
    made["history"] = [{"epoch": n, "R1@0.5": n * 1.5 if n % 2 else ""} for n in range(6)]
    (group,) = figures.curves(read_pages(write_pages(tmp_path, made))[0])
    assert group["series"][0]["points"] == [[1.0, 1.5], [3.0, 4.5], [5.0, 7.5]]
