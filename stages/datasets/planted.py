"""The planted world: moments whose true causes are known, in the layout of CausalVTG's and Lighthouse's files.

raw     data/raw/<dataset>/annotations/<split>.jsonl and rf_<split>.jsonl, written by the world stage. train, iid, interventional
        and reversed carry windows, rated clips and three raters' saliency; rf_* adds pairs without an answer, and `no_answer`
ids     the qid, counted per split; rf_*: the qid names the query's text feature, a sample is "<vid>_<qid>"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.moment_records import Layout, read_moment_records
from stages.datasets.schema import MomentSample, Quality, Source, split_file

SPLITS = ("train", "iid", "interventional", "reversed", "rf_iid", "rf_interventional", "rf_reversed")
SOURCE = Source(
    name="planted",
    task="moments",
    files={split: f"annotations/{split}.jsonl" for split in SPLITS},
    samples=dict.fromkeys(SPLITS),
    fps=0.5,
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[MomentSample]:
    """Yield the samples of one split in file order."""
    layout = Layout(fps=SOURCE.fps, relevance=split.startswith("rf_"))
    return read_moment_records(split_file(SOURCE, raw, split), layout, quality)
