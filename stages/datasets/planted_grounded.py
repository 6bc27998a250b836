"""The planted world's questions with five options and their evidence, in the layout of NExT-GQA's files.

raw     data/raw/<dataset>/annotations/<split>.csv, gsub_<split>.json, frame2time_<split>.json, written by the world stage; as
        published, training questions come without evidence. truth/<split>.parquet has what only the world knows
ids     qid counts within a video, so a sample is "<video>_<qid>"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.question_records import Choices, read_with_evidence
from stages.datasets.schema import Quality, QuestionSample, Source

SPLITS = ("train", "iid", "interventional", "reversed")
SOURCE = Source(
    name="planted_grounded",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in SPLITS},
    samples=dict.fromkeys(SPLITS),
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order."""
    return read_with_evidence(SOURCE, raw, split, Choices(), quality)
