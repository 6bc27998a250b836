"""NExT-GQA (Xiao et al., CVPR 2024): multiple-choice questions with the moments that show the answer.

Papers quote Acc&GQA, Acc&VQA, mIoP, IoP@0.5, mIoU and IoU@0.5 (TIoP, TIoU in the files) of `post_hoc`. `qa` is the accuracy by
question type over all questions that have evidence; the prediction file may answer more.
"""

from __future__ import annotations

from typing import Any

from stages.metrics.answers import asked, disagreement, next_qa_counts, option_labels, percentages, reported
from stages.metrics.contract import Benchmark
from stages.metrics.grounded_files import FILES, OPTIONAL, PROFILES, GroundedFiles, scorer
from stages.metrics.records import NotApplicableError

OPTIONS = 5
COLUMNS = ("video_id", "qid", "type", "answer", *(f"a{number}" for number in range(OPTIONS)))


def accuracy(files: GroundedFiles, corrected: bool) -> dict[str, Any]:
    """Accuracy by question type; groups without a question are left out, as in the reference."""
    if files.answers is None:
        raise NotApplicableError("needs --qa")
    questions = files.questions
    keys = {row: f"{cells['video_id']}_{cells['qid']}" for row, cells in enumerate(questions.rows)}
    keys = {row: key for row, key in keys.items() if key in files.durations}
    kept, _, _ = asked(files.answers, list(keys.values()), strict=files.strict, exact=False)
    rows = [(row, key) for row, key in keys.items() if key in files.answers.values]
    labels = {key: option_labels(questions, row, OPTIONS, by_index=False) for row, key in rows}
    files.warnings += [text for text in disagreement(files.answers, labels, corrected=corrected) if text not in files.warnings]
    kinds = [
        (questions.rows[row]["type"], files.answers.values[key][0] in labels[key] if corrected else files.answers.right(key))
        for row, key in rows
    ]
    counts = {group: pair for group, pair in next_qa_counts(kinds, questions.path).items() if pair[1]}
    return reported(percentages(counts, questions.path), counts=counts, n_scored=len(kept))


BENCHMARK = Benchmark(
    title="NExT-GQA",
    files=FILES,
    optional=OPTIONAL,
    profiles=PROFILES,
    default=PROFILES,
    score=scorer(accuracy, PROFILES, columns=COLUMNS, options=OPTIONS),
)
