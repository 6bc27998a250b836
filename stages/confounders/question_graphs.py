"""A question and its answer as a graph of eight texts: what CRA (CVPR 2025) clusters into linguistic confounders.

    question, question_type, subject, verbs, objects, answer, answer_verbs, answer_objects        (models.causal.back_door)

Read off universal dependencies, in the words' own spelling. As in the reference "nsubj:pass" is no subject (the noun becomes an
object), auxiliaries are no verbs, and adjectives are objects in questions only. Repeated words are kept once, in the order of
their first occurrence; the reference orders them by hash, differently in every process.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from models.causal.back_door import QUESTION_NODES

QUESTION_TYPE_TAGS = frozenset({"PRON", "ADV", "DET"})
SUBJECTS = frozenset({"nsubj", "nsubjpass"})
QUESTION_OBJECT_TAGS = frozenset({"NOUN", "PROPN", "ADJ"})
ANSWER_OBJECT_TAGS = frozenset({"NOUN", "PROPN"})


@dataclass(frozen=True)
class Word:
    """One word of a parse: its text, universal part of speech, dependency relation."""

    text: str
    upos: str
    deprel: str


@dataclass(frozen=True, kw_only=True)
class Components:
    """The eight nodes; None or () where the parse has no such word."""

    question: str
    question_type: str | None
    subject: str | None
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    answer: str
    answer_verbs: tuple[str, ...]
    answer_objects: tuple[str, ...]

    def texts(self) -> tuple[str, ...]:
        """One text per node, in the order of the nodes; an empty component is the empty text, which is encoded like any other."""
        values = (getattr(self, name) for name in QUESTION_NODES)
        return tuple(" ".join(value) if isinstance(value, tuple) else value or "" for value in values)


assert tuple(field.name for field in fields(Components)) == QUESTION_NODES


def components(question: Sequence[Word], answer: Sequence[Word]) -> Components:
    """The nodes of one question with its right answer, from the words of all their sentences."""
    return Components(
        question=_joined(question),
        question_type=_first(word.text for word in question if word.upos in QUESTION_TYPE_TAGS),
        subject=_first(word.text for word in question if word.deprel in SUBJECTS),
        verbs=_verbs(question),
        objects=_objects(question, QUESTION_OBJECT_TAGS),
        answer=_joined(answer),
        answer_verbs=_verbs(answer),
        answer_objects=_objects(answer, ANSWER_OBJECT_TAGS),
    )


def _joined(words: Sequence[Word]) -> str:
    return " ".join(word.text for word in words)


def _first(texts: Iterable[str]) -> str | None:
    return next(iter(texts), None)


def _verbs(words: Sequence[Word]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.text for word in words if word.upos == "VERB"))


def _objects(words: Sequence[Word], tags: frozenset[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.text for word in words if word.deprel not in SUBJECTS and word.upos in tags))
