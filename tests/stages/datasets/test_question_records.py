import csv
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.datasets import causal_vidqa, msrvtt_qa, msvd_qa, nextgqa, nextqa
from stages.datasets.frame_times import nextgqa_times
from stages.datasets.ground_truth import published_windows
from stages.datasets.json_records import json_array, json_object
from stages.datasets.samples import adapter_names, load_adapter, read_samples, write_samples
from stages.datasets.schema import DatasetError, Quality, QuestionSample, published_file
from stages.training.answer_vocabulary import build_answers

HEADER = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
ROW = "4882821564,2697,640,480,why did the boy pick up one present,unwrap it,{qid},CW,share,approach,unwrap it,play,gesture\n"
GSUB = {"4882821564": {"duration": 90, "location": {"1": [[10.2, 20.5], [30, 40]]}, "fps": 29.97}}


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "annotations"
    folder.mkdir()
    return tmp_path


def put(raw, name, content):
    (raw / "annotations" / name).write_text(content if isinstance(content, str) else json.dumps(content))


def read(adapter, raw, split):
    quality = Quality()
    return list(adapter.read(raw, split, quality)), quality.counts


def test_a_grounded_question_has_options_evidence_and_frame_times(raw):
    put(raw, "val.csv", HEADER + ROW.format(qid=1))
    put(raw, "gsub_val.json", GSUB)
    put(raw, "frame2time_val.json", {"4882821564": [float(n) for n in range(32)]})
    (sample,), counts = read(nextgqa, raw, "val")
    assert sample == QuestionSample(
        sample_id="4882821564_1",
        video_id="4882821564",
        question_id="1",
        question="why did the boy pick up one present",
        options=("share", "approach", "unwrap it", "play", "gesture"),
        answer="unwrap it",
        answer_index=2,
        type="CW",
        duration=90.0,
        spans=((10.2, 20.5), (30.0, 40.0)),
        frame_times=tuple(float(n) for n in range(32)),
        row=0,
        published=sample.published,
        source="val.csv",
        record=2,
    )
    assert not counts
    published = json.loads(sample.published)
    assert (published["frame_count"], published["location"], published["duration"]) == (
        "2697",
        [[10.2, 20.5], [30.0, 40.0]],
        90.0,
    )


def test_training_questions_need_no_evidence(raw):
    put(raw, "train.csv", HEADER + ROW.format(qid=1))
    (sample,), _ = read(nextgqa, raw, "train")
    assert (sample.duration, sample.spans, sample.frame_times) == (None, (), None)


def test_evidence_outside_the_video_is_clamped_and_what_nobody_asks_is_counted(raw):
    put(
        raw,
        "test.csv",
        HEADER + ROW.format(qid=0) + ROW.format(qid=1).replace("why", "how") + ROW.format(qid=2).replace("why", "x"),
    )
    location = {"0": [[-0.1, 5]], "1": [[80, 91.5]], "9": [[1, 2]]}
    put(
        raw,
        "gsub_test.json",
        {"4882821564": {"duration": 90, "location": location, "fps": 10}, "7": {**GSUB["4882821564"], "location": {}}},
    )
    samples, counts = read(nextgqa, raw, "test")
    assert [one.spans for one in samples] == [((0.0, 5.0),), ((80.0, 90.0),), ()]
    assert counts["window_start_clamped"] == counts["window_end_clamped"] == counts["question_without_evidence"] == 1
    assert counts["evidence_video_without_question"] == counts["evidence_without_question"] == 1
    assert [published_windows(one) for one in samples] == [((-0.1, 5),), ((80, 91.5),), ()]  # what scorers compare with
    assert samples[0].frame_times == tuple(nextgqa_times(540))  # computed, since none are published
    assert counts["frame_times_computed"] == 2


@pytest.mark.parametrize("duration", [1e30, 1.5e308])
def test_a_video_too_long_for_its_frames_to_be_counted_is_refused(raw, duration):
    put(raw, "val.csv", HEADER + ROW.format(qid=1))
    put(raw, "gsub_val.json", {"4882821564": {**GSUB["4882821564"], "duration": duration}})
    with pytest.raises(DatasetError, match="duration: expected at most"):
        read(nextgqa, raw, "val")


def test_evidence_of_another_split_is_refused(raw):
    put(raw, "val.csv", HEADER + ROW.format(qid=1))
    put(raw, "gsub_val.json", {"7": GSUB["4882821564"]})
    with pytest.raises(DatasetError, match="no question is about a video with evidence"):
        read(nextgqa, raw, "val")


