"""Vocabulary files (.npz): the words of a data set with their vectors, and every sentence of it in their classes.

    words, counts, vectors                     (W,), (W,) int64, (W, D) float32: class i + 1 is words[i]
    <split>/ids, <split>/offsets               (S,) sample ids; (S + 1,) int64
    <split>/classes, <split>/weights           (n,) int64 kept words of sentence s are [offsets[s], offsets[s + 1])
    provenance                                 JSON: how it was made, and what was left out

Nothing in it is ever unpickled; the same content gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stages.features.words import Sentences, Vocabulary

SCHEMA_VERSION = 1
KINDS = {"words": "U", "ids": "U", "provenance": "U", "vectors": "f"}  # NumPy's letters; all other arrays are integers


class VocabularyError(ValueError):
    """A vocabulary that cannot be made or read. The message names the file and the way out."""


@dataclass(frozen=True)
class Encoded:
    """The sentences of one split: ids, and per sentence its kept classes and their raw weights."""

    ids: Sequence[str]
    classes: Sequence[Sequence[int]]
    weights: Sequence[Sequence[int]]


def write_vocabulary(
    path: Path, vocabulary: Vocabulary, splits: Mapping[str, Encoded], longest: int, provenance: Mapping[str, Any]
) -> None:
    """Write beside and rename."""
    arrays: dict[str, Any] = {
        "words": np.array(vocabulary.words),
        "counts": np.array(vocabulary.counts, np.int64),
        "vectors": vocabulary.vectors,
        "longest": np.array(longest, np.int64),
    }
    for split, encoded in splits.items():
        arrays[f"{split}/ids"] = np.array(encoded.ids, np.str_)
        arrays[f"{split}/offsets"] = np.cumsum([0, *map(len, encoded.classes)], dtype=np.int64)
        for name, rows in (("classes", encoded.classes), ("weights", encoded.weights)):
            arrays[f"{split}/{name}"] = np.array([value for row in rows for value in row], np.int64)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    about = {"schema_version": SCHEMA_VERSION, **provenance}
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays, provenance=np.array(json.dumps(about, sort_keys=True)))
    partial.replace(path)


def read_vocabulary(path: Path) -> Vocabulary:
    """The words alone.

    Raises VocabularyError: no such file, or something else.
    """
    arrays = _read(path, ("words", "counts", "vectors"))
    words, counts = tuple(map(str, arrays["words"])), tuple(map(int, arrays["counts"]))
    return Vocabulary(words, counts, np.asarray(arrays["vectors"], np.float32))


def read_sentences(path: Path, split: str) -> Sentences:
    """The sentences of one split.

    Raises VocabularyError: no such file, no such split in it.
    """
    names = ("ids", "offsets", "classes", "weights")
    arrays = _read(path, ("vectors", "longest", *(f"{split}/{name}" for name in names)))
    ids, offsets, classes, weights = (arrays[f"{split}/{name}"] for name in names)

    def rows(values: Any) -> list[Any]:
        return [values[begin:end] for begin, end in pairwise(offsets)]

    vectors = np.asarray(arrays["vectors"], np.float32)
    if vectors.ndim != 2 or any(one.ndim != 1 for one in (ids, offsets, classes, weights)) or arrays["longest"].ndim:
        raise VocabularyError(f"{path}: arrays of another shape; make it again")
    ends = len(offsets) == len(ids) + 1 and offsets[0] == 0 and offsets[-1] == len(classes) == len(weights)
    if not ends or (np.diff(offsets) < 0).any() or (len(classes) and not 0 <= classes.min() <= classes.max() <= len(vectors)):
        raise VocabularyError(f"{path}: {split}: sentences and classes do not belong to each other; make it again")
    return Sentences(vectors, [str(one) for one in ids], rows(classes), rows(weights), longest=int(arrays["longest"]))


def read_longest(path: Path) -> int:
    """How many kept words of a sentence count. Raises VocabularyError."""
    return int(_read(path, ("longest",))["longest"])


def read_provenance(path: Path) -> dict[str, Any]:
    """How it was made: the fields of its entry in params.yaml, and what was left out. Raises VocabularyError."""
    try:
        about = json.loads(str(_read(path, ("provenance",))["provenance"]))
        if not isinstance(about, dict) or "tagger" not in about:
            raise ValueError("no tagger in it")
    except ValueError as error:
        raise (
            error if isinstance(error, VocabularyError) else VocabularyError(f"{path}: provenance: {error}; make it again")
        ) from error
    return about


def _read(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as content:
            if missing := [key for key in keys if key not in content]:
                splits = ", ".join(sorted({key.split("/")[0] for key in content if "/" in key})) or "none"
                raise VocabularyError(f"{path}: no {missing[0]!r} in it (splits: {splits}); make it with the vocabulary stage")
            arrays = {key: content[key] for key in keys}
    except FileNotFoundError:
        raise VocabularyError(f"{path}: no such file; make it with the vocabulary stage") from None
    except VocabularyError:
        raise
    except Exception as error:  # numpy, zipfile and tokenize each have their own ways to say "broken"
        raise VocabularyError(f"{path}: not a readable npz of plain arrays ({error}); make it again") from error
    if wrong := [key for key, array in arrays.items() if _kind(array) != KINDS.get(key.rpartition("/")[2], "i")]:
        raise VocabularyError(f"{path}: {wrong[0]} is no array of the expected type; make it again")
    return arrays


def _kind(array: Any) -> str:
    return array.dtype.kind if isinstance(array, np.ndarray) else ""
