"""ActivityNet Captions as CPL and CCR cut it: val is all of val_1 (17,505 sentences), test all of val_2 (17,031).

raw     data/raw/<dataset>/annotations/{val_data,test_data}.json, the files of both repositories (data/activitynet/), and
        train_data.json, which they do not publish: train.json of the original release (37,421 sentences) serves as well
ids     none are published: sentences are counted from 0 in file order
odd     val and test are two annotations of the same videos: to select on val is what the files are for, and tells something about
        the test videos (quality.json counts them). Ends up to a hundredth of a second after the video in 134 and 111 records: the
        references score these windows as they are, and so do we (`published`)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.caption_lists import read_caption_list
from stages.datasets.caption_release import read_caption_release
from stages.datasets.moment_records import Layout
from stages.datasets.schema import MomentSample, Quality, Source, split_file

SOURCE = Source(
    name="activitynet_captions_cpl",
    task="moments",
    files={
        "train": "annotations/train_data.json",
        "val": "annotations/val_data.json",
        "test": "annotations/test_data.json",
    },
    alternatives={"train": "annotations/train.json"},
    samples={"train": None, "val": 17505, "test": 17031},
    validation="val",
    fps=0.5,
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[MomentSample]:
    """Yield the samples of one split in file order."""
    path = split_file(SOURCE, raw, split)
    reader = read_caption_release if path.name.startswith("train.json") else read_caption_list
    return reader(path, Layout(fps=SOURCE.fps), quality)