def test_answers_are_places_or_texts_as_the_header_says(raw):
    put(raw, "val.csv", HEADER.replace("video_id", "video") + ROW.format(qid=1).replace(",unwrap it,1,CW", ",3,1,CW"))
    (sample,), _ = read(nextqa, raw, "val")
    assert (sample.answer_index, sample.answer) == (3, "play")
    put(raw, "val.csv", HEADER + ROW.format(qid=1))
    (sample,), _ = read(nextqa, raw, "val")
    assert (sample.answer_index, sample.answer) == (2, "unwrap it")


def test_equal_options_are_counted_and_the_first_is_meant(raw):
    put(raw, "val.csv", HEADER + "1,2,3,4,why,b,0,CW,a,b,b,c, d\n")
    (sample,), counts = read(nextqa, raw, "val")
    assert sample.answer_index == 1
    assert counts == {"options_equal": 1, "answer_option_repeated": 1, "option_outer_blanks": 1}


def test_a_cell_that_looks_like_a_missing_value_is_text(raw):
    put(raw, "val.csv", HEADER + "1,2,3,4,why,NA,0,CW,NA,nan,None,null,n/a\n")
    (sample,), _ = read(nextqa, raw, "val")
    assert sample.options == ("NA", "nan", "None", "null", "n/a")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (HEADER + "1,2,3,4,why,z,0,CW,a,b,c,d,e\n", "'z' .* is none of the options"),
        (HEADER.replace("video_id", "video") + "1,2,3,4,why,5,0,CW,a,b,c,d,e\n", "expected 0..4, got 5"),
        (HEADER.replace("video_id", "video") + "1,2,3,4,why,a,0,CW,a,b,c,d,e\n", "expected a whole number"),
        (HEADER + "1,2,3,4,why,a,0,CW,a,b,c,d\n", "12 cells, the header has 13"),
        (HEADER + 2 * "1,2,3,4,why,a,0,CW,a,b,c,d,e\n", "the same video and question id occur"),
        (HEADER + "1,2,3,4, ,a,0,CW,a,b,c,d,e\n", "question: expected a text that is not empty"),
        (HEADER.replace("qid", "id") + "1,2,3,4,why,a,0,CW,a,b,c,d,e\n", "no column 'qid'"),
        (HEADER.replace("width", "height") + "1,2,3,4,why,a,0,CW,a,b,c,d,e\n", "column 'height' occurs twice"),
        (HEADER, "no record in it"),
        (HEADER + '1,2,3,4,"why,a,0,CW,a,b,c,d,e\n', "line 2: unexpected end of data"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_table_is_said_with_its_line(raw, table, message):
    put(raw, "val.csv", table)
    with pytest.raises(DatasetError, match=message):
        read(nextqa, raw, "val")


@pytest.mark.parametrize("adapter", [msvd_qa, msrvtt_qa])
def test_open_ended_questions_are_separated_by_tabs_and_grouped_by_their_first_word(raw, adapter):
    rows = "0\tanimal\t45\tWhat is chewing, quietly?\t1\n1\tnut\t46\tWhat is chewing, quietly?\t1\n"
    put(raw, "train.csv", "\tanswer\tid\tquestion\tvideo_id\n" + rows)
    (first, second), counts = read(adapter, raw, "train")
    assert (first.sample_id, first.video_id, first.answer, first.type, first.options) == ("45", "1", "animal", "what", ())
    assert (first.text_items, second.row, counts) == (("45",), 1, {"query_repeated_in_video": 1})


ANSWERS = {"descriptive": {"answer": 1}, "explanatory": {"answer": 2}} | {
    part: {"answer": 3, "reason": 4} for part in ("predictive", "counterfactual")
}


def released(part):
    return {"question": f"{part}?", "answer": [f"{part} {n}" for n in range(5)], "reason": [f"because {n}" for n in range(5)]}


def test_causal_vidqa_is_read_as_prepared_and_as_released(raw):
    header = "video_id,type,question,answer,a0,a1,a2,a3,a4,width,height\n"
    put(raw, "val.csv", header + "a_b_1,pr,why?,y,x,y,z,v,w,640,360\na_b_1,d,what?,v,x,y,z,v,w,640,360\n")
    samples, _ = read(causal_vidqa, raw, "val")
    assert [(one.sample_id, one.type, one.answer_index) for one in samples] == [("a_b_1_pr", "pr", 1), ("a_b_1_d", "d", 3)]
    folder = raw / "annotations" / "QA" / "a_b_1"
    folder.mkdir(parents=True)
    (folder / "text.json").write_text(json.dumps({part: released(part) for part in ANSWERS}))
    (folder / "answer.json").write_text(json.dumps(ANSWERS))
    (raw / "annotations" / "split").mkdir()
    put(raw, "split/test.json", ["a_b_1"])
    samples, _ = read(causal_vidqa, raw, "test")
    assert [(one.type, one.answer) for one in samples] == [
        ("d", "descriptive 1"), ("e", "explanatory 2"), ("p", "predictive 3"), ("pr", "because 4"),
        ("c", "counterfactual 3"), ("cr", "because 4"),
    ]  # fmt: skip
    put(raw, "val.csv", header + "v,x,why?,y,x,y,z,v,w,640,360\n")
    with pytest.raises(DatasetError, match="expected one of d, e, p, pr, c, cr, got 'x'"):
        read(causal_vidqa, raw, "val")


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1).filter(str.strip)


