import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.datasets.moment_records import Layout, read_moment_records, samples_of
from stages.datasets.rules import MEANING
from stages.datasets.schema import DatasetError, Quality

PLAIN = Layout(fps=1.0)
UNLABELLED = Layout(fps=1.0, labelled=False)
RELEVANCE = Layout(fps=1.0, relevance=True)
ROW = {"qid": 3, "query": "a cat sits down", "duration": 20.0, "vid": "v1", "relevant_windows": [[2.0, 6.0]]}
RATED = ROW | {"relevant_clip_ids": [1, 2], "saliency_scores": [[4, 3, 2], [0, 1, 2]]}
MISSING = object()


def read(folder, *rows, layout=PLAIN):
    """The samples of these rows, and how often each rule applied."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    quality = Quality()
    samples = list(read_moment_records(path, layout, quality))
    assert set(quality.counts) <= set(MEANING)
    return samples, dict(quality.counts)


def changed(row, **fields):
    return {key: value for key, value in (row | fields).items() if value is not MISSING}


def test_a_clean_record_becomes_a_sample_and_leaves_no_note(tmp_path):
    (sample,), counts = read(tmp_path, RATED)
    assert counts == {}
    assert (sample.sample_id, sample.video_id, sample.query_id, sample.query) == ("3", "v1", "3", "a cat sits down")
    assert (sample.duration, sample.spans, sample.answerable) == (20.0, ((2.0, 6.0),), None)
    assert (sample.relevant_clips, sample.saliency_scores) == ((1, 2), ((4, 3, 2), (0, 1, 2)))
    assert (sample.source, sample.record) == ("rows.jsonl", 1)
    assert json.loads(sample.published) == RATED


@pytest.mark.parametrize(
    ("windows", "spans", "rules"),
    [
        ([[13.2, 23.0]], ((13.2, 20.0),), ["window_end_clamped"]),
        ([[13.2, 20.000000001]], ((13.2, 20.0),), ["window_end_rounded"]),
        ([[-0.2, 4.0]], ((0.0, 4.0),), ["window_start_clamped"]),
        ([[9.0, 7.0]], ((7.0, 9.0),), ["window_reversed_swapped"]),
        ([[25.0, 19.5]], ((19.5, 20.0),), ["window_reversed_swapped", "window_end_clamped", "window_shorter_than_clip"]),
        ([[5.0, 5.0]], ((5.0, 5.0),), ["window_zero_length"]),
        ([[5.0, 5.5]], ((5.0, 5.5),), ["window_shorter_than_clip"]),
        ([[0, 20]], ((0.0, 20.0),), ["window_whole_video"]),
        ([[0, 4.5]], ((0.0, 4.5),), ["window_mixes_int_and_float"]),
        ([[1.0, 3.0], [1.0, 3.0]], ((1.0, 3.0), (1.0, 3.0)), ["window_repeated"]),
        ([[4.0, 9.0], [1.0, 5.0]], ((4.0, 9.0), (1.0, 5.0)), ["windows_overlap"]),
        ([[4.0, 9.0], [1.0, 4.0]], ((4.0, 9.0), (1.0, 4.0)), []),
        ([[20.0, 20.4]], ((20.0, 20.0),), ["window_end_clamped", "window_zero_length"]),
    ],
)
def test_windows_are_repaired_by_named_rules(tmp_path, windows, spans, rules):
    (sample,), counts = read(tmp_path, changed(ROW, relevant_windows=windows))
    assert sample.spans == spans
    assert counts == dict.fromkeys(rules, 1)
    assert json.loads(sample.published)["relevant_windows"] == windows


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        ({"query": " a cat\n"}, ["query_outer_blanks", "query_control_characters"]),
        ({"query": "a\tcat"}, ["query_control_characters"]),
        ({"query": "a café"}, ["query_non_ascii"]),
        ({"query": "cat " * 75 + "cat"}, ["query_exceeds_clip_context"]),
        ({"duration": 4.5, "relevant_windows": [[1.0, 3.0]]}, ["video_shorter_than_5_seconds"]),
        ({"duration": 20}, []),
        ({"vid": 2482028659}, ["video_id_number_as_text"]),
        ({"vid": "-Oc6g_60.0_210.0"}, ["video_id_starts_with_sign"]),
        ({"vid": "_6hnl"}, ["video_id_starts_with_sign"]),
        ({"vid": "v1 "}, ["video_id_outer_blanks"]),
        ({"qid": "Q-7"}, []),
        ({"difficulty": "hard"}, ["unknown_key"]),
    ],
)
def test_oddities_are_kept_and_counted(tmp_path, fields, rules):
    row = changed(ROW, **fields)
    (sample,), counts = read(tmp_path, row)
    assert counts == dict.fromkeys(rules, 1)
    assert (sample.query, sample.video_id, sample.query_id) == (row["query"], str(row["vid"]), str(row["qid"]))


@pytest.mark.parametrize(
    ("clips", "scores", "rules"),
    [
        ([1, 2], [[0, 0, 0], [0, 0, 0]], ["saliency_all_zero"]),
        ([2, 1], [[1, 2, 3], [4, 0, 0]], ["clips_unsorted"]),
        ([1, 2, 9], [[1, 1, 1]] * 3, ["clips_and_windows_disagree"]),
        ([], [], ["clips_and_windows_disagree"]),
    ],
)
def test_odd_ratings_are_kept_and_counted(tmp_path, clips, scores, rules):
    (sample,), counts = read(tmp_path, changed(RATED, relevant_clip_ids=clips, saliency_scores=scores))
    assert counts == dict.fromkeys(rules, 1)
    assert sample.relevant_clips == tuple(clips)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"qid": MISSING}, r"line 1: key 'qid' is missing \(it has query, duration,"),
        ({"query": MISSING}, r"line 1 \(qid 3\): key 'query' is missing"),
        ({"relevant_windows": MISSING}, r"key 'relevant_windows' is missing .*another split\?"),
        ({"qid": True}, r"line 1: qid: expected an id.*got True \(bool\)"),
        ({"qid": 1.5}, r"qid: expected an id: text or a whole number, got 1\.5 \(float\)"),
        ({"qid": None}, r"qid: expected an id"),
        ({"vid": ""}, r"vid: expected an id that can be written"),
        ({"vid": "a\ud800"}, r"vid: expected an id that can be written"),
        ({"query": "  "}, r"query: expected a text that is not empty, got '  ' \(str\)"),
        ({"query": 5}, r"query: expected a text"),
        ({"query": "half \udc80"}, r"query: expected text of whole characters"),
        ({"duration": 0}, r"duration: expected a positive number of seconds, got 0\.0"),
        ({"duration": -3.0}, r"duration: expected a positive number of seconds, got -3\.0"),
        ({"duration": "20"}, r"duration: expected a number of seconds, got '20' \(str\)"),
        ({"duration": True}, r"duration: expected a number of seconds, got True"),
        ({"duration": 10**400}, r"duration: expected a finite number"),
        ({"relevant_windows": {}}, r"relevant_windows: expected a list, got \{\} \(dict\)"),
        ({"relevant_windows": []}, r"relevant_windows: expected at least one window"),
        ({"relevant_windows": [3.0, 4.0]}, r"relevant_windows: expected windows of the form \[start, end\], got 3\.0"),
        ({"relevant_windows": [[3.0]]}, r"relevant_windows: expected windows of the form"),
        ({"relevant_windows": [[3.0, "4"]]}, r"relevant_windows: expected a number of seconds, got '4'"),
        ({"relevant_windows": [[3.0, None]]}, r"relevant_windows: expected a number of seconds, got None"),
        (
            {"relevant_windows": [[20.5, 22.0]]},
            r"relevant_windows: expected a window that touches the video of 20\.0 s, got \(20\.5,",
        ),
        ({"relevant_windows": [[-3.0, -1.0]]}, r"relevant_windows: expected a window that touches the video"),
        ({"relevant_clip_ids": [1], "saliency_scores": MISSING}, r"key 'saliency_scores' is missing"),
        ({"relevant_clip_ids": [1], "saliency_scores": [[1, 2, 3]] * 2}, r"one triple for each of the 1 rated clips, got 2"),
        ({"relevant_clip_ids": [1, 1]}, r"relevant_clip_ids: expected every clip at most once, got 1"),
        ({"relevant_clip_ids": [1, 10]}, r"relevant_clip_ids: expected clips 0\.\.9 of a video of 20\.0 s, got 10"),
        ({"relevant_clip_ids": [-1, 2]}, r"relevant_clip_ids: expected clips 0\.\.9 .*got -1"),
        ({"relevant_clip_ids": [1, 2.0]}, r"relevant_clip_ids: expected whole numbers, got 2\.0"),
        ({"saliency_scores": [[1, 2], [1, 2, 3]]}, r"saliency_scores: expected three raters' scores"),
        ({"saliency_scores": [[1, 2, 5], [1, 2, 3]]}, r"saliency_scores: expected scores within 0\.\.4, got \[1, 2, 5\]"),
        ({"saliency_scores": [[1, 2, -1], [1, 2, 3]]}, r"saliency_scores: expected scores within 0\.\.4"),
        ({"saliency_scores": [[1, 2, True], [1, 2, 3]]}, r"saliency_scores: expected whole numbers, got True"),
        ({"no_answer": 0}, r"no_answer: expected true or false, got 0 \(int\)"),
    ],
)
def test_what_no_rule_repairs_is_reported_with_file_line_field_and_value(tmp_path, fields, message):
    with pytest.raises(DatasetError, match=r"rows\.jsonl: line 1.*") as fault:
        read(tmp_path, changed(RATED, **fields))
    assert re.search(message, str(fault.value)), fault.value


def test_a_split_without_labels_needs_no_windows(tmp_path):
    (sample,), counts = read(tmp_path, changed(ROW, relevant_windows=MISSING), layout=UNLABELLED)
    assert (sample.spans, sample.answerable, counts) == ((), None, {})


def test_an_unanswerable_pair_has_no_span_whatever_its_placeholder(tmp_path):
    rows = [
        changed(ROW, no_answer=True, relevant_windows=[[0.0, 0.001]]),
        changed(ROW, vid="v2", no_answer=True, relevant_windows=[]),
        changed(ROW, vid="v3", no_answer=False),
    ]
    samples, counts = read(tmp_path, *rows, layout=RELEVANCE)
    assert [sample.answerable for sample in samples] == [False, False, True]
    assert [sample.spans for sample in samples] == [(), (), ((2.0, 6.0),)]
    assert counts == {"placeholder_window_dropped": 1, "query_id_repeated": 2}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"no_answer": True}, r"no window but \[0\.0, 0\.001\] where no_answer is true, got \(2\.0, 6\.0\)"),
        ({"no_answer": False, "relevant_windows": [[0.0, 0.001]]}, r"a real window where no_answer is false"),
        ({"no_answer": False, "relevant_windows": []}, r"at least one window in a record that can be answered"),
        ({}, r"key 'no_answer' is missing"),
    ],
)
def test_a_relevance_record_that_contradicts_itself_is_refused(tmp_path, fields, message):
    with pytest.raises(DatasetError, match=message):
        read(tmp_path, changed(ROW, **fields), layout=RELEVANCE)


def test_relevance_records_are_named_by_video_and_query(tmp_path):
    rows = [changed(ROW, vid=vid, no_answer=False) for vid in ("v1", "v2")]
    samples, counts = read(tmp_path, *rows, layout=RELEVANCE)
    assert [sample.sample_id for sample in samples] == ["v1_3", "v2_3"]
    assert [sample.query_id for sample in samples] == ["3", "3"]
    assert counts == {"query_id_repeated": 1}


def test_the_same_query_on_the_same_video_twice_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"line 2 \(qid 3\): video v1 and qid 3 occur in line 1 too"):
        read(tmp_path, *[changed(ROW, no_answer=False)] * 2, layout=RELEVANCE)


def test_a_repeated_qid_is_refused_where_it_names_the_record(tmp_path):
    with pytest.raises(DatasetError, match=r"line 2 \(qid 3\): the qid occurs in line 1 too"):
        read(tmp_path, ROW, changed(ROW, vid="v2"))
    with pytest.raises(DatasetError, match=r"line 2 \(qid 3\): the qid occurs in line 1 too"):
        read(tmp_path, ROW, changed(ROW, vid="v2", qid="3"))


def test_repeats_between_records_are_counted(tmp_path):
    _, counts = read(tmp_path, ROW, changed(ROW, qid=4, query="a cat sits down "), changed(ROW, qid=5, query="x", duration=21.0))
    assert counts == {"query_outer_blanks": 1, "query_repeated_in_video": 1, "duration_differs_within_video": 1}


def test_quality_keeps_the_first_five_records_of_a_rule(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(changed(ROW, qid=n, vid=f"-{n}")) + "\n" for n in range(9)))
    quality = Quality()
    list(read_moment_records(path, PLAIN, quality))
    assert quality.counts["video_id_starts_with_sign"] == 9
    assert quality.examples["video_id_starts_with_sign"] == ["0", "1", "2", "3", "4"]


bounds = st.one_of(st.integers(-5, 40), st.floats(-5, 40, allow_nan=False))


@settings(deadline=None)
@given(duration=st.floats(0.5, 30), windows=st.lists(st.tuples(bounds, bounds), min_size=1, max_size=4))
def test_spans_are_ordered_and_inside_the_video_or_the_record_is_refused(tmp_path_factory, duration, windows):
    row = changed(ROW, duration=duration, relevant_windows=[list(window) for window in windows])
    records = [(1, json.dumps(row), row)]
    try:
        (sample,) = samples_of(records, tmp_path_factory.getbasetemp() / "rows.jsonl", PLAIN, Quality(), unit="line")
    except DatasetError:
        assert any(min(window) > duration or max(window) < 0 for window in windows)
    else:
        assert len(sample.spans) == len(windows)
        assert all(0 <= start <= end <= duration and math.isfinite(end) for start, end in sample.spans)
