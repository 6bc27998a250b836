"""Answers with the moment that shows them: how often the answer is right, the moment is right, and both are.

    IoU = i / hull,   IoP = i / length of the prediction,   i = min of ends - max of starts, per question the best evidence each
    Acc&GQA: right and IoP >= 0.5;   FR = Acc&GQA / Acc&VQA

Source: the scorers of NExT-GQA (CVPR 2024) and CRA (CVPR 2025).  Percent, segments in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Key = str  # "<video>_<question>"; a question id may hold underscores, a video id none

THRESHOLDS = (0.3, 0.5)
GROUNDED = 0.5


@dataclass(frozen=True)
class Grounded:
    """One question: best IoU and IoP over its evidence, and whether it was answered rightly (None: not known)."""

    key: Key
    iou: float
    iop: float
    right: bool | None


def overlap(truth: Sequence[float], predicted: Sequence[float]) -> tuple[float, float]:
    """IoU and IoP of two segments; negative where they are apart. A point has IoU 0, and IoP 1 inside the evidence."""
    (a, b), (s, e) = truth, predicted
    if s == e:
        return 0.0, float(a <= s <= b)
    inside, hull = min(b, e) - max(a, s), max(b, e) - min(a, s)
    return inside / hull if hull > 0 else 0.0, inside / (e - s) if e > s else 0.0


def evidence_keys(evidence: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Key, list[list[float]], float]]:
    """Key, evidence segments and duration of each question of an evidence file, in file order."""
    for video, entry in evidence.items():
        for question, segments in entry["location"].items():
            yield f"{video}_{question}", segments, entry["duration"]


def per_question(
    evidence: Mapping[str, Mapping[str, Any]], segments: Mapping[Key, Sequence[float]], right: Mapping[Key, bool] | None
) -> list[Grounded]:
    """Every question of the evidence file that has a segment.

    Raises KeyError, with the key, for one that has a segment but no answer, where answers are given.
    """
    judged = []
    for key, truth, _ in evidence_keys(evidence):
        if key not in segments:
            continue
        pairs = [overlap(span, segments[key]) for span in truth]
        iou, iop = (max(0.0, *(pair[which] for pair in pairs)) for which in (0, 1))
        judged.append(Grounded(key=key, iou=iou, iop=iop, right=None if right is None else right[key]))
    return judged


def scores(questions: Sequence[Grounded]) -> dict[str, float]:
    """The numbers of the tables, of at least one question; Acc&GQA and Acc&VQA only where the answers are known."""
    count = len(questions)

    def share(hits: Iterator[bool]) -> float:
        return sum(hits) * 100 / count

    out: dict[str, float] = {}
    if all(question.right is not None for question in questions):
        out["Acc&GQA"] = share(bool(question.right) and question.iop >= GROUNDED for question in questions)
        out["Acc&VQA"] = share(bool(question.right) for question in questions)
    for name, values in (("IoP", [question.iop for question in questions]), ("IoU", [question.iou for question in questions])):
        out[f"m{name}"] = sum(values) * 100 / count
        out |= {f"T{name}@{limit}": share(value >= limit for value in values) for limit in THRESHOLDS}
    return out


def faithfulness(numbers: Mapping[str, float]) -> float | None:
    """Share of the right answers whose moment is right, too, in percent; None without a right answer."""
    return 100 * numbers["Acc&GQA"] / numbers["Acc&VQA"] if numbers.get("Acc&VQA") else None
