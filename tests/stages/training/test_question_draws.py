"""Wording, foreign questions and foreign answers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stages.training.question_draws import Asked, QuestionPool, Tricks

NONE = Tricks(paraphrase=0.0, same_video=0.0, foreign_answers=0.0)


def asked(number: int, *, video: str = "v", kind: str = "CW", question: str = "why is it {}") -> Asked:
    options = (f"because {number}", f"wrong {number}", f"worse {number}")
    return Asked(key=f"{video}_{number}", video=video, data_type=kind, question=question.format(number), options=options, label=0)


POOL = [asked(n, video=f"v{n % 4}") for n in range(12)] + [
    asked(n, question="who is {}", kind="DO", video="v0") for n in range(20, 23)
]


def draws(one: Asked, tricks: Tricks, times: int = 300, paraphrases=None, pool=POOL):
    made = QuestionPool(pool, paraphrases=paraphrases or {}, tricks=tricks)
    random = np.random.default_rng(0)
    return [made.draw(one, random) for _ in range(times)]


def test_labels_point_at_what_was_asked_and_at_what_is_right():
    for one in draws(POOL[3], Tricks(paraphrase=0.5, same_video=0.5, foreign_answers=0.5), paraphrases={"v3_3": ["How come 3?"]}):
        assert one.questions[one.question_label] == one.question
        assert one.answers[one.answer_label] == "because 3"
        assert len(set(one.questions)) == len(set(one.answers)) == 3


def test_without_tricks_options_stay_and_questions_are_of_the_same_kind():
    for one in draws(POOL[3], NONE):
        assert (one.answers, one.answer_label) == (POOL[3].options, 0)
        assert all(text.startswith("why") for text in one.questions)


def test_foreign_questions_are_drawn_evenly_and_never_the_own_one():
    counts = Counter(text for one in draws(POOL[3], NONE, times=3000) for text in one.questions)
    assert counts.pop("why is it 3") == 3000
    assert len(counts) == 11
    assert all(abs(count - 6000 / 11) < 110 for count in counts.values())


def test_foreign_questions_of_the_same_video_come_first_and_descriptive_ones_do_not():
    for one in draws(POOL[4], Tricks(paraphrase=0.0, same_video=1.0, foreign_answers=0.0)):
        assert set(one.questions) == {"why is it 4", "why is it 0", "why is it 8"}  # those of video v0
    lonely = [asked(0, video="a"), asked(1, video="a"), *[asked(n, video="b") for n in range(2, 6)]]
    for one in draws(lonely[0], Tricks(paraphrase=0.0, same_video=1.0, foreign_answers=0.0), pool=lonely):
        assert "why is it 1" in one.questions


def test_kind_of_few_questions_draws_from_all():
    kinds = {text.split()[0] for one in draws(POOL[12], NONE) for text in one.questions}
    assert kinds == {"who", "why"}


def test_paraphrase_stands_in_for_the_question_without_its_mark_and_sets_the_kind():
    some = draws(POOL[3], Tricks(paraphrase=1.0, same_video=0.0, foreign_answers=0.0), paraphrases={"v3_3": ["Who is it?"]})
    assert {one.question for one in some} == {"Who is it"}
    assert all("why is it 3" not in one.questions for one in some)


def test_foreign_answers_are_right_ones_of_questions_of_the_same_kind():
    for one in draws(POOL[3], Tricks(paraphrase=0.0, same_video=0.0, foreign_answers=1.0)):
        assert all(answer.startswith("because") and int(answer.split()[1]) < 12 for answer in one.answers)


def test_one_seed_one_result():
    tricks = Tricks()
    assert draws(POOL[5], tricks) == draws(POOL[5], tricks)


def test_too_few_questions_are_reported_by_id():
    with pytest.raises(ValueError, match="question v_1: only 1 other texts for 2 candidates"):
        draws(asked(1), NONE, pool=[asked(1), asked(2)])
