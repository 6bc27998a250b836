"""NExT-QA (Xiao et al., CVPR 2021): causal, temporal and descriptive questions on daily-life videos, five options, one correct.

raw     data/raw/<dataset>/annotations/{train,val,test}.csv: the files of the NExT-QA repository (column `video`, answer = place
        of the option), or those of the NExT-GQA repository (column `video_id`, answer = text of the option). gsub_<split>.json of
        NExT-GQA beside them, if there, adds durations and evidence
ids     qid counts within a video, so a sample is "<video>_<qid>"
odd     the two forms of val disagree in (7987845241, 6): one option and the answer. Feature files of questions are aligned with
        the rows of the CSV
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.question_records import Choices, read_with_evidence
from stages.datasets.schema import Quality, QuestionSample, Source

SOURCE = Source(
    name="nextqa",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in ("train", "val", "test")},
    samples={"train": 34132, "val": 4996, "test": 8564},
    validation="val",
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order."""
    return read_with_evidence(SOURCE, raw, split, Choices(answer="header"), quality)
