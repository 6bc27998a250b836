"""Page files: what is read, and how each fault is named."""

from __future__ import annotations

import json

import pytest

from stages.reporting.pages import read_page, read_pages
from stages.reporting.reading import ReportError
from tests.stages.reporting.sample_pages import page, write_pages


def test_a_page_as_evaluation_writes_it_is_read_whole(tmp_path):
    folder = write_pages(tmp_path, page("one", examples=2))
    (read,) = read_pages(folder)
    assert (read.run, read.method, list(read.splits)) == ("one", "causalvtg", ["iid", "interventional", "reversed"])
    assert len(read.examples) == 6
    assert read.examples[0].windows[0][2] == 0.93
    assert read.published == {}
    assert [group.name for group in read.breakdown["iid"]] == ["short (0-10 s]", "middle (10-30 s]", "long (30-150 s]"]


def test_history_that_went_through_csv_becomes_numbers_again(tmp_path):
    made = page("one", examples=0)
    made["history"] = [{"epoch": "0", "loss": "1.5", "validation": "", "note": "best", "nan": "nan"}]
    read = read_page(write_pages(tmp_path, made) / "one.json")
    assert read.history == ({"epoch": 0.0, "loss": 1.5, "validation": None, "note": "best", "nan": None},)


def test_nan_and_null_mean_not_measured(tmp_path):
    made = page("one", examples=0)
    made["splits"]["iid"]["metrics"] |= {"MR-short-mAP": float("nan"), "MR-long-mAP": None}
    metrics = read_page(write_pages(tmp_path, made) / "one.json").splits["iid"].metrics
    assert metrics["MR-short-mAP"] is None
    assert metrics["MR-long-mAP"] is None


def test_a_page_under_another_name_than_its_run_is_refused(tmp_path):
    write_pages(tmp_path, page("one")).joinpath("one.json").rename(tmp_path / "two.json")
    with pytest.raises(ReportError, match=r"two\.json: run: expected 'two', as the file is called, got 'one'"):
        read_pages(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made.pop("method"), r"one\.json: method is missing"),
        (lambda made: made.update(features="clip"), r"one\.json: features: expected a list of texts, got 'clip'"),
        (lambda made: made.update(splits={}), r"one\.json: splits: expected at least one split"),
        (lambda made: made["splits"]["iid"].update(n_scored=True), r"splits\.iid: n_scored: expected a number, got True"),
        (lambda made: made["splits"]["iid"]["metrics"].update(mAP="7"), r"splits\.iid: metrics: mAP: expected a number or null"),
        (
            lambda made: made["examples"][1].update(windows=[[1, 2]]),
            r"examples\[1\]: windows\[0\]: expected 3 numbers, got \[1, 2\]",
        ),
        (lambda made: made["examples"][1].update(truth=[[1, None]]), r"examples\[1\]: truth\[0\]: expected 2 numbers"),
        (
            lambda made: made["examples"][0].update(duration=0),
            r"examples\[0\]: duration, seconds_per_clip: expected seconds above 0",
        ),
        (lambda made: made["breakdown"]["iid"].append(3), r"breakdown: iid\[3\]: expected a JSON object, got int"),
    ],
)
def test_every_fault_is_named_with_file_and_place(tmp_path, change, message):
    made = page("one")
    change(made)
    with pytest.raises(ReportError, match=message):
        read_pages(write_pages(tmp_path, made))


def test_a_file_cut_short_is_named(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(page("one"))[:300])
    with pytest.raises(ReportError, match=r"one\.json: not readable as JSON"):
        read_pages(tmp_path)
