"""VidOR (Shang et al., ICMR 2019): relations of objects in 10,000 user videos, 80 categories, 42 actions, 8 spatial predicates.

raw     data/raw/<dataset>/annotations/{training,validation}/<group>/<video id>.json
ids     the video id, ten or eleven digits, kept as text
odd     labels of the 2165 test videos are not public; published results are those on validation, so it is evaluated on, and
        training videos are held out to select by
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from stages.datasets.relation_records import read_relation_files
from stages.datasets.relation_schema import RelationSample
from stages.datasets.schema import Quality, Source

SOURCE = Source(
    name="vidor",
    task="relations",
    files={"train": "annotations/training/", "validation": "annotations/validation/"},
    samples={"train": 7000, "validation": 835},
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[RelationSample]:
    """Yield the videos of one split, by path."""
    return read_relation_files(SOURCE, raw, split, quality)
