import json
from pathlib import Path

import pytest

from stages.datasets import charades_sta, planted, qvhighlights
from stages.datasets.ground_truth import ground_truth, is_labelled, write_ground_truth
from stages.datasets.samples import read_samples, write_samples
from stages.datasets.schema import DatasetError, Quality

DATA = Path(__file__).parents[2] / "data"


def test_the_published_file_is_made_again_from_stored_samples(tmp_path):
    write_samples(planted, DATA / "planted", tmp_path / "samples")
    write_ground_truth(read_samples(tmp_path / "samples", "rf_iid"), tmp_path / "truth.jsonl")
    assert (tmp_path / "truth.jsonl").read_bytes() == (DATA / "planted/annotations/rf_iid.jsonl").read_bytes()


def test_scorers_see_windows_and_placeholders_as_published():
    samples = list(charades_sta.read(DATA / "charades_sta", "rf_test", Quality()))
    assert [sample.spans for sample in samples] == [((1.0, 4.0),), (), ((10.0, 20.0),)]
    assert [record["relevant_windows"] for record in ground_truth(samples)] == [[[1.0, 4.0]], [[0.0, 0.001]], [[10.0, 21.5]]]


def test_escapes_of_the_published_line_are_kept(tmp_path):
    samples = list(qvhighlights.read(DATA / "qvhighlights", "train", Quality()))
    write_ground_truth(samples, tmp_path / "truth.jsonl")
    assert "caf\\u00e9" in (tmp_path / "truth.jsonl").read_text()
    assert json.loads((tmp_path / "truth.jsonl").read_text().splitlines()[1])["query"] == "A café by the sea"


def test_a_split_without_labels_has_no_ground_truth(tmp_path):
    samples = list(qvhighlights.read(DATA / "qvhighlights", "test", Quality()))
    assert not is_labelled(samples)
    with pytest.raises(DatasetError, match=r"qvhighlights_test\.jsonl: record 1 \(12\) has no labels"):
        write_ground_truth(samples, tmp_path / "truth.jsonl")
    assert list(tmp_path.iterdir()) == []
