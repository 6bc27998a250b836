"""The planted world's questions with five options, in the layout of NExT-QA's files: the answer is the place of an option.

raw     data/raw/<dataset>/annotations/<split>.csv, and the evidence of NExT-GQA beside them but for train, written by the world
        stage. truth/<split>.parquet has what only the world knows
ids     qid counts within a video, so a sample is "<video>_<qid>"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.question_records import Choices, read_with_evidence
from stages.datasets.schema import Quality, QuestionSample, Source

SPLITS = ("train", "iid", "interventional", "reversed")
SOURCE = Source(
    name="planted_choice",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in SPLITS},
    samples=dict.fromkeys(SPLITS),
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order."""
    return read_with_evidence(SOURCE, raw, split, Choices(answer="header"), quality)
