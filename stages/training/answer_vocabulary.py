"""Answers of open-ended questions as classes: the training answers, most frequent first.

    <run>/answers.json    JSON list of texts; class = place in it; behind the last one stands "unknown", for training only

Among equally frequent answers the one that comes first in the training samples. Source of the rule: IGV (CVPR 2022).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from stages.training.runs import RunError

ANSWERS = "answers.json"
OUTSIDE = -1  # of an answer that is no class: it can only be missed


class AnswersError(RunError):
    """Answers that make no vocabulary, or a run folder without one. The message names the file or the number, and the way out."""


class AnswerVocabulary:
    """Texts and their classes."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)
        self._classes = {text: number for number, text in enumerate(self.texts)}

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def unknown(self) -> int:
        """Class of every training answer that is not in the vocabulary."""
        return len(self.texts)

    def number(self, answer: str | None) -> int:
        """Class of an answer, OUTSIDE where it has none."""
        return OUTSIDE if answer is None else self._classes.get(answer, OUTSIDE)

    def text(self, number: int) -> str:
        """The answer of a class; that of "unknown" is empty."""
        return self.texts[number] if number < len(self.texts) else ""

    def coverage(self, answers: Sequence[str]) -> float:
        """Percent of the answers that are in the vocabulary: the ceiling of the accuracy."""
        return 100 * sum(answer in self._classes for answer in answers) / len(answers) if answers else 0.0

    def content(self) -> bytes:
        """answers.json."""
        return (json.dumps(self.texts, ensure_ascii=False, indent=0) + "\n").encode()


def build_answers(answers: Iterable[str], classes: int) -> AnswerVocabulary:
    """The `classes` most frequent of the training answers.

    Raises AnswersError if there are fewer different ones.
    """
    counts = Counter(answers)  # keeps the order of first occurrence, which most_common keeps among equals
    if len(counts) < classes:
        raise AnswersError(
            f"model.answers is {classes}, but there are only {len(counts)} different training answers; set answers: {len(counts)}"
        )
    return AnswerVocabulary([answer for answer, _ in counts.most_common(classes)])


def read_answers(folder: Path) -> AnswerVocabulary:
    """The vocabulary of a run.

    Raises AnswersError: no such file, or one that is no list of texts.
    """
    path = folder / ANSWERS
    try:
        texts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnswersError(f"{path}: no such file; train the run, or put the published answer list there") from None
    except (ValueError, RecursionError) as error:
        raise AnswersError(f"{path}: not JSON ({error})") from error
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise AnswersError(f"{path}: expected a JSON list of answers")
    return AnswerVocabulary(texts)
