"""ImageNet-VidVRD (Shang et al., ACM MM 2017): relations of objects in 1000 videos, 35 categories, 132 predicates.

raw     data/raw/<dataset>/annotations/{train,test}/<video id>.json
ids     the video id, "ILSVRC2015_train_00005003"
odd     train videos are labelled in typical segments only, test videos completely
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.relation_records import read_relation_files
from stages.datasets.relation_schema import RelationSample
from stages.datasets.schema import Quality, Source

SOURCE = Source(
    name="vidvrd",
    task="relations",
    files={"train": "annotations/train/", "test": "annotations/test/"},
    samples={"train": 800, "test": 200},
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[RelationSample]:
    """Yield the videos of one split, by path."""
    return read_relation_files(SOURCE, raw, split, quality)
