"""Causal-VidQA (Li et al., CVPR 2022): description, explanation, prediction and counterfactual, the latter two with a reason.

A prediction's key is video + "_" + type, type one of d, e, p, pr, c, cr; video ids contain underscores. Pred and CF count a
question as right when answer and reason both are. The reference puts the number of p questions in place of that of d questions in
Acc.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stages.metrics.answers import Answers, Counts, asked, count, one_row_each, percentages, read_answers, reported
from stages.metrics.contract import Benchmark, Request, Scored, each_profile
from stages.metrics.records import InputError, NotApplicableError, read_table

NAMES = {"d": "Des", "e": "Exp", "p": "Pred-A", "pr": "Pred-R", "c": "CF-A", "cr": "CF-R"}
JOINT = {"Pred": ("p", "pr"), "CF": ("c", "cr")}


def score(request: Request) -> Scored:
    """Accuracy by question type, and the summary over description, explanation and both joint ones."""
    questions = read_table(request.files["questions"], ("video_id", "type"), key="video_id")
    for row, cells in enumerate(questions.rows):
        if cells["type"] not in NAMES:
            raise InputError(f"{questions.place(row, 'type')}: expected one of {', '.join(NAMES)}, got {cells['type']!r}")
    answers = read_answers(request.files["predictions"])
    keys = [f"{cells['video_id']}_{cells['type']}" for cells in questions.rows]
    one_row_each(questions, keys)
    kept, skipped, warnings = asked(answers, keys, strict=request.strict, exact=False)
    if request.corrected:
        warnings.append(f"{questions.path}: has no labels, so corrected values believe the answers of {answers.path}, too")
    scored = Scored(n_scored=len(kept), n_skipped=skipped, warnings=warnings)

    def values(_profile: str, corrected: bool) -> dict[str, Any]:
        by_type = counts(answers, kept)
        return reported(percentages(by_type, questions.path, corrected=corrected) | overall(by_type, corrected), counts=by_type)

    each_profile(request, BENCHMARK.default, scored, values)
    return scored


def overall(by_type: Counts, corrected: bool) -> dict[str, float | None]:
    """Acc over description, explanation and both joint ones."""
    right = sum(by_type[name][0] for name in ("Des", "Exp", "Pred", "CF"))
    described = by_type["Des" if corrected else "Pred-A"][1]
    total = described + sum(by_type[name][1] for name in ("Exp", "Pred-A", "CF-A"))
    return {"Acc": 100 * right / total if total else None}


def counts(answers: Answers, keys: Sequence[str]) -> Counts:
    """Right and all, per type and for both joint ones.

    Raises NotApplicableError for an answer whose reason is not in the file.
    """
    pairs = [key.rpartition("_") for key in keys]
    by_kind = count((kind, answers.right(key)) for key, (_, _, kind) in zip(keys, pairs, strict=True))
    out: Counts = {name: by_kind.get(kind, [0, 0]) for kind, name in NAMES.items()}
    for name, (answer, reason) in JOINT.items():
        hits = 0
        for video, _, kind in pairs:
            if kind == answer:
                other = f"{video}_{reason}"
                if other not in answers.values:
                    raise NotApplicableError(
                        f"{answers.place(other)}: missing; the reason to {video}_{kind} is needed for {name}"
                    )
                hits += answers.right(f"{video}_{kind}") and answers.right(other)
        out[name] = [hits, out[NAMES[answer]][1]]
    return out


BENCHMARK = Benchmark(title="Causal-VidQA", files=("predictions", "questions"), profiles=("qa",), default=("qa",), score=score)
