"""Sentences as word classes with vectors: a vocabulary counted on the training sentences, and what is kept of each sentence.

    class of a word     its rank by falling frequency among the kept words, from 1; ties by first occurrence; 0 is padding and end
    raw weight          2 for a content word (noun, verb, adjective, adverb), else 1
    hiding              softmax of the raw weights over the first 20 kept words: how likely a word is hidden first

Words without a vector are not counted, words that are not kept are dropped. L words, V classes, D channels of a vector.
Source: data code of CPL and CCR.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LONGEST = 20  # words of a sentence
CONTENT_TAGS = ("NN", "VB", "JJ", "RB")
CONTENT, OTHER = 2, 1

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Vocabulary:
    """The kept words by class (class i + 1 is words[i]), how often each occurred, and their vectors (len(words), D) float32."""

    words: tuple[str, ...]
    counts: tuple[int, ...]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, counts: Mapping[str, int], vectors: Mapping[str, NDArray[np.float32]], limit: int | None) -> Vocabulary:
        """The `limit` most frequent of the counted words (None: all), all with vectors; `counts` in order of occurrence."""
        kept = Counter(dict(counts)).most_common(limit)
        rows = np.stack([np.asarray(vectors[word], dtype=np.float32) for word, _ in kept])
        return cls(tuple(word for word, _ in kept), tuple(count for _, count in kept), rows)

    @property
    def classes(self) -> int:
        """V: kept words and the class 0."""
        return len(self.words) + 1

    @cached_property
    def _class(self) -> dict[str, int]:
        return {word: index + 1 for index, word in enumerate(self.words)}

    def encode(self, tokens: Iterable[str], tags: Iterable[str]) -> tuple[list[int], list[int]]:
        """Classes and raw weights of the kept words of a sentence, in order and not yet cut."""
        pairs = [(self._class.get(token.lower()), tag) for token, tag in zip(tokens, tags, strict=True)]
        kept = [(found, CONTENT if is_content(tag) else OTHER) for found, tag in pairs if found is not None]
        return [found for found, _ in kept], [weight for _, weight in kept]


def is_content(tag: str) -> bool:
    """Whether a Penn Treebank tag is that of a noun, verb, adjective or adverb."""
    return any(part in tag for part in CONTENT_TAGS)


def count_words(sentences: Iterable[Iterable[str]], known: Mapping[str, object]) -> Counter[str]:
    """Lower-cased tokens that have a vector, in the order of their first occurrence."""
    return Counter(lower for tokens in sentences for token in tokens if (lower := token.lower()) in known)


class Sentences:
    """The kept words of many sentences, by id.

    classes, weights     per sentence what `Vocabulary.encode` gave; only the first `longest` words count
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        ids: Sequence[str],
        classes: Sequence[Sequence[int]],
        weights: Sequence[Sequence[int]],
        *,
        longest: int = LONGEST,
    ) -> None:
        self.width, self.classes = vectors.shape[1], len(vectors) + 1
        self._vectors = torch.from_numpy(np.concatenate([np.zeros((1, self.width), np.float32), vectors]))  # row = class
        self._position = {item: position for position, item in enumerate(ids)}
        lengths = np.array([min(len(row), longest) for row in classes], dtype=np.int64)
        self.lengths: Ids = lengths
        mask = np.arange(int(lengths.max(initial=0))) < lengths[:, None]
        table, raw = np.zeros(mask.shape, np.int64), np.zeros(mask.shape, np.float32)
        for row, (found, weight) in enumerate(zip(classes, weights, strict=True)):
            table[row, : lengths[row]], raw[row, : lengths[row]] = found[:longest], weight[:longest]
        share = np.exp(raw, dtype=np.float32) * mask
        with np.errstate(invalid="ignore"):
            share /= share.sum(axis=1, keepdims=True)
        self._content = raw == CONTENT
        self._classes, self._mask, self._hiding = (torch.from_numpy(x) for x in (table, mask, np.nan_to_num(share)))

    def __contains__(self, item: object) -> bool:
        return item in self._position

    def length(self, item: str) -> int:
        """Kept words of a sentence."""
        return int(self.lengths[self._position[item]])

    @property
    def ids(self) -> list[str]:
        """All of them, in order."""
        return list(self._position)

    def words(self, item: str) -> list[int]:
        """Classes of the kept words of a sentence."""
        found: list[int] = self._classes[self._position[item], : self.length(item)].tolist()
        return found

    def content(self, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Which words are content words, (B, L); L is the longest of all sentences."""
        found: NDArray[np.bool_] = self._content[[self._position[item] for item in ids]]
        return found

    def batch(self, ids: Sequence[str]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Vectors (B, L, D), mask (B, L) bool, classes (B, L) int64, hiding (B, L); L is the longest of the batch."""
        places = torch.tensor([self._position[item] for item in ids], dtype=torch.int64)
        longest = int(self.lengths[places.numpy()].max(initial=0))
        classes, mask, hiding = (x[places, :longest] for x in (self._classes, self._mask, self._hiding))
        return self._vectors[classes], mask, classes, hiding
