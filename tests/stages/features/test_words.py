"""Vocabulary and sentences."""

from __future__ import annotations

import numpy as np
import pytest

from stages.features.words import Sentences, Vocabulary, count_words

VECTORS = {word: np.full(2, number, np.float32) for number, word in enumerate(["a", "man", "runs", "fast", "dog"])}


def test_words_are_ranked_by_frequency_and_then_by_occurrence():
    counts = count_words([["A", "man", "runs"], ["a", "dog", "runs", "zzz"]], VECTORS)
    assert counts == {"a": 2, "man": 1, "runs": 2, "dog": 1}
    vocabulary = Vocabulary.of(counts, VECTORS, 3)
    assert vocabulary.words == ("a", "runs", "man")
    assert vocabulary.classes == 4


def test_dropped_words_leave_no_trace_and_content_words_weigh_more():
    vocabulary = Vocabulary.of({"a": 3, "man": 2, "runs": 1}, VECTORS, None)
    assert vocabulary.encode(["A", "big", "man", "runs"], ["DT", "JJ", "NN", "VBZ"]) == ([1, 2, 3], [1, 2, 2])


def test_sentences_are_cut_before_their_weights_are_normalised():
    texts = Sentences(np.eye(3, dtype=np.float32), ["x", "y"], [[1, 2, 3, 1], [3]], [[1, 2, 1, 2], [2]], longest=3)
    vectors, mask, classes, hiding = texts.batch(["y", "x"])
    assert classes.tolist() == [[3, 0, 0], [1, 2, 3]]
    assert mask.sum(dim=1).tolist() == [1, 3]
    assert vectors[0, 1:].abs().sum() == 0
    e = np.e
    np.testing.assert_allclose(hiding, [[1, 0, 0], [1 / (2 + e), e / (2 + e), 1 / (2 + e)]], rtol=1e-6)
    assert texts.batch(["y"])[0].shape == (1, 1, 3)


def test_unknown_sentence_is_an_error():
    with pytest.raises(KeyError, match="nobody"):
        Sentences(np.eye(1, dtype=np.float32), ["x"], [[1]], [[1]]).batch(["nobody"])
