import json
from pathlib import Path

import pytest

from stages.datasets import charades_sta, planted, qvhighlights
from stages.datasets.ground_truth import ground_truth, is_labelled
from stages.datasets.samples import read_samples, write_samples
from stages.datasets.schema import DatasetError, Quality

DATA = Path(__file__).parents[2] / "data"


def test_the_published_records_are_made_again_from_stored_samples(tmp_path):
    write_samples(planted, DATA / "planted", tmp_path / "samples")
    lines = (DATA / "planted/annotations/rf_iid.jsonl").read_text().splitlines()
    samples = read_samples(tmp_path / "samples", "rf_iid")
    assert [sample.published for sample in samples] == lines
    assert ground_truth(samples) == [json.loads(line) for line in lines]


def test_scorers_see_windows_and_placeholders_as_published():
    samples = list(charades_sta.read(DATA / "charades_sta", "rf_test", Quality()))
    assert [sample.spans for sample in samples] == [((1.0, 4.0),), (), ((10.0, 20.0),)]
    assert [record["relevant_windows"] for record in ground_truth(samples)] == [[[1.0, 4.0]], [[0.0, 0.001]], [[10.0, 21.5]]]


def test_escapes_of_the_published_line_are_kept():
    samples = list(qvhighlights.read(DATA / "qvhighlights", "train", Quality()))
    assert "caf\\u00e9" in samples[1].published
    assert ground_truth(samples)[1]["query"] == "A café by the sea"


def test_a_split_without_labels_has_no_ground_truth():
    samples = list(qvhighlights.read(DATA / "qvhighlights", "test", Quality()))
    assert not is_labelled(samples)
    with pytest.raises(DatasetError, match=r"qvhighlights_test\.jsonl: record 1 \(12\) has no labels"):
        ground_truth(samples)
