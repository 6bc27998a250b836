"""STAR (Wu et al., NeurIPS 2021 Datasets): situated reasoning in videos, four options, here with the moments of the questions.

`qa` is the accuracy by category (what stands before the first underscore of a question id), over all questions, and `Mean`, the
unweighted mean of the four categories that the leaderboard ranks by. As in the references, what is right is the answer that the
prediction file gives; corrected values take it from the labels of the questions (`answer`, the text of one of `a0`..`a3`).
"""

from __future__ import annotations

from typing import Any

from stages.metrics.answers import asked, count, percentages, reported
from stages.metrics.contract import Benchmark
from stages.metrics.grounded_files import FILES, OPTIONAL, PROFILES, GroundedFiles, scorer
from stages.metrics.records import InputError, NotApplicableError, shown

OPTIONS = 4
COLUMNS = ("video_id", "qid")
CATEGORIES = ("Interaction", "Sequence", "Prediction", "Feasibility")


def accuracy(files: GroundedFiles, corrected: bool) -> dict[str, Any]:
    """Accuracy by category, of all questions, and the mean of the categories (without empty ones in corrected mode)."""
    if files.answers is None:
        raise NotApplicableError("needs --qa")
    questions = files.questions
    keys: list[str] = []
    for row, cells in enumerate(questions.rows):
        if (category := cells["qid"].split("_", 1)[0]) not in CATEGORIES:
            raise InputError(f"{questions.place(row)}: category {shown(category)} is none of {', '.join(CATEGORIES)}")
        keys.append(f"{cells['video_id']}_{cells['qid']}")
    kept, _, _ = asked(files.answers, keys, strict=files.strict, exact=False)
    right = files.right_by_labels(kept) if corrected else {key: files.answers.right(key) for key in kept}
    by_category = count((key.split("_", 2)[1], right[key]) for key in kept)
    counts = {category: by_category.get(category, [0, 0]) for category in CATEGORIES}
    values = percentages(counts, questions.path, corrected=corrected)
    total = [sum(pair[0] for pair in counts.values()), sum(pair[1] for pair in counts.values())]
    known = [value for value in values.values() if value is not None]
    values |= {"Acc": 100 * total[0] / total[1], "Mean": sum(known) / len(known)}
    return reported(values, counts={**counts, "all": total}, n_scored=len(kept))


BENCHMARK = Benchmark(
    title="STAR",
    files=FILES,
    optional=OPTIONAL,
    profiles=PROFILES,
    default=PROFILES,
    score=scorer(accuracy, PROFILES, columns=COLUMNS, options=OPTIONS),
)
