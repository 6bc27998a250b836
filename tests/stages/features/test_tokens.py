"""Tokens after the Penn Treebank, and the words that carry content."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from stages.features.tokens import tagger, tokens
from stages.features.words import Vocabulary, count_words, is_content
from tests.shared import SHARED, there

CHARADES = SHARED / "data/charades_sta"


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("A person opens the door.", "A person opens the door ."),
        ("He doesn't, but it's o.k. to go.Then stop", "He does n't , but it 's o.k. to go.Then stop"),
        ('they say "cannot" (twice)!', "they say `` can not '' ( twice ) !"),
        ("1,000 dogs' toys: 3", "1,000 dogs ' toys : 3"),
        ("", ""),
    ],
)
def test_tokens_follow_the_treebank(sentence, expected):
    assert tokens(sentence) == expected.split()


def test_function_words_and_punctuation_are_no_content():
    words = ["The", "woman", "quickly", "opens", "a", "door", ".", "'s", "2"]
    (tags,) = tagger("closed_class")([words])
    assert [word for word, tag in zip(words, tags, strict=True) if is_content(tag)] == ["woman", "quickly", "opens", "door"]


@pytest.mark.shared
def test_recounting_gives_the_published_vocabulary():
    with np.load(there(CHARADES) / "cpl_vocab_glove.npz") as published:
        words, counts = published["words"][1:].tolist(), published["counts"][1:].tolist()
        vectors, kept = published["vectors"][1:], published["most_common"].tolist()
    rows = [
        row for name in ("train", "test") for row in json.loads(gzip.decompress((CHARADES / f"cpl_{name}.json.gz").read_bytes()))
    ]
    known = dict(zip(words, vectors, strict=True))
    counted = count_words((tokens(row[3]) for row in rows), known)
    assert list(counted.items()) == list(zip(words, counts, strict=True))
    assert list(Vocabulary.of(counted, known, 1111).words) == kept
