"""Charades-STA as CPL and CCR cut it: 10,602 training and 3,158 test sentences; their published numbers are on these 3,158.

raw     data/raw/<dataset>/annotations/{train,test}.json, the files of both repositories (data/charades/)
ids     none are published: sentences are counted from 0 in file order
odd     no window ends after its video: such records were left out, not repaired, so scores on this version and on charades_sta
        (12,404 and 3,720 sentences) are not comparable
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.caption_lists import read_caption_list
from stages.datasets.moment_records import Layout
from stages.datasets.schema import MomentSample, Quality, Source, split_file

SOURCE = Source(
    name="charades_sta_cpl",
    task="moments",
    files={"train": "annotations/train.json", "test": "annotations/test.json"},
    samples={"train": 10602, "test": 3158},
    fps=1.0,
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[MomentSample]:
    """Yield the samples of one split in file order."""
    return read_caption_list(split_file(SOURCE, raw, split), Layout(fps=SOURCE.fps), quality)
