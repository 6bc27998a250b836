"""What the charts draw."""

from __future__ import annotations

import pytest

from stages.reporting import figures
from stages.reporting.pages import read_pages
from tests.stages.reporting.sample_pages import page, write_pages


@pytest.fixture
def one(tmp_path):
    return read_pages(write_pages(tmp_path, page("a", examples=7)))[0]


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
