"""What CRA (CVPR 2025) varies about a question while it trains: wording, foreign questions, foreign answers.

    wording     with probability p a paraphrase, where there are any; the kind of question is that of the paraphrase
    questions   M of which one was asked: with probability p the others are about the same video, as far as that has any, else of
                the same kind (of any kind if there are too few)
    answers     with probability p the right one among foreign answers to questions of the same kind, else the published options

Texts are kept once, in the order of the samples, and the asked one is never among the foreign ones. (The reference takes away the
characters of the asked text, not the text; and it draws from sets, in an order that differs between processes.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from stages.training.question_types import question_type

DESCRIPTIVE = "D"  # first letter of data types whose questions fit any moment of a video
FEWEST = 4  # questions of a kind, below which all kinds are drawn from


@dataclass(frozen=True, kw_only=True)
class Tricks:
    """Probabilities p of the three; 0 switches one off."""

    paraphrase: float = 0.3
    same_video: float = 0.3
    foreign_answers: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question: id, video, its published data type, its text, the options and the place of the right one."""

    key: str
    video: str
    data_type: str
    question: str
    options: tuple[str, ...]
    label: int


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What is read in one step: M questions and the place of the one that was asked; M answers and the place of the right one."""

    question: str
    questions: tuple[str, ...]
    question_label: int
    answers: tuple[str, ...]
    answer_label: int


class QuestionPool:
    """All questions of a training split, by video and by kind. `paraphrases`: id -> other wordings."""

    def __init__(self, asked: Sequence[Asked], *, paraphrases: Mapping[str, Sequence[str]], tricks: Tricks) -> None:
        self.paraphrases, self.tricks = paraphrases, tricks
        of_video: dict[str, list[str]] = {}
        of_kind: dict[str, list[str]] = {}
        answers: dict[str, list[str]] = {}
        for one in asked:
            kind = question_type(one.question, one.data_type)
            of_kind.setdefault(kind, []).append(one.question)
            answers.setdefault(kind, []).append(one.options[one.label])
            if not one.data_type.startswith(DESCRIPTIVE):
                of_video.setdefault(one.video, []).append(one.question)
        self.of_video, self.of_kind, self.answers_of_kind = _each_once(of_video), _each_once(of_kind), _each_once(answers)
        self.questions = tuple(dict.fromkeys(one.question for one in asked))
        self.answers = tuple(dict.fromkeys(one.options[one.label] for one in asked))

    def draw(self, one: Asked, random: np.random.Generator) -> Drawn:
        """One step's texts; as many candidate questions as the question has options.

        Raises ValueError if the split has too few different texts to fill them.
        """
        question, tricks = one.question, self.tricks
        if (wordings := self.paraphrases.get(one.key)) and random.random() < tricks.paraphrase:
            question = wordings[int(random.integers(len(wordings)))].removesuffix("?")
        kind, foreign = question_type(question, one.data_type), len(one.options) - 1
        pool = self.of_kind.get(kind, ())
        pool = pool if len(pool) >= FEWEST else self.questions
        own = {question, one.question}
        others: list[str] = []
        if random.random() < tricks.same_video:
            others = _some(self.of_video.get(one.video, ()), own, foreign, random)
        if len(others) < foreign:
            others += _some(pool, {*own, *others}, foreign - len(others), random)
        if len(others) < foreign:
            others += _some(self.questions, {*own, *others}, foreign - len(others), random)
        questions, question_label = _shuffled(question, others, foreign, one.key, random)
        answers, answer_label = one.options, one.label
        if random.random() < tricks.foreign_answers:
            right = one.options[one.label]
            same = self.answers_of_kind.get(kind, ())
            wrong = _some(same if len(same) - (right in same) >= foreign else self.answers, {right}, foreign, random)
            answers, answer_label = _shuffled(right, wrong, foreign, one.key, random)
        return Drawn(
            question=question,
            questions=questions,
            question_label=question_label,
            answers=answers,
            answer_label=answer_label,
        )


def _each_once(texts: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(dict.fromkeys(some)) for name, some in texts.items()}


def _some(pool: Sequence[str], without: set[str], count: int, random: np.random.Generator) -> list[str]:
    """At most `count` different texts of the pool, each as likely as the others."""
    if len(pool) > 4 * (count + len(without)):  # few of many: draw again what may not be, instead of listing what may
        chosen: dict[str, None] = {}
        while len(chosen) < count:
            text = pool[int(random.integers(len(pool)))]
            if text not in without:
                chosen[text] = None
        return list(chosen)
    texts = [text for text in pool if text not in without]
    return [texts[place] for place in random.permutation(len(texts))[:count]]


def _shuffled(right: str, others: list[str], count: int, key: str, random: np.random.Generator) -> tuple[tuple[str, ...], int]:
    if len(others) < count:
        raise ValueError(f"question {key}: only {len(others)} other texts for {count} candidates; switch this trick off")
    texts = [right, *others]
    order = random.permutation(len(texts))
    return tuple(texts[place] for place in order), int(np.flatnonzero(order == 0)[0])
