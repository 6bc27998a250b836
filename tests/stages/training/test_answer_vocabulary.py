from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.training.answer_vocabulary import AnswersError, build_answers, read_answers


def test_most_frequent_first_and_among_equals_the_first_seen():
    assert build_answers(["b", "a", "c", "a", "c", "d"], 3).texts == ("a", "c", "b")


def test_an_answer_outside_is_unknown_in_training_alone():
    found = build_answers(["a", "a", "b"], 1)
    assert (found.number("a"), found.number("b"), found.number(None)) == (0, -1, -1)
    assert (found.unknown, found.text(0), found.text(1)) == (1, "a", "")
    assert found.coverage(["a", "b"]) == 50


def test_too_few_answers_are_told_with_their_number():
    with pytest.raises(AnswersError, match="set answers: 2"):
        build_answers(["a", "b"], 3)


@given(st.lists(st.text(min_size=1), min_size=1))
def test_what_is_written_is_read_back(tmp_path_factory, answers):
    folder = tmp_path_factory.mktemp("answers")
    made = build_answers(answers, len(set(answers)))
    (folder / "answers.json").write_bytes(made.content())
    assert read_answers(folder).texts == made.texts


@pytest.mark.parametrize(("content", "complaint"), [(None, "no such file"), ("{", "not JSON"), ("[1]", "expected a JSON list")])
def test_a_broken_file_is_named(content, complaint, tmp_path):
    if content is not None:
        (tmp_path / "answers.json").write_text(content)
    with pytest.raises(AnswersError, match=complaint):
        read_answers(tmp_path)
