"""Arrays of many items -> one store: find every item's place, read the files slice by slice, copy the rows there, seal.

Memory holds the ids, the lengths and one slice, however large the files are. Aligned question features are read twice: how long
they are is only known from where their zero rows begin.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.consolidation.array_files import ArrayFile, RegionFolder, Sizes, opened
from stages.consolidation.faults import ConsolidationError, Fault, FaultError, Faults
from stages.consolidation.sources import Folder, compare_with_manifest, open_files, open_source
from stages.features.store import ChunkFiles, Feature, StoreDraft, StoreInfo

Rows = Mapping[str, Sequence[Sequence[str]]]  # split -> for every row of its table, the ids of its texts


@dataclass(frozen=True)
class Annotations:
    """What the annotations say about the items of a feature: their ids; ids by row of the tables; (width, height) of videos."""

    wanted: Sequence[str]
    rows: Rows = field(default_factory=dict)
    sizes: Sizes = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One file, with its split if it is aligned with a table; or a folder of files, with the name of each video's."""

    path: Path
    name: str
    split: str | None = None
    videos: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """Item -> number of rows, over all files; the items of every entry, file by file; types; what is left out."""

    lengths: dict[str, int] = field(default_factory=dict)
    holders: list[list[tuple[str | None, ...]]] = field(default_factory=list)
    dtypes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    empty: set[str] = field(default_factory=set)


def build_arrays(
    path: Path,
    feature: Feature,
    raw: Path,
    annotations: Annotations,
    info: StoreInfo,
    *,
    listed: Mapping[str, int] | None = None,
) -> StoreInfo:
    """Make the store at `path` from the arrays that `feature` names below `raw`; as `build.build` in every other respect.

    Raises ConsolidationError with the faults of all files. Then there is no new store.
    """
    faults = Faults()
    parts: list[Part] = []
    try:
        parts = _parts(raw, feature, annotations, faults)
        if listed is not None:
            source = open_source(raw, feature.files) if feature.format == "npz" else [part.path for part in parts]
            compare_with_manifest(source, raw, feature.pattern, listed, faults)
    except FaultError as error:
        faults.add(error.at(feature.files))
    found = _survey(parts, feature, annotations, faults)
    if not faults and found.lengths:
        info = _fill(path, feature, parts, found, annotations, info, faults)
    if not found.lengths and not faults:
        faults.add(Fault("nothing", feature.files, "no entry of an id that a sample has"))
    if faults:
        raise ConsolidationError(faults.text(info.feature))
    return info


def _parts(raw: Path, feature: Feature, annotations: Annotations, faults: Faults) -> list[Part]:
    """The files, in the order of their names or splits."""
    if feature.aligned:
        parts = []
        for split in sorted(annotations.rows):
            path = raw / feature.files.replace("{split}", split)
            if path.is_file():
                parts.append(Part(path, path.name, split))
            elif feature.missing == "error":
                faults.add(Fault("missing", path.name, f"the file of split {split!r}"))
        return parts
    if feature.format == "npz":
        folder = open_source(raw, feature.files)
        if not isinstance(folder, Folder):
            raise FaultError("nothing", "expected a folder with one npz per video: unpack the archive")
        return [Part(folder.path, folder.path.name, videos=_names(raw, folder, feature, annotations))]
    return [Part(path, path.name) for path in open_files(raw, feature.files)]


@contextmanager
def _opened(part: Part, feature: Feature, annotations: Annotations) -> Iterator[ArrayFile]:
    if part.path.is_dir():
        yield RegionFolder(part.path, part.videos, feature, annotations.sizes)
    else:
        with opened(part.path, part.name, feature, annotations.sizes) as file:
            yield file


