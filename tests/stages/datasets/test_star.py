import gzip
import json

import pytest

from stages.datasets import star
from stages.datasets.json_stream import stream_array
from stages.datasets.samples import write_samples
from stages.datasets.schema import DatasetError, Quality

CHOICES = ["The closet.", "The box.", "The food.", "The bag."]
SEGMENTS = "question_id,video_id,start,end\nInteraction_T1_13,6H78U,11.1,19.6\nSequence_T2_4,6H78U,2.0,40.0\n"


def question(qid, **more):
    choices = [{"choice_id": index, "choice": choice} for index, choice in enumerate(CHOICES)]
    known = {"question_id": qid, "question": "Which object was opened by the person?", "video_id": "6H78U", "answer": CHOICES[1]}
    return known | {"start": 11.1, "end": 19.6, "choices": choices, "situations": {"000206": {"mask": False}}} | more


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    (folder / "STAR_val.json").write_text(json.dumps([question("Interaction_T1_13"), question("Sequence_T2_4", end=40.2)]))
    (folder / "Video_Segments.csv").write_text(SEGMENTS)
    (folder / "video_frames.csv").write_text("video_id,frame_count\n6H78U,960\n")
    (folder / "video_fps.json").write_text('{"6H78U.mp4": 30.0}')
    return tmp_path


def read(raw, split="val"):
    quality = Quality()
    return list(star.read(raw, split, quality)), quality


def test_the_segment_becomes_the_evidence_in_the_whole_video(raw):
    (first, second), quality = read(raw)
    assert (first.sample_id, first.type, first.answer_index, first.options) == (
        "6H78U_Interaction_T1_13", "T1", 1, tuple(CHOICES),
    )  # fmt: skip
    assert (first.duration, first.spans) == (32.0, ((11.1, 19.6),))
    assert len(first.frame_times) == 32
    assert first.frame_times[0] > 0
    assert second.spans == ((2.0, 32.0),)
    assert quality.counts["segment_differs_from_question"] == 1
    assert quality.counts["window_end_clamped"] == 1
    assert json.loads(second.published)["location"] == [[2.0, 40.0]]


def test_without_a_published_segment_the_question_tells_it(raw):
    (raw / "annotations" / "Video_Segments.csv").write_text(SEGMENTS.splitlines(keepends=True)[0] + "x_T1_1,v,0,1\n")
    (first, _), quality = read(raw)
    assert (first.spans, quality.counts["segment_from_question"]) == (((11.1, 19.6),), 2)


def test_test_questions_have_no_answers_and_training_videos_are_held_out(raw):
    record = question("Feasibility_T6_1")
    del record["answer"]
    (raw / "annotations" / "STAR_test.json.gz").write_bytes(gzip.compress(json.dumps([record]).encode()))
    (sample,), _ = read(raw, "test")
    assert (sample.answer, sample.answer_index) == (None, None)
    report = write_samples(star, raw, raw / "samples")
    assert (report["validation"], report["shared_videos"]["test and val"]["count"]) == (None, 1)


def test_a_video_whose_length_is_not_known_is_named_with_the_way_out(raw):
    table = raw / "annotations" / "video_frames.csv"
    table.write_text("video_id,frame_count\nother,960\n")
    (raw / "annotations" / "video_fps.json").write_text('{"other.mp4": 30.0}')
    with pytest.raises(DatasetError, match="1 videos of the questions are missing, first 6H78U"):
        read(raw)
    table.unlink()
    with pytest.raises(DatasetError, match="the lengths of the videos are not known"):
        read(raw)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"question_id": "Interaction_13"}, "expected <category>_<template>_<number>"),
        ({"choices": []}, "choices: expected 4"),
        ({"answer": "The dog."}, "is none of the options"),
        ({"start": "11"}, "start: expected seconds"),
        ({"video_id": None}, "video_id: expected a text"),
    ],
)
def test_a_record_of_another_form_is_named(raw, change, message):
    (raw / "annotations" / "STAR_val.json").write_text(json.dumps([question("Interaction_T1_13") | change]))
    with pytest.raises(DatasetError, match=message):
        read(raw)


@pytest.mark.parametrize("block", [1, 3, 1 << 22])
def test_records_are_found_however_the_file_is_cut(tmp_path, monkeypatch, block):
    monkeypatch.setattr("stages.datasets.json_stream.BLOCK", block)
    records = [{"a": [1, 2.5, "x]}"], "b": {"c": "ü"}}, {}, {"d": -12}]
    (tmp_path / "r.json").write_text(" [ " + " , ".join(json.dumps(one, ensure_ascii=False) for one in records) + " ] \n")
    assert [one for _, one in stream_array(tmp_path / "r.json")] == records


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "no record in it"),
        ("{}", "expected '\\['"),
        ('[{"a": 1}', "expected ','"),
        ('[{"a": 1', "broken JSON"),
        ('[{"a": NaN}]', "NaN is not a number"),
        ("[1]", "expected a JSON object"),
        ("[{}] x", "more behind the end"),
    ],
)
def test_a_damaged_array_is_refused(tmp_path, text, message):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        list(stream_array(tmp_path / "r.json"))
