"""Charades-STA: one sentence, one window, 16,124 times; and its relevance-feedback pairs, half of which have no answer.

raw     data/raw/<dataset>/annotations/charades_sta_{train,test}_tvr_format.jsonl, charades_sta_{val,test}_rf.jsonl
        the files of the CausalVTG repository; RF also as charades_sta_{val,test}2.0.json of RaTSG, who made the pairs
ids     train and test: the qid. RF: the qid names the *text* (that of the last test query with these words) and returns up to
        44 times, so a sample is "<vid>_<qid>"; (vid, qid) is unique
odd     RF: unanswerable pairs carry the window [0, 0.001], answerable windows may end up to 1.5 s after the video; val and test
        share 699 videos, all of them Charades test videos. The plain files are clean: windows were clamped by their publishers
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.moment_records import Layout, read_moment_records
from stages.datasets.relevance_feedback import read_relevance_feedback
from stages.datasets.schema import MomentSample, Quality, Source, split_file

SOURCE = Source(
    name="charades_sta",
    task="moments",
    files={
        "train": "annotations/charades_sta_train_tvr_format.jsonl",
        "test": "annotations/charades_sta_test_tvr_format.jsonl",
        "rf_val": "annotations/charades_sta_val_rf.jsonl",
        "rf_test": "annotations/charades_sta_test_rf.jsonl",
    },
    alternatives={
        "rf_val": "annotations/charades_sta_val2.0.json",
        "rf_test": "annotations/charades_sta_test2.0.json",
    },
    samples={"train": 12404, "test": 3720, "rf_val": 3720, "rf_test": 3720},
    fps=1.0,
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[MomentSample]:
    """Yield the samples of one split in file order."""
    path = split_file(SOURCE, raw, split)
    layout = Layout(fps=SOURCE.fps, relevance=split.startswith("rf_"))
    if ".jsonl" in path.name:
        return read_moment_records(path, layout, quality)
    return read_relevance_feedback(path, split_file(SOURCE, raw, "test"), layout, quality)
