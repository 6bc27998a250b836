"""Which words of a sentence its own beginning gives away."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.features.guesses import Guesses, word_kinds
from stages.features.words import Sentences

# 1 the, 2 cook, 3 child, 4 cuts, 5 bread, 6 apple
TRAINING = [[1, 2, 4, 1, 5], [1, 2, 4, 1, 5], [1, 2, 4, 1, 6], [1, 3, 4, 1, 6]]


def test_the_most_frequent_successor_is_the_guess():
    guesses = Guesses(TRAINING)
    assert guesses.right([1, 2, 4, 1, 5]) == [True] * 5
    assert guesses.right([1, 2, 4, 1, 6]) == [True, True, True, True, False]
    assert guesses.right([1, 3, 4, 1, 6]) == [True, False, True, True, True]


def test_of_equally_frequent_successors_the_lower_class_is_guessed():
    assert Guesses([[2], [1]]).right([1]) == [True]
    assert Guesses([[1], [2]]).right([2]) == [False]


def test_a_beginning_never_seen_gives_no_guess():
    assert Guesses(TRAINING).right([6, 1]) == [False, False]


def test_only_words_that_carry_the_sense_are_sorted():
    weights = [[1, 2, 2, 1, 2]]
    texts = Sentences(np.zeros((6, 3), np.float32), ["a", "b"], [[1, 2, 4, 1, 6], [1, 2]], [*weights, [1, 2]])
    found = word_kinds(Guesses(TRAINING), texts, ["b", "a"])
    assert found["guessable"].tolist() == [[False, True, False, False, False], [False, True, True, False, False]]
    assert found["other"].tolist() == [[False] * 5, [False, False, False, False, True]]


@given(st.lists(st.lists(st.integers(1, 4), max_size=5), max_size=8), st.lists(st.integers(1, 4), max_size=5))
def test_a_guess_is_made_from_what_stands_before_and_does_not_depend_on_what_follows(training, sentence):
    guesses = Guesses(training)
    whole = guesses.right(sentence)
    assert all(guesses.right(sentence[:length]) == whole[:length] for length in range(len(sentence) + 1))
    assert guesses.right(sentence) == Guesses(reversed(training)).right(sentence)
