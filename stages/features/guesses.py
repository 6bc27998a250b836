"""What a sentence gives away about its own words: the word that most often follows the words before it, in training sentences.

Methods that reconstruct sentences read them from the left, so what they can guess without a video is what the words before say.
A word is guessable if that guess is right. Words that carry the sense count only (nouns, verbs, adjectives, adverbs): the others
are guessable nearly always.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.features.words import Sentences

Bool = NDArray[np.bool_]


class Guesses:
    """The most frequent successor of every beginning of a training sentence; of equally frequent ones the lower class."""

    def __init__(self, sentences: Iterable[Sequence[int]]) -> None:
        """Sentences in word classes."""
        counts: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
        for sentence in sentences:
            words = tuple(map(int, sentence))
            for place, word in enumerate(words):
                counts[words[:place]][word] += 1
        self._best = {before: min(found, key=lambda word: (-found[word], word)) for before, found in counts.items()}

    def right(self, sentence: Sequence[int]) -> list[bool]:
        """Per word whether the guess from the words before it is the word; a beginning never seen gives no guess."""
        words = tuple(map(int, sentence))
        return [self._best.get(words[:place]) == word for place, word in enumerate(words)]


def word_kinds(guesses: Guesses, texts: Sentences, ids: Sequence[str]) -> dict[str, Bool]:
    """Content words of sentences that can be guessed, and the others: "guessable", "other" -> (S, L) bool."""
    content = texts.content(ids)
    right = np.zeros_like(content)
    for row, item in enumerate(ids):
        found = guesses.right(texts.words(item))
        right[row, : len(found)] = found
    return {"guessable": content & right, "other": content & ~right}
