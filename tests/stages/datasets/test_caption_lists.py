"""The lists of CPL and CCR, as small files and as published."""

from __future__ import annotations

import json

import pytest

from stages.datasets import activitynet_captions_cpl, charades_sta_cpl
from stages.datasets.samples import training_split, write_samples
from stages.datasets.schema import DatasetError, Quality


def raw(tmp_path, name, rows):
    (tmp_path / "annotations").mkdir(exist_ok=True)
    (tmp_path / "annotations" / name).write_text(rows if isinstance(rows, str) else json.dumps(rows))
    return tmp_path


def test_records_are_numbered_and_keep_the_window_as_published(tmp_path):
    folder = raw(tmp_path, "val_data.json", [["v_a", 10.0, [2, 10.01], " A dog runs."], ["v_a", 10.0, [0, 3.5], "It sits."]])
    quality = Quality()
    first, second = activitynet_captions_cpl.read(folder, "val", quality)
    assert (first.sample_id, first.video_id, first.query, first.spans) == ("0", "v_a", " A dog runs.", ((2.0, 10.0),))
    assert json.loads(first.published)["relevant_windows"] == [[2, 10.01]]
    assert second.sample_id == "1"
    assert quality.counts["window_end_clamped"] == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["a", 1.0, [0, 1]]], r"record 0: expected \[video, duration"),
        ({}, "expected a JSON array"),
        ("[[", "broken JSON"),
        ([["a", -1.0, [0, 1], "x"]], "duration"),
    ],
)
def test_anything_else_is_refused_with_its_place(tmp_path, rows, said):
    with pytest.raises(DatasetError, match=said):
        list(charades_sta_cpl.read(raw(tmp_path, "test.json", rows), "test", Quality()))


def test_training_sentences_of_the_release_serve_where_the_list_is_not_published(tmp_path):
    content = {"v_a": {"duration": 9.0, "timestamps": [[0, 3], [1, 2]], "sentences": ["One.", "Two."]}}
    folder = raw(tmp_path, "train.json", content)
    assert [one.query for one in activitynet_captions_cpl.read(folder, "train", Quality())] == ["One.", "Two."]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("dataset", "adapter", "renamed", "counts"),
    [
        ("charades_sta", charades_sta_cpl, {"cpl_train": "train", "cpl_test": "test"}, {"train": 10602, "test": 3158}),
        (
            "activitynet_captions",
            activitynet_captions_cpl,
            {"cpl_val_data": "val_data", "cpl_test_data": "test_data", "ratsg_train": "train"},
            {"train": 37421, "val": 17505, "test": 17031},
        ),
    ],
)
def test_published_lists_are_read_whole(tmp_path, shared_data, dataset, adapter, renamed, counts):
    (tmp_path / "annotations").mkdir()
    for theirs, name in renamed.items():
        (tmp_path / "annotations" / f"{name}.json.gz").symlink_to(shared_data / dataset / f"{theirs}.json.gz")
    report = write_samples(adapter, tmp_path, tmp_path / "samples")
    assert {split: facts["samples"] for split, facts in report["splits"].items()} == counts
    training, chosen = training_split(tmp_path / "samples")
    assert (len(training) + len(chosen) == counts["train"]) == (dataset == "charades_sta")
