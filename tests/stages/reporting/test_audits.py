"""Audit pages: what is read, how faults are named, and what is drawn."""

from __future__ import annotations

import json

import pytest

from stages.reporting import audits, site
from stages.reporting.audits import read_audits
from stages.reporting.reading import ReportError
from stages.reporting.settings import Report
from tests.stages.reporting.sample_audits import audit_page, write_audits


def read(tmp_path, made=None):
    return read_audits(write_audits(tmp_path, made or audit_page()) / "audits")[0]


def test_an_audit_as_the_stage_writes_it_is_read_whole(tmp_path):
    page = read(tmp_path)
    assert (page.audit, page.seeds, page.splits) == ("causalvtg", 3, ("iid", "interventional", "reversed"))
    assert page.headline("gain", "full").value == 9.0
    assert page.headline("gain", "base") is None
    assert [one.holds for one in page.controls] == [True, None]


def test_the_page_of_an_audit_says_how_often_its_intervals_contain_the_truth_unless_it_is_older(tmp_path):
    assert "about 92 of 100" in read(tmp_path).coverage
    assert read(tmp_path, {key: value for key, value in audit_page().items() if key != "coverage"}).coverage == ""


def test_a_report_without_audits_has_none(tmp_path):
    assert read_audits(tmp_path / "audits") == []


def test_what_an_interval_says_depends_on_where_zero_is(tmp_path):
    made = audit_page()
    made["effects"] = [made["effects"][2] | {"low": low, "high": high} for low, high in ((1, 2), (-2, -1), (-1, 1), (None, 1))]
    assert [one.verdict for one in read(tmp_path, made).effects] == ["above 0", "below 0", "includes 0", ""]


def test_a_level_is_not_held_against_zero(tmp_path):
    assert {one.verdict for one in read(tmp_path).effects if one.kind == "level"} == {""}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measures": []}, r"measures: expected at least one measure"),
        ({"effects": [{"kind": "gap"}]}, r"effects\[0\]: variant is missing; audit again"),
        ({"controls": [{"control": "a", "expected": "b", "holds": 1}]}, r"controls\[0\]: holds: expected true, false or null"),
        ({"sweep": {"over": "bias", "rows": [{}]}}, r"sweep: rows\[0\]: strength is missing"),
        ({"audit": "other"}, r"audit: expected 'causalvtg', as the file is called, got 'other'"),
    ],
)
def test_every_fault_is_named(tmp_path, change, message):
    made = write_audits(tmp_path, audit_page()) / "audits" / "causalvtg.json"
    made.write_text(json.dumps(audit_page() | change))
    with pytest.raises(ReportError, match=message):
        read_audits(tmp_path / "audits")


def test_charts_tell_gains_before_gaps_and_levels_apart(tmp_path):
    headline = audits.charts(read(tmp_path))["measures"][0]
    assert [one["kind"] for one in headline["effects"]] == ["gain", "gap"]
    assert len(headline["levels"]) == 8
    assert [(one["kind"], len(one["points"])) for one in headline["sweeps"]] == [("gain", 10), ("gap", 10)]


def test_the_table_has_effects_of_the_headline_measure_first_and_levels_last(tmp_path):
    rows = audits.ordered_effects(read(tmp_path))
    assert [one.measure for one in rows] == sorted((one.measure for one in rows), reverse=True)
    assert [rows[0].kind, rows[13].kind] == ["gain", "level"]


def test_groups_of_the_headline_measure_share_a_chart(tmp_path):
    made = audit_page("one")
    other = "R1@0.5, above 80 s"
    made["measures"].append(other)
    made["effects"] += [one | {"measure": other} for one in made["effects"] if one["measure"] == "R1@0.5"]
    drawn = audits.charts(audits.read_audit(write_audits(tmp_path, made) / "audits" / "one.json"))
    assert [point["variant"] for point in drawn["parts"]] == ["R1@0.5", other]


def test_without_groups_there_is_no_such_chart(tmp_path):
    assert "parts" not in audits.charts(audits.read_audit(write_audits(tmp_path, audit_page("one")) / "audits" / "one.json"))


def test_the_list_of_audits_says_how_many_controls_hold_of_those_that_are_told(tmp_path):
    page = site.render(Report(title="Audits", timelines=0), [], [read(tmp_path)])
    assert ">1 of 1<" in page
