"""Facts of a data set on a results page."""

from __future__ import annotations

import pytest

from stages.reporting.pages import read_page
from stages.reporting.quality import by_dataset
from stages.reporting.reading import ReportError
from tests.stages.reporting.sample_audits import with_quality
from tests.stages.reporting.sample_pages import page, write_pages


def read(tmp_path, made):
    return read_page(write_pages(tmp_path, made) / f"{made['run']}.json").quality


def test_every_rule_of_splits_stores_and_pairs_is_listed_the_most_frequent_first(tmp_path):
    found = read(tmp_path, with_quality(page("a")))
    told = [(one.rule, one.where, one.count) for one in found.oddities]
    assert told[0] == ("clips_and_windows_disagree", "iid", 919)
    assert told[4:] == [
        ("shared_videos", "iid and rf_iid", 300),
        ("zero_rows", "clip", 7),
        ("without_file", "clip", 2),
        ("different_lengths", "clip and slowfast", 1),
    ]
    assert found.stores == {"clip": {"items": 1400.0, "rows": 33600.0}}


def test_counts_of_splits_are_counts_of_records(tmp_path):
    assert read(tmp_path, with_quality(page("a"))).columns == ["samples", "videos", "unanswerable"]


def test_each_data_set_is_told_once(tmp_path):
    found = [
        read(tmp_path, with_quality(page(run, dataset=dataset)))
        for run, dataset in (("a", "planted"), ("b", "charades"), ("c", "planted"))
    ]
    assert [one.dataset for one in by_dataset(found)] == ["charades", "planted"]


def test_a_rule_without_a_count_is_a_fault(tmp_path):
    made = with_quality(page("a"))
    made["quality"]["splits"]["iid"]["quality"] = {"odd": {"meaning": "odd"}}
    with pytest.raises(ReportError, match=r"quality: splits\.iid: quality\.odd: count is missing"):
        read(tmp_path, made)
