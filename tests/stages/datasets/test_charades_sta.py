import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from stages.datasets import charades_sta
from stages.datasets.ground_truth import ground_truth
from stages.datasets.samples import read_samples, training_split
from stages.datasets.schema import DatasetError, Quality

RAW = Path(__file__).parents[2] / "data" / "charades_sta"


def read(split, raw=RAW):
    quality = Quality()
    return list(charades_sta.read(raw, split, quality)), dict(quality.counts)


def test_plain_splits_are_named_by_qid():
    samples, counts = read("train")
    assert [(sample.sample_id, sample.video_id, sample.spans) for sample in samples] == [
        ("0", "AAAA1", ((0.0, 6.9),)),
        ("1", "AAAA1", ((22.4, 30.5),)),
        ("2", "BBBB2", ((3.0, 9.5),)),
    ]
    assert counts == {}


def test_a_last_line_without_line_end_counts():
    assert [sample.sample_id for sample in read("test")[0]] == ["3", "4", "5"]


def test_pairs_are_named_by_video_and_query_and_keep_the_id_of_the_text_feature():
    samples, counts = read("rf_test")
    assert [(sample.sample_id, sample.query_id, sample.answerable) for sample in samples] == [
        ("CCCC3_4", "4", True),
        ("CCCC3_5", "5", False),
        ("DDDD4_4", "4", True),
    ]
    assert counts == {"placeholder_window_dropped": 1, "query_id_repeated": 1, "window_end_clamped": 1}


def test_the_pairs_as_their_authors_publish_them_give_the_same_samples(tmp_path):
    raw = tmp_path / "raw"
    shutil.copytree(RAW, raw)
    (raw / "annotations/charades_sta_test_rf.jsonl").unlink()
    ours, counts = read("rf_test", raw)
    published, _ = read("rf_test")
    assert counts == {"query_id_by_text": 3, "placeholder_window_dropped": 1, "query_id_repeated": 1, "window_end_clamped": 1}
    same = {"source": "", "record": 0, "published": ""}
    assert [replace(sample, **same) for sample in ours] == [replace(sample, **same) for sample in published]
    assert ground_truth(ours) == ground_truth(published)


def test_an_unknown_split_is_answered_with_the_known_ones():
    with pytest.raises(DatasetError, match=r"charades_sta: no split 'val'; it has train, test, rf_val, rf_test"):
        read("val")


@pytest.mark.shared
def test_all_published_records_are_read_and_counted(consolidated):
    _, report = consolidated("charades_sta")
    splits = report["splits"]
    figures = {split: (facts["samples"], facts["videos"], facts["queries"]) for split, facts in splits.items()}
    assert figures == {
        "train": (12404, 5336, 12404),
        "test": (3720, 1334, 3720),
        "rf_val": (3720, 998, 1523),
        "rf_test": (3720, 1035, 1573),
    }
    assert splits["train"]["quality"] == splits["test"]["quality"] == {}
    assert [splits[split]["unanswerable"] for split in ("rf_val", "rf_test")] == [1860, 1860]
    counts = {
        split: {rule: entry["count"] for rule, entry in splits[split]["quality"].items()} for split in ("rf_val", "rf_test")
    }
    assert counts == {
        "rf_val": {"placeholder_window_dropped": 1860, "query_id_repeated": 3720 - 1523, "window_end_clamped": 274},
        "rf_test": {"placeholder_window_dropped": 1860, "query_id_repeated": 3720 - 1573, "window_end_clamped": 288},
    }
    assert report["shared_videos"]["rf_test and rf_val"]["count"] == 699
    assert not any("train" in pair for pair in report["shared_videos"])
    assert report["absent"] == {}


@pytest.mark.shared
def test_published_records_return_from_the_samples_unchanged(consolidated, published_annotations):
    folder, _ = consolidated("charades_sta")
    raw = published_annotations("charades_sta")
    for split, name in charades_sta.SOURCE.files.items():
        with gzip.open(raw / f"{name}.gz", "rt", encoding="utf-8") as lines:
            assert ground_truth(read_samples(folder, split)) == [json.loads(line) for line in lines]


@pytest.mark.shared
def test_both_published_forms_of_the_real_pairs_agree(published_annotations):
    raw = published_annotations("charades_sta")
    without = published_annotations("charades_sta", leave_out=("charades_sta_val_rf.jsonl.gz", "charades_sta_test_rf.jsonl.gz"))
    same = {"source": "", "record": 0, "published": ""}
    for split in ("rf_val", "rf_test"):
        (one, _), (other, counts) = read(split, raw), read(split, without)
        assert counts["query_id_by_text"] == 3720
        by_id = {sample.sample_id: replace(sample, **same) for sample in one}
        assert {sample.sample_id: replace(sample, **same) for sample in other} == by_id


@pytest.mark.shared
def test_one_training_video_in_ten_is_held_out(consolidated):
    training, selection = training_split(consolidated("charades_sta")[0], min_duration=5.0)
    assert (len(training), len(selection)) == (11181, 1223)
    assert not {sample.video_id for sample in training} & {sample.video_id for sample in selection}
