"""MSRVTT-QA (Xu et al., ACM Multimedia 2017): open-ended questions on short videos, one word as the answer.

raw     data/raw/<dataset>/annotations/{train,val,test}.csv, separated by tabs, as the IGV repository has them
ids     the published id; video ids are numbers
odd     the answers that a model can give are the 5,000 most frequent of training
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.question_records import read_open
from stages.datasets.schema import Quality, QuestionSample, Source, split_file

SOURCE = Source(
    name="msrvtt_qa",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in ("train", "val", "test")},
    samples={"train": 158581, "val": 12278, "test": 72821},
    validation="val",
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order."""
    return read_open(split_file(SOURCE, raw, split), quality)
