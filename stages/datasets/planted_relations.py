"""The planted relations: pairs of moving objects whose predicate follows from how they move, in the layout of VidVRD's files.

raw     data/raw/<dataset>/annotations/<split>/<video id>.json, written by the world stage
ids     "<split>_<number>"
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.relation_records import read_relation_files
from stages.datasets.relation_schema import RelationSample
from stages.datasets.schema import Quality, Source

SPLITS = ("train", "iid", "interventional", "reversed")
SOURCE = Source(
    name="planted_relations",
    task="relations",
    files={split: f"annotations/{split}/" for split in SPLITS},
    samples=dict.fromkeys(SPLITS),
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[RelationSample]:
    """Yield the videos of one split, by path."""
    return read_relation_files(SOURCE, raw, split, quality)
