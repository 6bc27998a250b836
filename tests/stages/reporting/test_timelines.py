"""Example queries as the page draws them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.reporting import timelines
from stages.reporting.pages import read_pages
from stages.reporting.reading import ReportError
from tests.stages.reporting.sample_answers import question_page, relation_page
from tests.stages.reporting.sample_pages import page, write_pages


@pytest.fixture
def one(tmp_path):
    return read_pages(write_pages(tmp_path, page("a", examples=7)))[0]


def first(tmp_path, made):
    return timelines.examples(read_pages(write_pages(tmp_path, made))[0], 1)[0]


@given(st.floats(-1e12, 1e12))
def test_four_digits_are_within_a_two_thousandth(value):
    assert math.isclose(timelines.short(value) or 0.0, value, rel_tol=5.01e-4, abs_tol=1e-300)


def test_examples_are_spread_evenly_over_every_split(one):
    chosen = timelines.examples(one, 3)
    assert [(query["split"], query["id"]) for query in chosen[:4]] == [
        ("iid", "1000"),
        ("iid", "1002"),
        ("iid", "1004"),
        ("interventional", "1000"),
    ]
    assert len(timelines.examples(one, 100)) == 21
    assert timelines.examples(one, 0) == []


def test_windows_are_kept_inside_the_video_and_judged_as_they_were(tmp_path):
    made = page("a", examples=1)
    made["examples"][0] |= {"duration": 10.0, "truth": [[0.0, 4.0], [8.0, 10.0]], "windows": [[-4.0, 4.0, 0.9], [8.0, 12.0, 0.2]]}
    (query, *_) = timelines.examples(read_pages(write_pages(tmp_path, made))[0], 1)
    assert [(window["span"], window["iou"]) for window in query["windows"]] == [([0.0, 4.0], 0.5), ([8.0, 10.0], 0.5)]


def test_an_unanswerable_query_has_no_overlap(one):
    assert timelines.best_iou((0.0, 5.0, 1.0), ()) is None


def test_a_question_comes_with_its_options_and_what_was_looked_at(tmp_path):
    made = question_page()
    made["examples"][0] |= {"span": [-3.0, 40.0], "chosen": [1, 2]}
    made["examples"][0]["answer"] |= {"given": "the cup", "right": "the door"}
    query = first(tmp_path, made)
    assert query["answer"]["correct"] is False
    assert (query["chosen"], query["span"], len(query["answer"]["scores"])) == ([1, 2], [0.0, 32.0], 5)


def test_a_question_of_unknown_truth_is_neither_right_nor_wrong(tmp_path):
    query = first(tmp_path, question_page(known=False))
    assert query["answer"]["correct"] is None
    assert (query["unit"], query["truth"], query["shown"], query["span"]) == ("clip", [], None, None)


def test_relations_keep_their_words_apart(tmp_path):
    query = first(tmp_path, relation_page())
    assert query["relations"]["truth"][1] == {
        "triplet": ["dog", "chase", "ball"],
        "span": [2.0, 8.0],
        "score": None,
        "hit": None,
        "rank": 3,
    }
    assert [one["hit"] for one in query["relations"]["predicted"]].count(True) == 2


def test_what_was_read_off_the_dictionary_comes_with_its_entries(one):
    read = timelines.examples(one, 1)[0]["dictionary"]
    assert (read["entries"], read["size"], len(read["weights"]), len(read["weights"][0])) == ([17, 3, 60], 64, 3, 24)


def test_weights_of_another_number_of_entries_are_refused(tmp_path):
    made = page("a", examples=1)
    made["examples"][0]["dictionary"]["entries"] = [1]
    with pytest.raises(ReportError, match=r"dictionary: weights: expected 1 lists"):
        read_pages(write_pages(tmp_path, made))
