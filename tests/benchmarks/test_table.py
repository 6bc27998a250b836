"""The page of benchmarks says what results/*.json say, and nothing else."""

from __future__ import annotations

import pytest

from benchmarks import run, table

MACHINE = {"processor": "x86_64", "cores": 2, "memory_gib": 24, "python": "3.11", "threads": "1"}


def ratios(median, low, high, **more):
    return {"ratio_median": median, "ratio_min": low, "ratio_max": high, "seconds_median": 0.5, **more}


def demo(seconds):
    return {"demo": {"machine": MACHINE, "jobs": 2, "seconds": seconds, "limit: cpu over cores": 120.0}}


def row(page, what):
    return next(line for line in page.splitlines() if line.startswith(f"| {what}"))


def test_the_page_is_the_one_that_the_results_give():
    assert table.README.read_text() == table.text(table.read())


@pytest.mark.parametrize(("seconds", "reached"), [(240.0, "| yes |"), (301.0, "| **no** |")])
def test_a_goal_stands_beside_its_figure_and_the_limit(seconds, reached):
    found = row(table.text(demo(seconds)), "`make demo`")
    assert f"{seconds / 60:.1f} min" in found
    assert reached in found
    assert "over 2 cores 2.0 min" in found


def test_what_was_not_measured_is_said():
    assert "not measured yet" in row(table.text({}), "scoring")


def test_a_goal_is_reached_only_if_the_smallest_ratio_reaches_it():
    figures = {
        "machine": MACHINE,
        "cases": {"x": {"figures": {"array": ratios(30, 19.9, 40), "parse JSON (limit)": ratios(1, 1, 1)}}},
    }
    assert "30 [19.9-40] | **no**" in table.text({"scoring": figures})


def test_every_figure_of_a_result_is_on_the_page():
    page = table.text({"topk": {"machine": MACHINE, "frames": {"rows": 32, "one-hots": ratios(7.3, 5.1, 7.7, gb_per_s=1.25)}}})
    assert "| frames / one-hots | 7.3 [5.1-7.7] | 0.5 | gb_per_s 1.25 |" in page
    assert "| frames | rows 32 |" in page


def test_why_there_is_no_figure_is_on_the_page():
    page = table.text({"topk": {"machine": MACHINE, "compile": {"failed": "no compiler here"}}})
    assert "| compile | failed no compiler here |" in page


def test_every_benchmark_says_what_it_is_in_its_first_line():
    for name in run.names():
        assert table.first_line(name), name


def test_why_a_goal_is_missed_is_said_only_where_one_is():
    def page(percent):
        write = ratios(percent, percent, percent)
        figures = {"build": write, "read": write, "limit: write": {**write, "mb_per_s": 532}}
        return table.text({"consolidate": {"machine": MACHINE, "sets": {"text": {"candidates": figures}}}})

    assert "on this disk: text 1.25" in page(1.25)
    assert "on this disk" not in page(2.5)
    assert "Nothing does." in page(2.5)
