from __future__ import annotations

import pytest

from stages.metrics.question_report import Asked, accuracies, groups


def asked(kind, right, *, video="v", qid="0", question="what is it", duration=None):
    return Asked(video=video, question_id=qid, question=question, type=kind, duration=duration, prediction=int(right), answer=1)


def test_kinds_of_questions_as_they_stand():
    rows = [asked("a", True), asked("a", False), asked("b", True)]
    assert accuracies(rows, "type") == pytest.approx({"Acc": 200 / 3, "a": 50, "b": 100})


def test_the_groups_of_next_qa_leave_out_those_without_a_question():
    found = accuracies([asked("CW", True), asked("TP", False), asked("TN", True)], "nextqa")
    assert found == pytest.approx({"Why": 100, "Bef&Aft": 50, "Acc_C": 100, "Acc_T": 50, "Acc": 200 / 3})


def test_star_counts_by_category_and_gives_their_mean():
    rows = [
        asked("T1", True, qid="Interaction_T1_1"),
        asked("T2", True, qid="Interaction_T2_2"),
        asked("T1", False, qid="Sequence_T1_3"),
    ]
    assert accuracies(rows, "star") == pytest.approx({"Acc": 200 / 3, "Interaction": 100, "Sequence": 0, "Mean": 50})


def test_open_ended_questions_by_their_first_word():
    rows = [asked("", True, question="Who sings?"), asked("", False, question="what is it?")]
    assert accuracies(rows, "first_word") == {"Acc": 50, "who": 100, "what": 0}


def test_causal_vidqa_wants_answer_and_reason():
    right = {"d": True, "e": False, "p": True, "pr": False, "c": True, "cr": True}
    found = accuracies([asked(kind, hit) for kind, hit in right.items()], "causal_vidqa")
    assert found == {"Des": 100, "Exp": 0, "Pred-A": 100, "Pred-R": 0, "CF-A": 100, "CF-R": 100, "Pred": 0, "CF": 100, "Acc": 50}


def test_groups_are_kinds_and_lengths_with_what_else_is_known():
    rows = [asked("a", True, duration=10.0), asked("b", False, duration=90.0)]
    found = groups(rows, "type", lambda places: {"places": float(sum(places))})
    assert [(row["group"], row["count"], row["Acc"], row["places"]) for row in found] == [
        ("a", 1, 100, 0), ("b", 1, 0, 1), ("at most: 80 s", 1, 100, 0), ("more: 80 s", 1, 0, 1),
    ]  # fmt: skip
