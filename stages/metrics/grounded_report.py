"""The flat numbers of one split of questions with evidence, percent: answers, moments, and both together.

Acc is the accuracy of all questions; the others are of those with evidence, by the rules of grounded_answers.py. Bare names are
those of the post-hoc moment, which papers report; "pre_hoc." and "merge." in front are the other two. "unfaithful": share of the
right answers whose moment is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.metrics.frame_segments import Merge, Segment, around_the_largest, in_seconds, merged
from stages.metrics.grounded_answers import Grounded, faithfulness, overlap, scores

HEADLINE = "post_hoc"


@dataclass(frozen=True, kw_only=True)
class Pointed:
    """One question with evidence (seconds), whether it was answered rightly, and the moments pointed at, by rule."""

    key: str
    evidence: Sequence[Segment]
    right: bool
    moments: Mapping[str, Sequence[float] | None]


def moments(
    span: Sequence[float] | None,
    weights: Sequence[float],
    times: Sequence[float],
    duration: float | None,
    *,
    merge: Merge,
    first_frame: bool,
) -> dict[str, Segment | None]:
    """The three moments of one question, seconds. `span`: of the network itself, seconds, None where it has none."""
    post_hoc = around_the_largest(weights, times, first_frame=first_frame)
    if span is None:
        return {"pre_hoc": None, "post_hoc": post_hoc, "merge": None}
    length = duration or 1.0
    pre_hoc = in_seconds([value / length for value in span], length)
    return {"pre_hoc": pre_hoc, "post_hoc": post_hoc, "merge": merged(pre_hoc, post_hoc, merge)}


def numbers(questions: Sequence[Pointed]) -> dict[str, float]:
    """All rules that every question has a moment for; empty without a question."""
    out: dict[str, float] = {}
    if not questions:
        return out
    for rule in questions[0].moments:
        judged = [_judged(question, rule) for question in questions]
        if any(question is None for question in judged):
            continue
        values = scores([question for question in judged if question is not None])
        if (faithful := faithfulness(values)) is not None:
            values["unfaithful"] = 100 - faithful
        prefix = "" if rule == HEADLINE else f"{rule}."
        out |= {f"{prefix}{name}": value for name, value in values.items()}
    return out


def headline(questions: Sequence[Pointed]) -> dict[str, float]:
    """The same of the post-hoc moment alone."""
    return {name: value for name, value in numbers(questions).items() if "." not in name.split("@")[0]}


def _judged(one: Pointed, rule: str) -> Grounded | None:
    moment = one.moments[rule]
    if moment is None:
        return None
    pairs = [overlap(span, moment) for span in one.evidence]
    iou, iop = (max(0.0, *(pair[which] for pair in pairs)) for which in (0, 1))
    return Grounded(key=one.key, iou=iou, iop=iop, right=one.right)


def thresholds(questions: Sequence[Pointed]) -> list[dict[str, Any]]:
    """Share of questions whose post-hoc moment reaches an IoU, and an IoP, for a curve."""
    judged = [grounded for grounded in (_judged(question, HEADLINE) for question in questions) if grounded is not None]
    if not judged:
        return []
    return [
        {
            "threshold": limit / 10,
            "R1": 100 * sum(grounded.iou >= limit / 10 for grounded in judged) / len(judged),
            "IoP": 100 * sum(grounded.iop >= limit / 10 for grounded in judged) / len(judged),
        }
        for limit in range(1, 10)
    ]
