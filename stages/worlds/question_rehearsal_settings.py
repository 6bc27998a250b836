"""Numbers of a rehearsal of a data set of questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from stages.worlds.settings import DType, Encoders, require


@dataclass(frozen=True, kw_only=True)
class PlantedArray:
    """One kind of feature files to plant: an HDF5 file per split, with one array.

    of        videos: (N, rows, width) frames; questions: (Q, rows, width) tokens, zeros behind, row i for row i of the table
    path      below the repository, with "{split}"
    ids       data set of the videos' ids, None where rows go by their place; `numbers`: as whole numbers, else as text
    """

    of: Literal["videos", "questions"]
    path: str
    key: str
    rows: int
    width: int
    dtype: DType
    ids: str | None = None
    numbers: bool = False

    def __post_init__(self) -> None:
        require("{split}" in self.path, f"{self.path}: needs {{split}}, there is one file per split")
        require((self.of == "videos") == (self.ids is not None), f"{self.path}: videos have ids, questions have none")


@dataclass(frozen=True, kw_only=True)
class QuestionRehearsal:
    """Real tables of questions and the features to plant under them.

    tables    split -> its table in `annotations`, with or without .gz; copied unchanged as <into>/<split>.csv
    windows   split -> file of the evidence, where there is any: what the frames are planted by
    copies    name below `into` -> further file of `annotations` that is published
    options   of every question; 0: open-ended
    subset    the first n videos of every split; None: all
    """

    annotations: str
    tables: dict[str, str]
    windows: dict[str, str] = field(default_factory=dict)
    copies: dict[str, str] = field(default_factory=dict)
    into: str
    options: int
    latent: int
    signal: float
    scene: float
    noise: float
    subset: int | None
    arrays: dict[str, PlantedArray]
    encoders: Encoders | None = None

    def __post_init__(self) -> None:
        require("train" in self.tables, "tables: needs a split train")
        require(self.subset is None or self.subset > 0, f"subset: {self.subset} videos; use null for all")
        widths = [array.width for array in self.arrays.values()] + ([self.encoders.width] if self.encoders else [])
        require(min(widths, default=self.latent) >= self.latent, f"latent: {self.latent} is more than a width, {min(widths)}")
