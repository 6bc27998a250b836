"""Universal Dependencies treebanks as training data: CoNLL-U sentences read, varied and written.

A sentence is its lines without comments, each split into the ten columns of CoNLL-U. Columns: 0 ID (a range for a token that is
written as one and means several words), 1 FORM, 2 LEMMA, 3 UPOS, 4 XPOS, 5 FEATS, 6 HEAD, 7 DEPREL, 9 MISC.
"""

from __future__ import annotations

import gzip
import random
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ID, FORM, LEMMA, UPOS, XPOS, FEATS, HEAD, DEPREL, MISC = 0, 1, 2, 3, 4, 5, 6, 7, 9
COLUMNS = 10
WORD_ID = re.compile(r"\d{1,6}([-.]\d{1,6})?", re.ASCII)
SENTENCES_PER_PARAGRAPH = 3


class TreebankError(ValueError):
    """A treebank file that is missing or is not CoNLL-U; the message names file, line and what is expected."""


@dataclass(frozen=True)
class Sentence:
    """document: the name before the last "-" of its sent_id. rows: its lines, split into columns."""

    document: str
    rows: tuple[tuple[str, ...], ...]

    def words(self) -> tuple[tuple[str, ...], ...]:
        """Its lines without the ranges."""
        return tuple(row for row in self.rows if "-" not in row[ID])

    def text(self) -> str:
        """As it was written: tokens with a blank behind each that has no SpaceAfter=No, the last one without."""
        return "".join(token + ("" if "SpaceAfter=No" in misc else " ") for token, misc in self._tokens()).rstrip()

    def _tokens(self) -> Iterator[tuple[str, str]]:
        covered = 0
        for row in self.rows:
            if "-" in row[ID]:
                covered = int(row[ID].split("-")[1])
                yield row[FORM], row[MISC]
            elif int(row[ID]) > covered:
                yield row[FORM], row[MISC]


def treebank_file(folder: Path, part: str) -> Path:
    """`<part>.conllu` or `<part>.conllu.gz` of a folder.

    Raises TreebankError if there is neither.
    """
    for path in (folder / f"{part}.conllu", folder / f"{part}.conllu.gz"):
        if path.is_file():
            return path
    raise TreebankError(
        f"{folder}: neither {part}.conllu nor {part}.conllu.gz; give a folder with train, dev, test and extra_atis"
    )


def read_treebank(folder: Path, part: str) -> list[Sentence]:
    """Sentences of `<part>.conllu` or `<part>.conllu.gz`, in order.

    Raises TreebankError: no such file, or a line that is neither a comment, nor empty, nor ten columns.
    """
    path = treebank_file(folder, part)
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise TreebankError(f"{path}: cannot be read ({error}); expected CoNLL-U in UTF-8") from error
    sentences: list[Sentence] = []
    rows: list[tuple[str, ...]] = []
    document = ""
    for number, line in enumerate([*lines, ""], start=1):
        if line.startswith("# sent_id ="):
            document = line.split("=", 1)[1].strip().rpartition("-")[0]
        elif not line.strip():
            if rows:
                sentences.append(Sentence(document, tuple(rows)))
            rows = []
        elif not line.startswith("#"):
            columns = tuple(line.split("\t"))
            if len(columns) != COLUMNS:
                raise TreebankError(f"{path}: line {number}: {len(columns)} columns, expected {COLUMNS}")
            if not WORD_ID.fullmatch(columns[ID]):
                raise TreebankError(
                    f"{path}: line {number}: {columns[ID][:20]!r} in the first column, expected a number or a range"
                )
            if "." not in columns[ID]:  # words that were left out of the sentence
                rows.append(columns)
    return sentences


def without_features(sentences: Iterable[Sentence]) -> list[Sentence]:
    """The column FEATS blank: nothing reads it, and its forty classifiers would be a third of a small tagger."""
    return [_with_column(sentence, FEATS, ["_"] * len(sentence.rows)) for sentence in sentences]


def with_tags(sentences: Sequence[Sentence], tagged: Sequence[Sentence], columns: Sequence[int]) -> list[Sentence]:
    """`sentences` with these columns of `tagged`, which are the same words."""
    result = []
    for own, other in zip(sentences, tagged, strict=True):
        for column in columns:
            own = _with_column(own, column, [row[column] for row in other.rows])
        result.append(own)
    return result


def as_typed(sentences: Iterable[Sentence]) -> list[Sentence]:
    """Questions and commands again as they are often typed: lower case, no mark at the end."""
    result = []
    for sentence in sentences:
        words = sentence.words()
        root = next(row for row in words if row[HEAD] == "0")
        last = words[-1]
        if last[FORM] != "?" and "Mood=Imp" not in root[FEATS]:
            continue
        rows = list(sentence.rows)
        heads = {row[HEAD] for row in words} | {row[ID].split("-")[1] for row in rows if "-" in row[ID]}
        while len(rows) > 1 and rows[-1][UPOS] == "PUNCT" and rows[-1][ID] not in heads:
            rows.pop()
        result.append(replace(sentence, rows=tuple((*row[:FORM], row[FORM].lower(), *row[LEMMA:]) for row in rows)))
    return result


def paragraphs(sentences: Sequence[Sentence], generator: random.Random | None) -> list[list[Sentence]]:
    """Sentences that follow each other in a document, in one paragraph; with a generator, in paragraphs of one to a few."""
    result: list[list[Sentence]] = []
    room = 0
    for sentence in sentences:
        if room > 0 and result[-1][-1].document == sentence.document:
            result[-1].append(sentence)
        else:
            result.append([sentence])
            room = generator.randint(1, SENTENCES_PER_PARAGRAPH) if generator else len(sentences)
        room -= 1
    return result


def write_conllu(path: Path, sentences: Iterable[Sentence]) -> None:
    """One sentence per block, with its text as a comment."""
    with path.open("w", encoding="utf-8") as stream:
        for sentence in sentences:
            stream.write(f"# text = {sentence.text()}\n" + "".join("\t".join(row) + "\n" for row in sentence.rows) + "\n")


def write_text(path: Path, groups: Iterable[Sequence[Sentence]]) -> None:
    """Raw text: sentences of a paragraph behind each other, paragraphs apart by an empty line."""
    path.write_text("\n\n".join(" ".join(sentence.text() for sentence in group) for group in groups) + "\n", encoding="utf-8")


def _with_column(sentence: Sentence, column: int, values: Sequence[str]) -> Sentence:
    rows = (
        row if "-" in row[ID] else (*row[:column], value, *row[column + 1 :])
        for row, value in zip(sentence.rows, values, strict=True)
    )
    return replace(sentence, rows=tuple(rows))