@settings(max_examples=30, deadline=None)
@given(question=texts, options=st.lists(texts, min_size=5, max_size=5), right=st.integers(0, 4))
def test_any_text_survives_the_table(tmp_path_factory, question, options, right):
    folder = tmp_path_factory.mktemp("case")
    (folder / "annotations").mkdir()
    with (folder / "annotations" / "val.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER.strip().split(","))
        writer.writerow(["1", "2", "3", "4", question, options[right], "0", "CW", *options])
    (sample,), _ = read(nextqa, folder, "val")
    assert (sample.question, sample.options, sample.answer) == (question, tuple(options), options[right])


def test_every_question_data_set_says_so():
    names = {name for name in adapter_names() if load_adapter(name).SOURCE.task == "questions"}
    assert {"nextgqa", "nextqa", "star", "msvd_qa", "msrvtt_qa", "causal_vidqa"} <= names


PUBLISHED = {
    "nextgqa": {
        "val": (3358, 567, {"window_end_clamped": 3, "evidence_video_without_question": 3, "options_equal": 1}),
        "test": (5553, 990, {"window_start_clamped": 36, "evidence_video_without_question": 9, "options_equal": 3,
                             "answer_option_repeated": 1, "frame_times_repeat": 122}),
    },
    "nextqa": {"val": (4996, 570, {"options_equal": 3}), "test": (8564, 1000, {"options_equal": 8})},
    "msvd_qa": {
        "train": (30933, 1161, {"query_repeated_in_video": 1309}), "val": (6415, 245, {"query_repeated_in_video": 259}),
        "test": (13157, 504, {"query_repeated_in_video": 519}),
    },
}  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_published_files_are_read_whole_and_their_oddities_counted(name, shared_data, tmp_path):
    (tmp_path / "annotations").symlink_to(shared_data / name)
    report = write_samples(load_adapter(name), tmp_path, tmp_path / "samples")
    for split, (samples, videos, rules) in PUBLISHED[name].items():
        facts = report["splits"][split]
        assert (facts["samples"], facts["videos"]) == (samples, videos)
        assert {rule: facts["quality"][rule]["count"] for rule in rules} == rules
        assert len(read_samples(tmp_path / "samples", split, QuestionSample)) == samples
    assert report["shared_videos"] == {}


@pytest.mark.shared
def test_the_published_frame_rates_of_star_are_read(shared_data, tmp_path):
    (tmp_path / "annotations").symlink_to(shared_data / "star")
    rates = json_object(published_file(tmp_path, "annotations/video_fps.json"))
    assert (len(rates), min(rates.values()), max(rates.values())) == (9848, 6.0, 120.0)


@pytest.mark.shared
def test_the_training_answers_of_msvd_are_the_published_vocabulary_with_its_coverage(shared_data, tmp_path):
    (tmp_path / "annotations").symlink_to(shared_data / "msvd_qa")
    answers = {split: [one.answer for one in read(msvd_qa, tmp_path, split)[0]] for split in ("train", "val", "test")}
    vocabulary = build_answers(answers["train"], 1852)
    assert list(vocabulary.texts) == json_array(published_file(tmp_path, "annotations/ans_word_1852.json"))
    assert [round(vocabulary.coverage(answers[split]), 1) for split in answers] == [100.0, 93.2, 94.1]
