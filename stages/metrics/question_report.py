"""The flat numbers of one split of questions, in percent, with the groups that a benchmark's own scorer makes.

"Acc" is the accuracy over all questions; what else there is depends on the convention (stages/predictions/settings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stages.metrics.answers import Answers, Counts, count, next_qa_counts, percentages
from stages.metrics.benchmarks import causal_vidqa
from stages.metrics.report import Numbers

LONG_SECONDS = 80.0  # a long video
Convention = Literal["type", "nextqa", "star", "first_word", "causal_vidqa"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question and what was answered: `prediction` and `answer` are options or classes, answer -1 where none is right."""

    video: str
    question_id: str
    question: str
    type: str
    duration: float | None
    prediction: int
    answer: int

    @property
    def right(self) -> bool:
        """Whether the prediction is the answer."""
        return self.prediction == self.answer


def kind(one: Asked, convention: Convention) -> str:
    """The group of a question."""
    if convention == "first_word":
        return one.question.split(" ")[0].lower()
    return one.question_id.split("_", 1)[0] if convention == "star" else one.type


def accuracies(asked: Sequence[Asked], convention: Convention) -> Numbers:
    """Of all questions ("Acc") and by group, as the convention has them; groups without a question are left out."""
    total = {"Acc": [sum(question.right for question in asked), len(asked)]}
    if convention == "causal_vidqa":
        values = {f"{question.video}_{question.type}": (question.prediction, question.answer) for question in asked}
        by_type = causal_vidqa.counts(Answers("predictions", values, []), list(values))
        numbers = percentages(by_type, "predictions", corrected=True) | causal_vidqa.overall(by_type, corrected=True)
    else:
        pairs = [(kind(question, convention), question.right) for question in asked]
        groups: Counts = next_qa_counts(pairs, "predictions") if convention == "nextqa" else total | count(pairs)
        numbers = percentages(groups, "predictions", corrected=True)
    numbers = {name: value for name, value in numbers.items() if value is not None}
    if convention == "star":
        parts = [value for name, value in numbers.items() if name != "Acc" and value is not None]
        numbers["Mean"] = sum(parts) / len(parts)
    return numbers


def groups(
    asked: Sequence[Asked], convention: Convention, further: Callable[[Sequence[int]], dict[str, float]]
) -> list[dict[str, Any]]:
    """Rows of a breakdown: every kind of question, and short and long videos where both are there.

    further    places of a group's questions -> more numbers of the group
    """
    kinds: dict[str, list[int]] = {}
    for place, question in enumerate(asked):
        kinds.setdefault(kind(question, convention), []).append(place)
    by_length: dict[str, list[int]] = {}
    for place, question in enumerate(asked):
        if question.duration is not None:
            by_length.setdefault(f"{'more' if question.duration > LONG_SECONDS else 'at most'}: {LONG_SECONDS:g} s", []).append(
                place
            )
    rows = dict(sorted(kinds.items())) | (dict(sorted(by_length.items())) if len(by_length) > 1 else {})
    return [
        {"group": name, "count": len(places), "Acc": _share(asked[place].right for place in places), **further(places)}
        for name, places in rows.items()
    ]


def _share(hits: Iterable[bool]) -> float:
    found = list(hits)
    return 100 * sum(found) / len(found)
