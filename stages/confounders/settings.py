"""The numbers of one confounder dictionary and of one set of question graphs (params.yaml: dictionaries, graphs)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Dictionary:
    """One dictionary of K rows.

    dataset, features   whose items, and which feature sources; several video sources make one row together
    k                   number of rows
    seed                of the clustering
    numerics            corrected: cluster what the model is fed (normalised and fused rows), training items only, a row is the
                        member nearest to its centre.  released: as the reference does (raw rows, every item of each store, each
                        source on its own, a random member), ids sorted because the reference's order depends on the machine
    row                 corrected only: "member" nearest to the centre, or the "centre" itself (ablation)
    over                items: one row per item, its mean or maximum over time.  frames: every frame as published is a row, and
                        the dictionary has the centres of a mini-batch k-means (CRA); numerics, row, iterations have no say
    iterations          bound of the Lloyd iterations
    seeding_rows        corrected only: k-means++ seeds are sought among at most this many rows, drawn with `seed`
    published           files of data/raw/<dataset>, joined row by row in this order, instead of clustering anything
    """

    dataset: str
    features: tuple[str, ...]
    k: int
    seed: int
    numerics: Literal["corrected", "released"] = "corrected"
    row: Literal["member", "centre"] = "member"
    over: Literal["items", "frames"] = "items"
    iterations: int = 300
    seeding_rows: int = 2048
    published: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what single values or their combination cannot mean; all complaints at once."""
        rules = [
            (
                bool(self.features) and len(set(self.features)) == len(self.features),
                f"features are {self.features}, not distinct names",
            ),
            (self.k >= 1, f"k is {self.k}, must be at least 1"),
            (0 <= self.seed < 2**32, f"seed is {self.seed}, must be in [0, 2**32)"),
            (self.iterations >= 1, f"iterations is {self.iterations}, must be at least 1"),
            (self.seeding_rows >= self.k, f"seeding_rows {self.seeding_rows} are fewer than k {self.k}"),
            (
                self.numerics == "corrected" or self.row == "member",
                "row centre belongs to numerics corrected",
            ),
        ]
        wrong = [text for holds, text in rules if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))


@dataclass(frozen=True, kw_only=True)
class StanzaPackage:
    """Which Stanza models parse: `folder` has the layout of a Stanza download, `package` is a package of its resources.json.

    stages/confounders/english, small    the parser that comes with doflow
    any folder, default                  the full English models, put there by stanza.download
    """

    folder: str
    package: str


@dataclass(frozen=True, kw_only=True)
class Graphs:
    """One set of question graphs.

    dataset     whose questions and answers
    stanza      what parses them
    encoder     folder of a CLIP text model below data/raw/<dataset>
    clusters    how many graphs represent all
    seed        of the clustering
    splits      splits to take; (): what training sees
    processes   worker processes that parse and encode; the result does not depend on them
    engine      processes: on this machine; dask: on a Dask cluster (stages/confounders/blocks.py), with the same result
    """

    dataset: str
    stanza: StanzaPackage
    encoder: str
    clusters: int
    seed: int
    splits: tuple[str, ...] = ()
    processes: int = 1
    engine: Literal["processes", "dask"] = "processes"

    def __post_init__(self) -> None:
        """Refuse what single values cannot mean; all complaints at once."""
        rules = [
            (self.clusters >= 1, f"clusters is {self.clusters}, must be at least 1"),
            (0 <= self.seed < 2**32, f"seed is {self.seed}, must be in [0, 2**32)"),
            (self.processes >= 1, f"processes is {self.processes}, must be at least 1"),
            (len(set(self.splits)) == len(self.splits), f"splits are {self.splits}, not distinct"),
        ]
        wrong = [text for holds, text in rules if not holds]
        if wrong:
            raise ValueError("; ".join(wrong))