def _names(raw: Path, folder: Folder, feature: Feature, annotations: Annotations) -> dict[str, str]:
    """Wanted video -> name of its npz, of those that are there."""
    mapping = {video: f"{feature.prefix}{video}" for video in annotations.wanted}
    if feature.names is not None:
        try:
            mapping = json.loads((raw / feature.names).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FaultError("unreadable", f"{feature.names}: {error}") from None
        if not isinstance(mapping, dict) or not all(isinstance(name, str) for name in mapping.values()):
            raise FaultError("unreadable", f"{feature.names}: expected video id -> name of its file")
    files = set(folder.names)
    there = {video: mapping[video] for video in annotations.wanted if f"{mapping.get(video)}.npz" in files}
    if not there:
        raise FaultError("nothing", "no npz file of a video that a sample has")
    return there


def _survey(parts: Sequence[Part], feature: Feature, annotations: Annotations, faults: Faults) -> Found:
    found = Found()
    wanted = frozenset(annotations.wanted)
    extra: list[str] = []
    for part in parts:
        found.holders.append([])
        try:
            with _opened(part, feature, annotations) as file:
                found.dtypes.append(file.dtype)
                if feature.aligned:
                    _survey_rows(file, annotations.rows[str(part.split)], feature, found, faults)
                else:
                    _survey_ids(file, wanted, feature, found, extra, faults)
        except FaultError as error:
            faults.add(error.at(part.name))
    if len(types := set(found.dtypes)) > 1 and feature.dtype == "keep":
        faults.add(Fault("dtype", feature.files, f"files of {' and '.join(sorted(types))}"))
    if feature.extra == "error":
        faults.extend(Fault("extra", item) for item in sorted(extra))
    found.counts["extra"] = 0 if feature.extra == "store" else len(extra)
    missing = sorted(wanted - found.lengths.keys() - found.empty)
    found.counts |= {"missing": len(missing), "empty": len(found.empty)}
    if feature.missing == "error" and not faults:  # else most of them follow from those faults
        faults.extend(Fault("missing", item) for item in missing)
    return found


def _survey_ids(
    file: ArrayFile, wanted: frozenset[str], feature: Feature, found: Found, extra: list[str], faults: Faults
) -> None:
    for item in file.ids:
        known = item in wanted
        if not known:
            extra.append(item)
        if item in found.lengths:
            faults.add(Fault("twice", file.name, f"id {item!r}"))
        stored = known or feature.extra == "store"
        found.holders[-1].append((item if stored else None,))
        if stored:
            found.lengths[item] = file.shape[2]


def _survey_rows(file: ArrayFile, rows: Sequence[Sequence[str]], feature: Feature, found: Found, faults: Faults) -> None:
    """Lengths of aligned texts, by reading all of them."""
    if file.shape[0] != len(rows):
        raise FaultError("shape", f"{file.shape[0]} rows, the table has {len(rows)}: is it the file of this split and edition?")
    for start, values in _slices(file, f"  lengths of {file.name}"):
        real = (values != 0).any(axis=3)  # (entries, parts, rows)
        lengths = np.where(real.any(axis=2), values.shape[2] - np.argmax(real[:, :, ::-1], axis=2), 0)
        found.counts["zero_rows_inside"] += int(lengths.sum() - real.sum())
        for number, counts in enumerate(lengths.tolist()):
            items = rows[start + number]
            if len(items) != len(counts):
                raise FaultError("shape", f"{len(counts)} texts per row, but {items[0]!r} has {len(items)}")
            found.holders[-1].append(tuple(items))
            for item, count in zip(items, counts, strict=True):
                if count:
                    found.lengths[item] = count
                elif feature.empty == "error":
                    faults.add(Fault("empty", file.name, f"{item!r}: zeros only"))
                else:
                    found.empty.add(item)


def _slices(file: ArrayFile, title: str) -> Iterator[tuple[int, NDArray[Any]]]:
    """(first entry, entries) of a whole file, block by block."""
    with tqdm(total=file.shape[0], desc=title, unit="entry", leave=False, mininterval=0.5) as bar:
        for start in range(0, file.shape[0], file.step):
            stop = min(start + file.step, file.shape[0])
            yield start, file.read(start, stop)
            bar.update(stop - start)


def _fill(
    path: Path, feature: Feature, parts: Sequence[Part], found: Found, annotations: Annotations, info: StoreInfo, faults: Faults
) -> StoreInfo:
    ids = sorted(found.lengths)
    dtype = found.dtypes[0] if feature.dtype == "keep" else feature.dtype
    zero = feature.non_finite == "zero"
    with StoreDraft(path, ids, [found.lengths[item] for item in ids], feature.width, dtype) as draft:
        first_rows = dict(zip(ids, draft.offsets[:-1].tolist(), strict=True))
        with ChunkFiles(draft.values) as chunks:
            for part, holders in zip(parts, found.holders, strict=True):
                try:
                    with _opened(part, feature, annotations) as file:
                        _copy(file, holders, found.lengths, first_rows, dtype, chunks)
                except FaultError as error:
                    faults.add(error.at(part.name))
        if faults:
            return info
        non_finite = draft.seal_up_to(draft.values.rows, zero_non_finite=zero)
        if non_finite and zero:
            found.counts |= {"non_finite": sum(non_finite.values()), "non_finite_rows": len(non_finite)}
        elif non_finite:
            for row, count in non_finite.items():
                item, inside = draft.item_of_row(row)
                faults.add(Fault("non-finite", item, f"row {inside}: {count} of {feature.width} values are NaN or Inf"))
            return info
        counts = dict(sorted((name, count) for name, count in found.counts.items() if count))
        return draft.finish(replace(info, quality=counts, grid=tuple(feature.grid)))


def _copy(
    file: ArrayFile,
    holders: Sequence[tuple[str | None, ...]],
    lengths: Mapping[str, int],
    first_rows: Mapping[str, int],
    dtype: str,
    chunks: ChunkFiles,
) -> None:
    little = np.dtype(dtype).newbyteorder("<")
    for start, values in _slices(file, f"  rows of {file.name}"):
        for entry, items in zip(values, holders[start : start + len(values)], strict=True):
            for rows, item in zip(entry, items, strict=True):
                if item is not None and item in lengths:
                    with np.errstate(over="ignore"):  # what overflows becomes Inf, and is found as such when sealed
                        kept = np.ascontiguousarray(rows[: lengths[item]], little)
                    chunks.place(first_rows[item], kept.data.cast("B"))
