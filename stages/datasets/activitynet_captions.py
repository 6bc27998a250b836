"""ActivityNet Captions as a grounding benchmark: long videos, every sentence one window, from fractions of a second to all of it.

raw     data/raw/<dataset>/annotations/
        activitynet_train_format.jsonl, activitynet_test_format.jsonl, activitynet_test_rf.jsonl    CausalVTG's files
        activitynet_val_release.jsonl                                                               Lighthouse's val_1
        train.json, activitynet_test2.0.json    RaTSG's train (the original release) and RF pairs, where CausalVTG's are absent
ids     the qid. The release has none: sentences are counted from 0 in file order, as the numbered files seem to have been (train
        has 37,421 sentences, and val_1 starts at 37421). RF: the qid names the text, a sample is "<vid>_<qid>"
odd     test is val_2 without the three longest videos. val_1 and val_2 are two annotations of the *same videos*, so val cannot
        select a model: the hold-out rule applies. Ends a hundredth after the video, two reversed windows, zero-length windows,
        windows of the whole video, videos of one clip, blanks around most queries and line breaks inside some
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.caption_release import read_caption_release
from stages.datasets.moment_records import Layout, read_moment_records
from stages.datasets.relevance_feedback import read_relevance_feedback
from stages.datasets.schema import MomentSample, Quality, Source, split_file

SOURCE = Source(
    name="activitynet_captions",
    task="moments",
    files={
        "train": "annotations/activitynet_train_format.jsonl",
        "val": "annotations/activitynet_val_release.jsonl",
        "test": "annotations/activitynet_test_format.jsonl",
        "rf_test": "annotations/activitynet_test_rf.jsonl",
    },
    alternatives={"train": "annotations/train.json", "rf_test": "annotations/activitynet_test2.0.json"},
    samples={"train": None, "val": 17505, "test": 17014, "rf_test": None},
    fps=0.5,
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[MomentSample]:
    """Yield the samples of one split in file order."""
    path = split_file(SOURCE, raw, split)
    layout = Layout(fps=SOURCE.fps, relevance=split.startswith("rf_"))
    if ".jsonl" in path.name:
        return read_moment_records(path, layout, quality)
    if split == "train":
        return read_caption_release(path, layout, quality)
    return read_relevance_feedback(path, split_file(SOURCE, raw, "test"), layout, quality)
