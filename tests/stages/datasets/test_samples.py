import gzip
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.datasets import planted
from stages.datasets.rules import MEANING
from stages.datasets.samples import (
    adapter_names,
    held_out,
    load_adapter,
    quality_report,
    read_samples,
    sample_type,
    training_split,
    write_samples,
)
from stages.datasets.schema import DatasetError, MomentSample, Quality, QuestionSample, Source

RAW = Path(__file__).parents[2] / "data" / "planted"
SAMPLE = MomentSample(
    sample_id="1",
    video_id="v1",
    query_id="1",
    query="a cat",
    duration=9.0,
    spans=((1.0, 4.0),),
    published="{}",
    source="a",
    record=1,
)


def made_of(**splits):
    """An adapter that yields these samples, and the folder it reads."""
    source = Source(name="made", task="moments", files=dict.fromkeys(splits, "a.jsonl"), samples=dict.fromkeys(splits), fps=1.0)
    return SimpleNamespace(SOURCE=source, read=lambda raw, split, quality: iter(splits[split]))


def numbered(count, **fields):
    return [replace(SAMPLE, sample_id=str(n), query_id=str(n), record=n + 1, video_id=f"v{n}", **fields) for n in range(count)]


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "a.jsonl").write_text("{}\n")
    return folder


def contents(folder):
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_what_is_written_is_read_back(tmp_path):
    write_samples(planted, RAW, tmp_path / "samples")
    for split in ("train", "iid", "rf_iid"):
        assert read_samples(tmp_path / "samples", split) == list(planted.read(RAW, split, Quality()))


words = st.text(min_size=1, alphabet=st.characters(codec="utf-8"))
times = st.floats(0, 1e6)
rated = st.none() | st.lists(st.tuples(st.integers(0, 100), st.tuples(*[st.integers(0, 4)] * 3)), max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            words, words, times, st.lists(st.tuples(times, times), max_size=3), rated, st.sampled_from([None, True, False])
        ),
        max_size=5,
    )
)
def test_any_sample_survives_the_file(tmp_path_factory, rows):
    samples = [
        MomentSample(
            sample_id=str(number),
            video_id=video,
            query_id="q",
            query=query,
            duration=duration,
            spans=tuple(spans),
            relevant_clips=None if ratings is None else tuple(clip for clip, _ in ratings),
            saliency_scores=None if ratings is None else tuple(score for _, score in ratings),
            answerable=answerable,
            published=json.dumps({"query": query}),
            source="a.jsonl",
            record=number,
        )
        for number, (video, query, duration, spans, ratings, answerable) in enumerate(rows)
    ]
    folder = tmp_path_factory.mktemp("case")
    (folder / "a.jsonl").write_text("{}")
    write_samples(made_of(train=samples), folder, folder / "samples")
    assert read_samples(folder / "samples", "train") == samples


def test_the_same_input_gives_the_same_bytes_packed_or_not(tmp_path):
    packed = tmp_path / "packed" / "annotations"
    packed.mkdir(parents=True)
    for path in (RAW / "annotations").iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
    write_samples(planted, RAW, tmp_path / "one")
    write_samples(planted, RAW, tmp_path / "two")
    write_samples(planted, packed.parent, tmp_path / "three")
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def test_more_samples_than_one_row_group_stay_in_order(tmp_path, raw):
    samples = numbered(10_000)
    write_samples(made_of(train=samples), raw, tmp_path / "samples")
    assert read_samples(tmp_path / "samples", "train") == samples


def test_quality_says_what_was_found(tmp_path):
    report = write_samples(planted, RAW, tmp_path / "samples", dataset="planted_small")
    assert report == quality_report(tmp_path / "samples")
    assert (report["dataset"], report["adapter"], report["fps"], report["train"], report["validation"]) == (
        "planted_small",
        "planted",
        0.5,
        "train",
        None,
    )
    pairs = report["splits"]["rf_iid"]
    assert (pairs["samples"], pairs["videos"], pairs["queries"], pairs["unanswerable"], pairs["unlabelled"]) == (3, 2, 2, 1, 0)
    assert pairs["quality"]["placeholder_window_dropped"] == {
        "meaning": MEANING["placeholder_window_dropped"],
        "count": 1,
        "examples": ["iid_000_103"],
    }
    assert pairs["sha256"] == sha256((RAW / "annotations/rf_iid.jsonl").read_bytes()).hexdigest()


def test_videos_that_splits_share_are_reported(tmp_path):
    report = write_samples(planted, RAW, tmp_path / "samples")
    assert report["shared_videos"] == {"iid and rf_iid": {"count": 2, "examples": ["iid_000", "iid_001"]}}


