"""Vectors of words from the files in which they are published, for the words that are asked for.

    text        one word per line, its numbers after it, separated by blanks (GloVe); a word may hold blanks itself
    binary      word2vec's form: a line "<words> <width>", then per word its bytes, a blank, and width float32
    pickle      glove.pkl of CPL and CCR: {"w2id": {word: row}, "id2vec": [vector, ...], ...}, never unpickled, see `pickled`
    seeded      no file: unit vectors drawn from a seed and the word alone, for planted worlds, where words need only differ

Text and binary are read as streams: memory holds the vectors asked for and nothing else.
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from stages.features.pickled import PickledError, read_pickled

Form = Literal["text", "binary", "pickle", "seeded"]
Vectors = dict[str, NDArray[np.float32]]

LONGEST_WORD = 4096  # bytes; more means that the file is something else


class WordVectorError(ValueError):
    """A file that is not what it is said to be. The message names file, place and expectation."""


def word_vectors(form: Form, path: Path | None, words: Collection[str], *, width: int, seed: int = 0) -> Vectors:
    """Vectors (width,) of those of the `words` that the file has; of all of them where they are seeded.

    Raises WordVectorError: no file, another width, a damaged or foreign file, no word of those asked for.
    """
    if form == "seeded":
        return {word: _seeded(word, width, seed) for word in words}
    if path is None:
        raise WordVectorError(f"word vectors of form {form} need a file")
    wanted = frozenset(words)
    try:
        if form == "pickle":
            found = _of_pickle(path, wanted, width)
        else:
            with cast("IO[bytes]", gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as stream:
                found = dict((_text if form == "text" else _binary)(stream, wanted, width, path))
    except (OSError, EOFError, zlib.error) as error:
        raise WordVectorError(f"{path}: cannot be read ({error})") from error
    if not found:
        raise WordVectorError(f"{path}: has none of the {len(wanted)} words asked for; is it a file of English word vectors?")
    return found


def _seeded(word: str, width: int, seed: int) -> NDArray[np.float32]:
    digest = hashlib.sha256(f"{seed}:{word}".encode()).digest()
    vector = np.random.default_rng(int.from_bytes(digest[:8], "big")).standard_normal(width)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _text(stream: IO[bytes], wanted: frozenset[str], width: int, path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    seen = set()
    for number, line in enumerate(stream, start=1):
        parts = line.rstrip().rsplit(b" ", width)
        if len(parts) != width + 1:
            if number == 1 and len(line.split()) == 2:
                continue  # word2vec's text form begins with its size
            raise WordVectorError(f"{path}: line {number}: expected a word and {width} numbers")
        word = parts[0].decode("utf-8", "replace")
        if word in wanted and word not in seen:  # some files list a word twice; the first is the more frequent one
            seen.add(word)
            yield word, _numbers(parts[1:], f"{path}: line {number}")


def _numbers(parts: list[bytes], place: str) -> NDArray[np.float32]:
    try:
        return _finite(np.array(parts, dtype=np.bytes_).astype(np.float32), place)
    except ValueError as error:
        raise WordVectorError(f"{place}: {error}") from error


def _finite(vector: NDArray[np.float32], place: str) -> NDArray[np.float32]:
    if not np.isfinite(vector).all():
        raise WordVectorError(f"{place}: a number that is not finite")
    return vector


def _binary(stream: IO[bytes], wanted: frozenset[str], width: int, path: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    head = stream.readline(100).split()
    if len(head) != 2 or not all(part.isdigit() for part in head) or int(head[1]) != width:
        raise WordVectorError(f"{path}: begins with {b' '.join(head)!r}, expected the number of words and the width {width}")
    for number in range(1, int(head[0]) + 1):
        letters = bytearray()
        while (letter := stream.read(1)) != b" ":
            letters += letter
            if not letter or len(letters) > LONGEST_WORD:
                raise WordVectorError(f"{path}: word {number}: cut short or not in this form")
        data = stream.read(4 * width)
        if len(data) != 4 * width:
            raise WordVectorError(f"{path}: word {number}: cut short")
        word = letters.strip().decode("utf-8", "replace")
        if word in wanted:
            yield word, _finite(np.frombuffer(data, "<f4").astype(np.float32), f"{path}: word {number}")


def _of_pickle(path: Path, wanted: frozenset[str], width: int) -> Vectors:
    try:
        content = read_pickled(path)
    except PickledError as error:
        raise WordVectorError(str(error)) from error
    rows, vectors = (content.get(key) if isinstance(content, dict) else None for key in ("w2id", "id2vec"))
    if not isinstance(rows, dict) or not isinstance(vectors, list | np.ndarray):
        raise WordVectorError(f"{path}: expected a dictionary with w2id and id2vec, as CPL and CCR publish it")
    found: Vectors = {}
    for word in sorted(wanted & rows.keys()):
        row = rows[word]
        if not isinstance(row, int) or not 0 <= row < len(vectors):
            raise WordVectorError(f"{path}: w2id[{word!r}] is {row!r}, expected a row of the {len(vectors)} in id2vec")
        try:
            vector = np.asarray(vectors[row], dtype=np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise WordVectorError(f"{path}: vector of {word!r} is no list of numbers ({error})") from None
        if vector.shape != (width,):
            raise WordVectorError(f"{path}: vector of {word!r} has shape {vector.shape}, expected ({width},)")
        found[word] = _finite(vector, f"{path}: vector of {word!r}")
    return found
