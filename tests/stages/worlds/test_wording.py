"""Tokens of questions lie where the clips' concepts lie, and rows of zeros end a text."""

from dataclasses import replace

import numpy as np
import pytest

from stages.worlds.grammar import QUESTION_WORDS
from stages.worlds.settings import WorldError
from stages.worlds.wording import Wording, candidate_tokens, question_tokens


def test_a_token_points_to_its_concept(asked_world):
    wording, one = asked_world.wording, asked_world.questions["train"][0]
    (rows,) = wording.published([question_tokens(one)], one, 9)
    concepts = asked_world.views.concepts["clip"]
    back = rows.astype(float) @ wording.lift
    words = [word for word, _ in question_tokens(one)]
    assert words[0] == "<begin>"
    assert back[4, :36] @ concepts.actor[one.event.actor] == pytest.approx(1, abs=0.1)
    assert back[5, :36] @ concepts.predicate[one.event.predicate] == pytest.approx(1, abs=0.1)
    assert back[1, 36 + QUESTION_WORDS.index("what")] == pytest.approx(1, abs=0.1)


def test_rows_behind_a_text_are_zeros_and_no_token_is(asked_world):
    one = asked_world.questions["train"][0]
    (rows,) = asked_world.wording.published([question_tokens(one)], one, 12)
    length = len(question_tokens(one))
    assert (rows[length:] == 0).all()
    assert (np.abs(rows[:length]).sum(axis=1) > 0.5).all()


def test_candidates_differ_in_the_option_alone_up_to_noise(asked_world):
    one = asked_world.questions["train"][0]
    texts = [candidate_tokens(one, (0,)), candidate_tokens(one, (1,))]
    first, second = asked_world.wording.published(texts, one, len(texts[0])).astype(float)
    apart = np.linalg.norm(first - second, axis=1)
    assert apart.argmax() == len(texts[0]) - 2
    assert apart[-2] > 1
    assert np.sort(apart)[-2] < 0.5


def test_features_of_a_question_do_not_depend_on_other_questions(asked_world):
    one = asked_world.questions["iid"][5]
    again = asked_world.wording.published([question_tokens(one)], one, 8)
    np.testing.assert_array_equal(again, asked_world.wording.published([question_tokens(one)], one, 8))


def test_a_width_that_cannot_hold_the_function_words_is_refused(asked_world):
    settings = replace(asked_world.settings, text=replace(asked_world.settings.text, width=50))
    with pytest.raises(WorldError, match=r"text\.width: 50 is less than latent 36"):
        Wording(settings, asked_world.views)