def test_absent_splits_are_listed_and_asking_for_one_says_so(tmp_path):
    report = write_samples(planted, RAW, tmp_path / "samples")
    assert report["absent"]["reversed"] == "annotations/reversed.jsonl"
    with pytest.raises(
        DatasetError, match=r"no split 'reversed', it has iid, rf_iid, train; annotations/reversed\.jsonl was absent"
    ):
        read_samples(tmp_path / "samples", "reversed")
    with pytest.raises(DatasetError, match=r"neither annotations/reversed\.jsonl nor annotations/reversed\.jsonl\.gz is there"):
        write_samples(planted, RAW, tmp_path / "samples", splits=["train", "reversed"])


def test_no_file_at_all_is_an_error(tmp_path):
    with pytest.raises(
        DatasetError, match=r"none of the files of planted is there \(annotations/train\.jsonl, .*run the fetch stage"
    ):
        write_samples(planted, tmp_path, tmp_path / "samples")


def test_another_number_of_samples_than_published_is_an_error(tmp_path, raw):
    adapter = made_of(train=numbered(3))
    adapter.SOURCE = replace(adapter.SOURCE, samples={"train": 4})
    with pytest.raises(DatasetError, match=r"a\.jsonl: 3 records, but made publishes 4 in split 'train'"):
        write_samples(adapter, raw, tmp_path / "samples")


def test_a_repeated_sample_id_is_an_error(tmp_path, raw):
    adapter = made_of(train=[SAMPLE, replace(SAMPLE, record=2)])
    with pytest.raises(DatasetError, match=r"a: record 2: id '1' was already used by record 1"):
        write_samples(adapter, raw, tmp_path / "samples")


def test_a_failure_leaves_the_earlier_samples_and_nothing_else(tmp_path, raw):
    write_samples(made_of(train=numbered(3)), raw, tmp_path / "samples")
    before = contents(tmp_path / "samples")
    with pytest.raises(DatasetError):
        write_samples(made_of(train=[SAMPLE, replace(SAMPLE, record=2)]), raw, tmp_path / "samples")
    assert contents(tmp_path / "samples") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "samples"]


def test_what_a_killed_run_left_is_replaced(tmp_path, raw):
    (tmp_path / "samples.partial").mkdir()
    (tmp_path / "samples.partial" / "rubbish").write_text("half")
    write_samples(made_of(train=numbered(3)), raw, tmp_path / "samples")
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["quality.json", "train.parquet"]


def test_a_damaged_samples_file_says_how_to_get_a_whole_one(tmp_path, raw):
    write_samples(made_of(train=numbered(3)), raw, tmp_path / "samples")
    path = tmp_path / "samples" / "train.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=r"train\.parquet: not a complete samples file .*run the consolidate stage again"):
        read_samples(tmp_path / "samples", "train")


def test_the_hold_out_rule_is_that_of_the_design():
    names = [f"train_{number:03d}" for number in range(30)]
    assert [name for name in names if held_out(name)] == ["train_004", "train_005", "train_019"]
    share = sum(held_out(str(number)) for number in range(20_000)) / 20_000
    assert 0.09 < share < 0.11


def test_without_a_validation_split_training_videos_are_held_out(tmp_path):
    write_samples(planted, RAW, tmp_path / "samples")
    training, selection = training_split(tmp_path / "samples")
    assert {sample.video_id for sample in selection} == {"train_004", "train_005"}
    assert len(training) == 8
    assert not {sample.video_id for sample in training} & {sample.video_id for sample in selection}


def test_a_published_validation_split_is_used_and_nothing_held_out(tmp_path, raw):
    adapter = made_of(train=numbered(40), val=numbered(3))
    adapter.SOURCE = replace(adapter.SOURCE, validation="val")
    write_samples(adapter, raw, tmp_path / "samples")
    training, selection = training_split(tmp_path / "samples")
    assert (len(training), len(selection)) == (40, 3)


def test_a_run_may_select_on_another_split(tmp_path):
    write_samples(planted, RAW, tmp_path / "samples")
    training, selection = training_split(tmp_path / "samples", selection="iid")
    assert (len(training), [sample.sample_id for sample in selection]) == (12, ["100", "101", "102", "103"])


def test_short_videos_are_left_out_of_training_only(tmp_path, raw):
    adapter = made_of(
        train=[*numbered(5, duration=4.0), replace(SAMPLE, sample_id="x", duration=5.0)], val=numbered(2, duration=4.0)
    )
    adapter.SOURCE = replace(adapter.SOURCE, validation="val")
    write_samples(adapter, raw, tmp_path / "samples")
    training, selection = training_split(tmp_path / "samples", min_duration=5.0)
    assert ([sample.sample_id for sample in training], len(selection)) == (["x"], 2)
    with pytest.raises(DatasetError, match=r"no training samples are left of split 'train' \(min_duration 6\.0 s\)"):
        training_split(tmp_path / "samples", min_duration=6.0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"answerable": False, "spans": ()}, r"a: record 1 \(0\): a training record that cannot be answered"),
        ({"spans": ()}, r"a: record 1 \(0\): a training record without a window"),
    ],
)
def test_training_refuses_records_without_a_window(tmp_path, raw, fields, message):
    write_samples(made_of(train=numbered(1, **fields), test=numbered(1)), raw, tmp_path / "samples")
    with pytest.raises(DatasetError, match=message):
        training_split(tmp_path / "samples", selection="test")


