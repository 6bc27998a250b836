"""What params.yaml says about a published feature, `features.<dataset>.<feature>`, and a vocabulary, `vocabularies.<name>`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from stages.features.tokens import Tagger
from stages.features.word_vectors import Form


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One published feature of one dataset entry: where its files lie, what is in them, what to do about faults.

    kind        clip: rows are clips of a video; query: rows are tokens of a query; frame, object, trajectory: as design.md 3
    files       below data/raw/<dataset>/: a folder, an archive (.zip, .tar, .tar.gz, .tgz), or a glob of split tar parts
                ("name.tar.gz.*", "name.parta?"; parts are joined in name order)
    format      of the single files: npz (array under `key`), pt (a bare tensor), npy (a bare array); or h5, HDF5;
                relation_h5: VidVRD's relation features, as stages/consolidation/relation_pairs.py says
    key         array in the npz; null for pt and npy. h5: data set in the group of each id, null: each id is a data set
    prefix      what the file name has in front of the id ("qid" for query features); files without it are refused as extra
    width       channels; any other width is an error
    fps         rows per second; null where rows are not spaced in time
    extractor   what made the features, in words; goes into the store's attributes
    dtype       keep: as published (all files must agree); otherwise the type that is stored
    missing     an annotated id without a file: error, or drop (its samples are left out where the store is read; counted)
    extra       a file without an annotated id: ignore (counted, not stored), store, or error
    non_finite  NaN or Inf: error, or zero (those entries become 0; counted)
    empty       a file with no rows at all: error, or drop (treated as a missing one; counted)
    archive     also write <feature>.archive.zarr, compressed and sharded, for sharing through a remote
    concatenation   names of the parts along the channels, in order, where one file holds several

    One array for many items (format h5; `files`: one file, or a glob of several, or "{split}" for one file per split):
    ids         data set of the ids, entry i of the array `key` (N, T, D) being ids[i]; bytes, text or whole numbers
    aligned     no ids: row i of `key` belongs to row i of the split's table; (Q, L, D): question, (Q, M, L, D): its M options.
                Zero rows at the end of a text are padding and not stored
    per         aligned: items are the options of a question ("<sample_id>#<m>"), or the question ("<sample_id>"); open-ended
                questions have no options, both are the same to them
    Objects in frames (kind object; h5 with `ids`, or one npz per video), rows frame after frame, the boxes behind the features:
    boxes       array of the boxes beside `key`: (clips, frames, objects, 4) per video beside (clips, frames, objects, D)
    every       every how many clips are stored, from the first
    grid        (frames, objects): frames = stored clips x frames; of each frame's objects the first so many are stored
    relative_boxes  store x1/W, y1/H, x2/W, y2/H and area/(W H), area = (x2-x1+1) (y2-y1+1); W, H from the annotations
    names       JSON below data/raw/<dataset>/: video id -> name of its npz file without the suffix
    """

    kind: Literal["clip", "query", "frame", "object", "trajectory"]
    files: str
    format: Literal["npz", "pt", "npy", "h5", "relation_h5"]
    key: str | None = None
    prefix: str = ""
    width: int
    fps: float | None = None
    extractor: str
    dtype: Literal["keep", "float16", "float32"] = "keep"
    missing: Literal["error", "drop"] = "error"
    extra: Literal["ignore", "store", "error"] = "ignore"
    non_finite: Literal["error", "zero"] = "error"
    empty: Literal["error", "drop"] = "error"
    archive: bool = False
    concatenation: tuple[str, ...] = ()
    ids: str | None = None
    aligned: bool = False
    per: Literal["option", "question"] = "option"
    boxes: str | None = None
    every: int = 1
    grid: tuple[int, ...] = ()
    relative_boxes: bool = False
    names: str | None = None

    @property
    def pattern(self) -> str:
        """`files` as a glob."""
        return self.files.replace("{split}", "*")

    @property
    def in_arrays(self) -> bool:
        """Whether one array holds many items, or one item is made from several arrays."""
        return self.ids is not None or self.aligned or self.boxes is not None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.files)
        if not self.files or path.is_absolute() or ".." in path.parts or "\0" in self.files:
            raise ValueError(f"files: expected a path below data/raw/<dataset>/, got {self.files!r}")
        if self.format != "h5" and (self.format == "npz") != (self.key is not None):
            raise ValueError(f"key: format {self.format} {'needs' if self.format == 'npz' else 'has no'} key, got {self.key!r}")
        if self.width < 1:
            raise ValueError(f"width: expected at least 1, got {self.width}")
        if self.fps is not None and not 0 < self.fps < float("inf"):
            raise ValueError(f"fps: expected rows per second above 0, or null, got {self.fps}")
        self._check_arrays()

    def _check_arrays(self) -> None:
        if ("{split}" in self.files) != self.aligned:
            raise ValueError("files: {split} names the files of aligned features (aligned: true), and of those only")
        if (self.ids is not None or self.aligned) and (self.format != "h5" or self.key is None):
            raise ValueError("ids, aligned: need format h5 and the key of the array")
        if self.ids is not None and self.aligned:
            raise ValueError("ids, aligned: an array has ids, or it is aligned with the rows of the table: not both")
        if (self.boxes is not None) != (self.kind == "object" and len(self.grid) == 2):
            raise ValueError("boxes, grid: features of kind object need boxes and grid [frames, objects]; others have neither")
        if self.boxes is not None and self.format == "h5" and self.ids is None:
            raise ValueError("ids: objects in an h5 file need the data set of the ids")
        if self.boxes is None and (self.every != 1 or self.relative_boxes or self.names or self.grid):
            raise ValueError("every, grid, relative_boxes, names: only for objects with boxes")
        if self.every < 1 or min(self.grid, default=1) < 1:
            raise ValueError(f"every, grid: expected numbers of at least 1, got {self.every} and {list(self.grid)}")


@dataclass(frozen=True, kw_only=True)
class TaggerModels:
    """Stanza models: a folder in the layout of a Stanza download, and a package of its resources.json."""

    folder: str
    package: str


@dataclass(frozen=True, kw_only=True)
class VocabularyEntry:
    """An entry of `vocabularies` in params.yaml.

    dataset      whose sentences
    form, file   of the word vectors: below data/raw/<dataset>/; null where they are seeded
    width, seed  channels of a vector; of seeded vectors
    limit        classes kept, the most frequent ones; null: all
    longest      words of a sentence that are used
    counted      "training": on the sentences that are trained on; "published": on those of all splits, as the references do
    tagger       what tells content words from others: they only shape which words are hidden
    models       of the tagger stanza; null: those that Stanza finds by itself
    """

    dataset: str
    form: Form
    file: str | None
    width: int
    seed: int
    limit: int | None
    longest: int
    counted: Literal["training", "published"]
    tagger: Tagger
    models: TaggerModels | None = None

    def __post_init__(self) -> None:
        if self.models is not None and self.tagger != "stanza":
            raise ValueError(f"models: only the tagger stanza has any, not {self.tagger}")
        if (self.form == "seeded") != (self.file is None):
            raise ValueError(f"file: form {self.form} {'has no' if self.form == 'seeded' else 'needs a'} file, got {self.file!r}")
        if self.width < 1 or self.longest < 1 or (self.limit is not None and self.limit < 1):
            raise ValueError("width, longest and limit must be at least 1")
