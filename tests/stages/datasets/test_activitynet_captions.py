import shutil
import time
from pathlib import Path

import pytest

from stages.datasets import activitynet_captions
from stages.datasets.ground_truth import ground_truth
from stages.datasets.samples import load_adapter, read_samples, training_split, write_samples
from stages.datasets.schema import DatasetError, Quality

RAW = Path(__file__).parents[2] / "data" / "activitynet_captions"


def read(split, raw=RAW):
    quality = Quality()
    return list(activitynet_captions.read(raw, split, quality)), dict(quality.counts)


def test_odd_windows_and_texts_of_the_test_file():
    samples, counts = read("test")
    assert [sample.spans for sample in samples] == [
        ((0.0, 70.28999999999999),),
        ((60.71, 61.29),),
        ((2.5, 2.5),),
        ((0.5, 3.5),),
    ]
    assert samples[1].query == "\n He waves\tat the shore. "
    assert counts == {
        "query_control_characters": 1,
        "query_non_ascii": 1,
        "query_outer_blanks": 2,
        "video_shorter_than_5_seconds": 2,
        "window_end_clamped": 1,
        "window_end_rounded": 1,
        "window_mixes_int_and_float": 1,
        "window_reversed_swapped": 1,
        "window_shorter_than_clip": 1,
        "window_whole_video": 1,
        "window_zero_length": 1,
    }


def test_the_release_of_train_is_numbered_in_file_order():
    samples, counts = read("train")
    assert [(sample.sample_id, sample.video_id, sample.query, sample.record) for sample in samples] == [
        ("0", "v_red", "A kite is built.", 1),
        ("1", "v_red", " It flies.", 2),
        ("2", "v_blue", "A bowl breaks.", 3),
    ]
    assert [sample.spans for sample in samples] == [((0.0, 10.5),), ((10.5, 41.5),), ((4.0, 9.0),)]
    assert counts["query_id_counted"] == 3
    assert ground_truth(samples)[1] == {
        "qid": 1,
        "query": " It flies.",
        "duration": 41.5,
        "vid": "v_red",
        "relevant_windows": [[10.5, 41.51]],
    }


def test_the_numbered_train_file_is_preferred(tmp_path):
    shutil.copytree(RAW, tmp_path / "raw")
    line = '{"qid": 77, "query": "A kite.", "duration": 9.5, "vid": "v_red", "relevant_windows": [[1, 9]]}\n'
    (tmp_path / "raw/annotations/activitynet_train_format.jsonl").write_text(line)
    samples, counts = read("train", tmp_path / "raw")
    assert ([sample.query_id for sample in samples], counts) == (["77"], {})


def test_pairs_find_their_query_by_its_text():
    samples, _ = read("rf_test")
    assert [(sample.sample_id, sample.answerable, sample.spans) for sample in samples] == [
        ("v_two_903", True, ((0.5, 3.5),)),
        ("v_two_900", False, ()),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"v_a": {"duration": 4.0, "timestamps": [[0, 1]]}}',
            r"train\.json: video v_a: expected duration, timestamps and sentences",
        ),
        (
            '{"v_a": {"duration": 4.0, "timestamps": [[0, 1]], "sentences": []}}',
            r"video v_a: timestamps and sentences are not two",
        ),
        (
            '{"v_a": {"duration": 4.0, "timestamps": [[0]], "sentences": ["x"]}}',
            r"train\.json: sentence 1 \(qid 0\): relevant_windows",
        ),
        ('{"v_a": [1]}', r"video v_a: expected duration"),
    ],
)
def test_a_release_of_another_structure_is_refused(tmp_path, content, message):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/train.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read("train", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"v_a": {"duration": 4.0}}', r"video v_a: expected duration and a list sts"),
        (
            '{"v_a": {"duration": 4.0, "sts": [{"sentence": "x"}]}}',
            r"pair 1 \(video v_a\): expected the keys sentence, timestamp,",
        ),
        (
            '{"v_a": {"duration": 4.0, "sts": [{"sentence": "x", "timestamp": [], "no_answer": true}]}}',
            r"pair 1 \(video v_a\): 'x' \(str\) is no query of .*activitynet_test_format\.jsonl",
        ),
        (
            '{"v_a": {"duration": 4.0, "sts": [{"sentence": "The boat is gone.", "timestamp": [], "no_answer": false}]}}',
            r"pair 1 \(qid 903\): relevant_windows: expected windows of the form",
        ),
    ],
)
def test_pairs_of_another_structure_are_refused(tmp_path, content, message):
    shutil.copytree(RAW, tmp_path / "raw")
    (tmp_path / "raw/annotations/activitynet_test2.0.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read("rf_test", tmp_path / "raw")


@pytest.mark.shared
def test_all_published_records_are_read_and_counted(consolidated):
    _, report = consolidated("activitynet_captions")
    splits = report["splits"]
    assert {split: (facts["samples"], facts["videos"]) for split, facts in splits.items()} == {
        "train": (37421, 10009),
        "val": (17505, 4917),
        "test": (17014, 4882),
    }
    counts = {split: {rule: entry["count"] for rule, entry in facts["quality"].items()} for split, facts in splits.items()}

    def of(rule):
        return [counts[split].get(rule, 0) for split in ("train", "val", "test")]

    assert of("window_end_clamped") == [29, 5, 1]
    assert [one + other for one, other in zip(of("window_end_clamped"), of("window_end_rounded"), strict=True)] == [261, 5, 111]
    assert of("window_reversed_swapped") == [2, 0, 0]
    assert of("window_zero_length") == [2, 0, 0]
    assert of("window_shorter_than_clip") == [1488, 662, 609]  # one of them only once it is put in order
    assert of("window_whole_video") == [1005, 546, 645]
    assert of("video_shorter_than_5_seconds") == [63, 40, 45]
    assert of("query_outer_blanks") == [25731, 11639, 11469]
    assert of("query_control_characters") == [5, 2, 3]
    assert of("query_repeated_in_video") == [3, 2, 0]
    assert of("query_exceeds_clip_context") == [0, 1, 0]
    assert of("query_non_ascii")[1] == 24
    assert splits["val"]["quality"]["window_end_clamped"]["examples"] == ["40848", "42731", "45717", "45956", "49106"]
    assert splits["test"]["quality"]["window_end_clamped"]["examples"] == ["83020"]
    assert splits["test"]["quality"]["query_control_characters"]["examples"] == ["84428", "84430", "87966"]
    assert report["shared_videos"] == {
        "test and val": {"count": 4882, "examples": report["shared_videos"]["test and val"]["examples"]}
    }


@pytest.mark.shared
def test_the_counted_ids_of_train_end_where_those_of_val_begin(consolidated):
    folder, _ = consolidated("activitynet_captions")
    assert int(read_samples(folder, "train")[-1].query_id) + 1 == int(read_samples(folder, "val")[0].query_id) == 37421


@pytest.mark.shared
def test_training_leaves_out_short_and_held_out_videos(consolidated):
    training, selection = training_split(consolidated("activitynet_captions")[0], min_duration=5.0)
    assert (len(training), len(selection)) == (33885, 3481)
    assert min(sample.duration for sample in training) >= 5.0


@pytest.mark.shared
def test_seventy_thousand_records_take_seconds(published_annotations, tmp_path):
    raw = published_annotations("activitynet_captions")
    start = time.perf_counter()
    write_samples(load_adapter("activitynet_captions"), raw, tmp_path / "samples")
    assert time.perf_counter() - start < 20  # measured 2 s; a slow, busy machine is allowed for
