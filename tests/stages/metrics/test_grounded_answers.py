"""Scores of answers with their moments."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.metrics.grounded_answers import Grounded, faithfulness, overlap, per_question, scores

segments = st.tuples(st.integers(0, 30), st.integers(1, 30)).map(lambda pair: (float(pair[0]), float(pair[0] + pair[1])))
EVIDENCE = {"v": {"duration": 20, "location": {"0": [[0, 4], [10, 14]], "1_a": [[5, 9]], "2": [[1, 2]]}}}


@given(segments, segments)
def test_overlap_is_symmetric_in_iou_and_at_most_one(one, other):
    assert overlap(one, other)[0] == overlap(other, one)[0]
    assert max(overlap(one, other)) <= 1


@given(segments)
def test_a_segment_overlaps_itself_entirely(one):
    assert overlap(one, one) == (1.0, 1.0)


def test_points_and_reversed_segments():
    assert overlap((2, 5), (3, 3)) == (0.0, 1.0)
    assert overlap((2, 5), (6, 6)) == (0.0, 0.0)
    assert overlap((2, 5), (4, 3)) == pytest.approx((-1 / 3, 0.0))
    assert overlap((2, 5), (6, 8)) == pytest.approx((-1 / 6, -0.5))


def test_best_evidence_counts_apart_for_both_ratios():
    (found,) = per_question(EVIDENCE, {"v_0": (3.0, 11.0)}, {"v_0": True})
    assert (found.iou, found.iop) == (pytest.approx(1 / 11), 1 / 8)


def test_questions_without_a_segment_are_left_out_and_ids_may_hold_underscores():
    found = per_question(EVIDENCE, {"v_1_a": (5.0, 9.0), "elsewhere_0": (0.0, 1.0)}, None)
    assert [(one.key, one.iou, one.right) for one in found] == [("v_1_a", 1.0, None)]


def test_grounded_is_right_with_half_of_the_segment_inside():
    numbers = scores([Grounded("a", 0.4, 0.5, True), Grounded("b", 0.4, 0.49, True), Grounded("c", 0.5, 1.0, False)])
    assert numbers["Acc&GQA"] == pytest.approx(100 / 3)
    assert numbers["Acc&VQA"] == pytest.approx(200 / 3)
    assert numbers["TIoU@0.5"] == pytest.approx(100 / 3)
    assert faithfulness(numbers) == pytest.approx(50)


def test_without_answers_there_are_overlaps_only():
    assert "Acc&VQA" not in scores([Grounded("a", 0.4, 0.5, None)])
    assert faithfulness({"mIoU": 1.0}) is None


def test_segment_without_an_answer_is_named():
    with pytest.raises(KeyError, match="v_2"):
        per_question(EVIDENCE, {"v_2": (1.0, 2.0)}, {})