def test_the_folder_is_the_registry():
    assert {"activitynet_captions", "charades_sta", "planted", "qvhighlights"} <= set(adapter_names())
    for name in adapter_names():
        adapter = load_adapter(name)
        assert adapter.SOURCE.name == name
        assert set(adapter.SOURCE.samples) == set(adapter.SOURCE.files) >= {adapter.SOURCE.train}
        assert set(adapter.SOURCE.alternatives) <= set(adapter.SOURCE.files)


@pytest.mark.parametrize("name", ["charades", "samples", "../evil", ""])
def test_an_unknown_adapter_is_answered_with_the_known_ones(name):
    with pytest.raises(LookupError, match=r"stages/datasets/ has activitynet_captions, .*charades_sta, .*planted"):
        load_adapter(name)


QUESTION = QuestionSample(
    sample_id="4882821564_1",
    video_id="4882821564",
    question_id="1",
    question="why did the boy pick up one present",
    type="CW",
    row=0,
    published="{}",
    source="a.csv",
    record=1,
)


def asking(**splits):
    """An adapter that yields these questions, and the folder it reads."""
    source = Source(name="made", task="questions", files=dict.fromkeys(splits, "a.jsonl"), samples=dict.fromkeys(splits))
    return SimpleNamespace(SOURCE=source, read=lambda raw, split, quality: iter(splits[split]))


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(words, max_size=5),
            st.none() | words,
            st.none() | times,
            st.lists(st.tuples(times, times), max_size=3),
            st.none() | st.lists(times, min_size=1, max_size=4),
        ),
        max_size=5,
    )
)
def test_any_question_survives_the_file(tmp_path_factory, rows):
    samples = [
        replace(
            QUESTION,
            sample_id=str(number),
            options=tuple(options),
            answer=answer,
            answer_index=options.index(answer) if answer in options else None,
            duration=duration,
            spans=tuple(spans),
            frame_times=None if frames is None else tuple(frames),
            row=number,
            record=number + 1,
        )
        for number, (options, answer, duration, spans, frames) in enumerate(rows)
    ]
    folder = tmp_path_factory.mktemp("case")
    (folder / "a.jsonl").write_text("{}")
    write_samples(asking(train=samples), folder, folder / "samples")
    assert sample_type(folder / "samples") is QuestionSample
    assert read_samples(folder / "samples", "train", QuestionSample) == samples


def test_quality_counts_what_questions_have(tmp_path, raw):
    answered = replace(QUESTION, answer="a present", spans=((0.0, 1.0),))
    other = replace(QUESTION, sample_id="4882821564_2", row=1, record=2)
    report = write_samples(asking(test=[answered, other]), raw, tmp_path / "samples")
    facts = {name: report["splits"]["test"][name] for name in ("samples", "videos", "questions", "unlabelled", "grounded")}
    assert facts == {"samples": 2, "videos": 1, "questions": 1, "unlabelled": 1, "grounded": 1}
    assert (report["task"], report["fps"]) == ("questions", None)


def test_questions_are_not_read_as_moments(tmp_path, raw):
    write_samples(asking(train=[QUESTION]), raw, tmp_path / "samples")
    with pytest.raises(DatasetError, match="samples of task 'questions', but task 'moments' is asked for"):
        read_samples(tmp_path / "samples", "train")


def test_questions_are_held_out_by_video_and_need_an_answer(tmp_path, raw):
    questions = [replace(QUESTION, sample_id=str(n), video_id=f"v{n // 2}", record=n + 1, answer="yes") for n in range(80)]
    write_samples(asking(train=questions), raw, tmp_path / "samples")
    training, chosen = training_split(tmp_path / "samples", QuestionSample)
    assert {sample.video_id for sample in chosen} == {f"v{n}" for n in range(40) if held_out(f"v{n}")}
    assert not {sample.video_id for sample in chosen} & {sample.video_id for sample in training}
    write_samples(asking(train=[*questions, replace(QUESTION, sample_id="none", record=99)]), raw, tmp_path / "samples")
    with pytest.raises(DatasetError, match=r"record 99 .none.: a training record without an answer"):
        training_split(tmp_path / "samples", QuestionSample)


def test_half_of_a_surrogate_pair_in_a_text_is_refused_with_its_record(raw):
    samples = numbered(3)
    samples[1] = replace(samples[1], query="a \ud800")
    with pytest.raises(DatasetError, match=r"a: record 2: query: expected text of whole characters.* got 'a \\ud800'"):
        write_samples(made_of(train=samples), raw, raw.parent / "samples")
    assert not (raw.parent / "samples").exists()
