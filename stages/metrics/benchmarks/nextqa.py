"""NExT-QA (Xiao et al., CVPR 2021): multi-choice questions, five options; EIGV and TranSTR are scored by the same rules.

Questions are the CSV of the release (`video`, `qid`, `type`, `answer` as an index, `a0`..`a4`) or that of NExT-GQA (`video_id`,
`answer` as text). A prediction's key is video + "_" + qid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.metrics.answers import asked, disagreement, next_qa_counts, option_labels, percentages, read_answers, reported
from stages.metrics.contract import Benchmark, Request, Scored, each_profile
from stages.metrics.records import InputError, Records, read_table

OPTIONS = 5
COLUMNS = ("qid", "type", "answer", *(f"a{number}" for number in range(OPTIONS)))


def score(request: Request) -> Scored:
    """Accuracy by question type. n_skipped counts answers to other questions, and questions without one in intersection mode."""
    questions, keys = _questions(request.files["questions"])
    answers = read_answers(request.files["predictions"])
    kept, skipped, warnings = asked(answers, keys, strict=request.strict, exact=False)
    rows = [(row, key) for row, key in enumerate(keys) if key in answers.values]
    labels = {key: option_labels(questions, row, OPTIONS, by_index="video" in questions.rows[row]) for row, key in rows}
    scored = Scored(n_scored=len(kept), n_skipped=skipped, warnings=warnings + disagreement(answers, labels, corrected=False))

    def values(_profile: str, corrected: bool) -> dict[str, Any]:
        if corrected:
            disagreement(answers, labels, corrected=True)
        kinds = [
            (questions.rows[row]["type"], answers.values[key][0] in labels[key] if corrected else answers.right(key))
            for row, key in rows
        ]
        counts = next_qa_counts(kinds, questions.path)
        return reported(percentages(counts, questions.path, corrected=corrected), counts=counts)

    each_profile(request, BENCHMARK.default, scored, values)
    return scored


def _questions(path: Path) -> tuple[Records, list[str]]:
    """The table and the key of each of its rows.

    Raises InputError if no column names the video.
    """
    questions = read_table(path, COLUMNS)
    video = next((name for name in ("video", "video_id") if name in questions.rows[0]), None)
    if video is None:
        raise InputError(f"{path}: line 1: no column video or video_id")
    return questions, [f"{row[video]}_{row['qid']}" for row in questions.rows]


BENCHMARK = Benchmark(title="NExT-QA", files=("predictions", "questions"), profiles=("qa",), default=("qa",), score=score)
