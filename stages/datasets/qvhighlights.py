"""QVHighlights: several windows per query and three raters' saliency for every 2-second clip in them.

raw     data/raw/<dataset>/annotations/qvhighlights_{train,val,test}.jsonl, the files of the CausalVTG repository (train lacks two
        records of the original release); test has no labels. Where highlight_test_with_gt.jsonl lies beside it, which the authors
        published later, test is read from that and is labelled
ids     the qid; video ids begin with '-' or '_' in 350 records and hold dots
odd     the span in a video id ("..._60.0_210.0") is not the duration in 299 records: the duration is right
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from stages.datasets.moment_records import Layout, read_moment_records
from stages.datasets.schema import MomentSample, Quality, Source, split_file

SOURCE = Source(
    name="qvhighlights",
    task="moments",
    files={
        "train": "annotations/qvhighlights_train.jsonl",
        "val": "annotations/qvhighlights_val.jsonl",
        "test": "annotations/highlight_test_with_gt.jsonl",
    },
    alternatives={"test": "annotations/qvhighlights_test.jsonl"},
    samples={"train": 7216, "val": 1550, "test": 1542},
    validation="val",
    fps=0.5,
)
ID_SPAN = re.compile(r"_(\d+\.\d+)_(\d+\.\d+)$")


def read(raw: Path, split: str, quality: Quality) -> Iterator[MomentSample]:
    """Yield the samples of one split in file order."""
    layout = Layout(fps=SOURCE.fps, labelled=split != "test")
    for sample in read_moment_records(split_file(SOURCE, raw, split), layout, quality):
        span = ID_SPAN.search(sample.video_id)
        if span and float(span[2]) - float(span[1]) != sample.duration:
            quality.note("duration_differs_from_id", sample.sample_id)
        yield sample
