"""Example queries of page files: questions and relations."""

from __future__ import annotations

import pytest

from stages.reporting.pages import read_page
from stages.reporting.reading import ReportError
from tests.stages.reporting.sample_answers import question_page, relation_page
from tests.stages.reporting.sample_pages import write_pages


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "m"}, r"examples\[0\]: unit: expected 's' or 'clip', got 'm'"),
        ({"chosen": [1, -1]}, r"examples\[0\]: chosen\[1\]: expected a whole number from 0, got -1"),
        ({"span": [1]}, r"examples\[0\]: span: expected 2 numbers"),
        ({"answer": {"right": "a", "options": []}}, r"examples\[0\]: answer: given is missing"),
        ({"answer": {"given": "a", "options": ["a", "b"], "scores": [1]}}, r"answer: scores: expected 2 numbers, one per option"),
        ({"answer": {"given": "a", "options": [], "best": [["a"]]}}, r"answer: best\[0\]: expected \[text, probability\]"),
        ({"answer": {"given": "a", "options": [], "correct": 1}}, r"answer: correct: expected true, false or null, got 1"),
        (
            {"relations": {"truth": [{"triplet": ["a"], "span": [0, 1]}], "predicted": []}},
            r"triplet: expected subject, predicate",
        ),
    ],
)
def test_every_fault_of_a_question_or_relation_is_named(tmp_path, change, message):
    made = question_page(examples=1)
    made["examples"][0] |= change
    with pytest.raises(ReportError, match=message):
        read_page(write_pages(tmp_path, made) / "questions.json")


def test_an_answer_is_right_if_it_is_the_right_text_unless_evaluation_says_otherwise(tmp_path):
    made = question_page(examples=1)
    for example, told in zip(made["examples"], (None, False), strict=False):
        example["answer"] |= {"given": "the cup", "right": "the cup", "correct": told}
    first, second, _ = read_page(write_pages(tmp_path, made) / "questions.json").examples
    assert (first.answer.correct, second.answer.correct) == (True, False)


def test_relations_are_read_with_ranks_and_hits(tmp_path):
    (first, *_) = read_page(write_pages(tmp_path, relation_page()) / "relations.json").examples
    assert [one.rank for one in first.relations.truth] == [None, 3, None, 7]
    assert first.relations.predicted[2].hit is True
