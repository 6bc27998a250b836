import json
import shutil
from pathlib import Path

import pytest

from stages.datasets import qvhighlights
from stages.datasets.samples import read_samples, training_split
from stages.datasets.schema import Quality

RAW = Path(__file__).parents[2] / "data" / "qvhighlights"


def read(split, raw=RAW):
    quality = Quality()
    return list(qvhighlights.read(raw, split, quality)), dict(quality.counts)


def test_windows_and_ratings_are_read():
    samples, counts = read("train")
    assert samples[0].spans == ((0.0, 4.0), (8.0, 10.0))
    assert samples[0].relevant_clips == (0, 1, 4)
    assert samples[0].saliency_scores == ((4, 3, 2), (1, 1, 0), (2, 0, 4))
    assert samples[1].query == "A café by the sea"
    assert counts == {
        "duration_differs_from_id": 1,
        "query_non_ascii": 1,
        "saliency_all_zero": 1,
        "video_id_starts_with_sign": 2,
        "window_whole_video": 1,
    }


def test_video_ids_with_signs_and_dots_are_kept_whole():
    assert [sample.video_id for sample in read("train")[0]] == ["-aB.c_dE_60.0_72.0", "_zz_0.0_10.0"]


def test_the_test_split_has_no_labels():
    (sample,), counts = read("test")
    assert (sample.spans, sample.relevant_clips, sample.saliency_scores, counts) == ((), None, None, {})


def test_the_labels_published_later_are_preferred(tmp_path):
    shutil.copytree(RAW, tmp_path / "raw")
    plain = json.loads((RAW / "annotations/qvhighlights_test.jsonl").read_text())
    labels = {"relevant_windows": [[2, 6]], "relevant_clip_ids": [1, 2], "saliency_scores": [[1, 2, 3], [4, 4, 4]]}
    (tmp_path / "raw/annotations/highlight_test_with_gt.jsonl").write_text(json.dumps(plain | labels) + "\n")
    (sample,), _ = read("test", tmp_path / "raw")
    assert (sample.spans, sample.relevant_clips) == (((2.0, 6.0),), (1, 2))


@pytest.mark.shared
def test_all_published_records_are_read_and_counted(consolidated):
    folder, report = consolidated("qvhighlights")
    splits = report["splits"]
    assert {split: (facts["samples"], facts["videos"]) for split, facts in splits.items()} == {
        "train": (7216, 7098),
        "val": (1550, 1519),
        "test": (1542, 1529),
    }
    assert report["shared_videos"] == {}
    count = {(split, rule): entry["count"] for split, facts in splits.items() for rule, entry in facts["quality"].items()}
    assert sum(number for (_, rule), number in count.items() if rule == "video_id_starts_with_sign") == 350
    assert sum(number for (_, rule), number in count.items() if rule == "duration_differs_from_id") == 299
    assert (count["train", "window_whole_video"], count["val", "window_whole_video"]) == (302, 52)
    assert (count["train", "query_non_ascii"], count["val", "query_non_ascii"], count["test", "query_non_ascii"]) == (6, 1, 1)
    assert count["test", "saliency_all_zero"] == 1
    assert not any(rule in ("clips_and_windows_disagree", "windows_overlap", "unknown_key") for _, rule in count)
    assert max(len(sample.spans) for sample in read_samples(folder, "train")) == 24


@pytest.mark.shared
def test_selection_is_the_published_validation_split(consolidated):
    training, selection = training_split(consolidated("qvhighlights")[0])
    assert (len(training), len(selection)) == (7216, 1550)


@pytest.mark.shared
def test_the_real_test_split_without_labels_is_read(published_annotations):
    raw = published_annotations("qvhighlights", leave_out=("highlight_test_with_gt.jsonl.gz",))
    samples, _ = read("test", raw)
    assert (len(samples), {sample.spans for sample in samples}) == (1542, {()})
