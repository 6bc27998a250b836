"""NExT-GQA (Xiao et al., CVPR 2024): questions on daily-life videos, five options, and the moments that the answers rest on.

raw     data/raw/<dataset>/annotations/{train,val,test}.csv, gsub_{val,test}.json (evidence), frame2time_{val,test}.json, as the
        NExT-GQA repository has them in datasets/nextgqa. Training questions have no evidence: learning is weakly supervised
ids     qid counts within a video, so a sample is "<video>_<qid>"; video ids are numbers of 10 or 11 digits, kept as text
odd     the answer is the text of an option; of two options with that text the first is meant. Evidence begins before the video in
        36 test questions and ends after it in 3 of val; frames repeat where a video has fewer than 32; frame2time, not upbd,
        tells when they were shown. Videos with evidence but without questions: 3 in val, 9 in test
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.evidence import read_evidence
from stages.datasets.question_records import Choices, read_choices
from stages.datasets.schema import Quality, QuestionSample, Source, split_file

GROUNDED = ("val", "test")
SOURCE = Source(
    name="nextgqa",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in ("train", *GROUNDED)},
    samples={"train": None, "val": 3358, "test": 5553},
    validation="val",
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order."""
    path = split_file(SOURCE, raw, split)
    evidence = None
    if split in GROUNDED:
        evidence = read_evidence(raw, f"annotations/gsub_{split}.json", f"annotations/frame2time_{split}.json", quality)
    return read_choices(path, Choices(), quality, evidence)
