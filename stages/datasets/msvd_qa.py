"""MSVD-QA (Xu et al., ACM Multimedia 2017): open-ended questions on short videos, one word as the answer.

raw     data/raw/<dataset>/annotations/{train,val,test}.csv, separated by tabs, as the IGV repository has them
ids     the published id counts through the three files; video ids are the numbers 1..1970 with gaps
odd     the same question is asked several times about a video, with different answers. The answers of training are 1,852 words,
        which are the answers that a model can give: 6.8 % of val and 5.9 % of test have another one
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.question_records import read_open
from stages.datasets.schema import Quality, QuestionSample, Source, split_file

SOURCE = Source(
    name="msvd_qa",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in ("train", "val", "test")},
    samples={"train": 30933, "val": 6415, "test": 13157},
    validation="val",
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order."""
    return read_open(split_file(SOURCE, raw, split), quality)
