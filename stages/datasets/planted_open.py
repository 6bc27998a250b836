"""The planted world's open-ended questions, in the layout of MSVD-QA's files: one word as the answer.

raw     data/raw/<dataset>/annotations/<split>.csv, separated by tabs, written by the world stage. MSVD-QA publishes no evidence:
        duration and spans of the test questions come from truth/<split>.parquet, where the world says what it knows
ids     the published id counts through all files
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from stages.datasets.question_records import read_open
from stages.datasets.schema import DatasetError, Quality, QuestionSample, Source, is_published, published_file, split_file

SPLITS = ("train", "iid", "interventional", "reversed")
SOURCE = Source(
    name="planted_open",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in SPLITS},
    samples=dict.fromkeys(SPLITS),
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order.

    Raises DatasetError if the truth beside the file does not know a question.
    """
    samples = read_open(split_file(SOURCE, raw, split), quality)
    truth = f"truth/{split}.parquet"
    if split == SOURCE.train or not is_published(raw, truth):
        yield from samples
        return
    path = published_file(raw, truth)
    rows = pq.read_table(path, columns=["sample_id", "duration", "spans"]).to_pylist()
    known = {row["sample_id"]: (row["duration"], tuple((start, end) for start, end in row["spans"])) for row in rows}
    for sample in samples:
        if sample.sample_id not in known:
            raise DatasetError(f"{path}: nothing about question {sample.sample_id}; run the world stage again")
        duration, spans = known[sample.sample_id]
        yield replace(sample, duration=duration, spans=spans)
