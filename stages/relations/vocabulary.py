"""Names of a relation data set and how often training shows them: relations.json of a run.

Ids are places in the alphabetically sorted names of all splits, so that they do not depend on what is trained on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pyarrow.parquet as pq

from stages.datasets.relation_schema import RelationSample, Triplet
from stages.datasets.schema import DatasetError

FILE = "relations.json"


@dataclass(frozen=True)
class Vocabulary:
    """classes, predicates: sorted names.  counts, triplets: how many training relations a predicate, a triplet has."""

    classes: tuple[str, ...]
    predicates: tuple[str, ...]
    counts: dict[str, int]
    triplets: dict[Triplet, int]

    @cached_property
    def class_ids(self) -> dict[str, int]:
        """Name -> id."""
        return {name: place for place, name in enumerate(self.classes)}

    @cached_property
    def predicate_ids(self) -> dict[str, int]:
        """Name -> id."""
        return {name: place for place, name in enumerate(self.predicates)}

    @classmethod
    def of(cls, samples: Path, training: Iterable[RelationSample]) -> Vocabulary:
        """Names from every split below a samples folder, counts from the training samples."""
        classes: set[str] = set()
        predicates: set[str] = set()
        for path in sorted(samples.glob("*.parquet")):
            table = pq.read_table(path, columns=["categories", "predicates"])
            classes.update(name for row in table["categories"].to_pylist() for name in row)
            predicates.update(name for row in table["predicates"].to_pylist() for name in row)
        shown = [sample.triplet(one) for sample in training for one in sample.instances]
        counts = Counter(triplet[1] for triplet in shown)
        return cls(
            tuple(sorted(classes)),
            tuple(sorted(predicates)),
            {name: counts[name] for name in sorted(predicates)},
            dict(sorted(Counter(shown).items())),
        )

    def content(self) -> bytes:
        """The file."""
        plain = {**asdict(self), "triplets": [[*triplet, count] for triplet, count in self.triplets.items()]}
        return (json.dumps(plain, ensure_ascii=False) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> Vocabulary:
        """Of a run folder. Raises DatasetError if it has none."""
        path = folder / FILE
        if not path.is_file():
            raise DatasetError(f"{path}: not there; train the run again")
        raw = json.loads(path.read_text(encoding="utf-8"))
        triplets = {(subject, predicate, other): count for subject, predicate, other, count in raw["triplets"]}
        return cls(tuple(raw["classes"]), tuple(raw["predicates"]), raw["counts"], triplets)
