"""Feature stores: one ragged array per published feature, mapped from whole-row Zarr chunks.

    store = FeatureStore.open(Path("clip.zarr"))
    store.rows("AO8RW")                    (T, D) of one item, as published
    store.batch(["AO8RW", "Y6R7T"])        (B, T, D) zero padded, (B, T) bool mask: True = real row

The face of stages/features/ for the other folders: layout, section 3, lets them import this module only.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.features import zarr_format
from stages.features.info import SCHEMA_VERSION, StoreError, StoreInfo
from stages.features.settings import Feature
from stages.features.writer import ChunkFiles, PartialFolder, StoreDraft, StoreWriter
from stages.features.zarr_format import Values

__all__ = [
    "SCHEMA_VERSION",
    "ChunkFiles",
    "Feature",
    "FeatureStore",
    "PartialFolder",
    "StoreDraft",
    "StoreError",
    "StoreInfo",
    "StoreWriter",
    "Values",
]

# Stores whose checksums this process has read: digest of the attributes, and size, time and inode of every chunk file.
# Kept in the process only: a note on disk would go on vouching for chunks that have rotted since.
_verified: set[tuple[str, tuple[tuple[int, int, int], ...]]] = set()


class FeatureStore:
    """A complete store, read-only. Opening costs milliseconds; nothing but the index is read until rows are asked for.

    Pickling sends the path only; the receiving process maps the files itself and does not repeat the checksums.
    """

    def __init__(self, path: Path, info: StoreInfo, values: Values, mark: str) -> None:
        self.path, self.info, self.values, self.mark = path, info, values, mark
        self.ids: list[str] = zarr_format.read_ids(path / "ids", info.items)
        self.offsets: NDArray[np.int64] = zarr_format.read_vector(path / "offsets", "int64", info.items + 1)
        self.row_norms: NDArray[np.float32] = zarr_format.read_vector(path / "row_norms", "float32", info.rows)
        if self.offsets[0] != 0 or self.offsets[-1] != info.rows or (np.diff(self.offsets) < 1).any():
            raise StoreError(f"{path}: offsets do not run from 0 to {info.rows} in steps of at least 1; {zarr_format.REBUILD}")
        self._maps: dict[int, mmap.mmap] = {}
        self._chunks: dict[int, NDArray[Any]] = {}  # the same, as (rows_per_chunk, D)

    @classmethod
    def open(cls, path: Path | str, verify: bool = True) -> Self:
        """Open the store at `path`; with `verify`, read all checksums, once per process and store.

        Raises StoreError: no store, incomplete, damaged, of another version, an archive copy.
        """
        path = Path(path)
        document = zarr_format.read_document(path)
        try:
            info = StoreInfo.of_attributes(document.get("attributes", {}))
        except StoreError as error:
            raise StoreError(f"{path}: {error}") from None
        values = zarr_format.read_values(path / "values")
        if (values.rows, values.width, values.dtype) != (info.rows, info.width, info.dtype):
            raise StoreError(f"{path}: attributes and values disagree about rows, width or dtype; {zarr_format.REBUILD}")
        mark = hashlib.sha256((path / "zarr.json").read_bytes()).hexdigest()
        known = (mark, tuple(zarr_format.check_sizes(values)))
        if verify and known not in _verified:
            zarr_format.check_checksums(values)
            _verified.add(known)
        return cls(path, info, values, mark)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (self.path.absolute(), self.mark)

    def __repr__(self) -> str:
        size = f"{len(self.ids)} items, {self.info.rows} rows of {self.info.width} {self.info.dtype}"
        return f"FeatureStore({str(self.path)!r}: {size})"

    def __contains__(self, item: object) -> bool:
        return item in self._positions

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {item: position for position, item in enumerate(self.ids)}

    def index(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Positions of the ids in `self.ids`. Raises StoreError listing how many are not there, and the first of them."""
        try:
            return np.fromiter((self._positions[item] for item in ids), np.int64, len(ids))
        except KeyError:
            missing = sorted({item for item in ids if item not in self._positions})
        shown = ", ".join(repr(item[:80]) for item in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise StoreError(
            f"{self.path}: {len(missing)} of {len(set(ids))} ids are not in the store ({shown}); "
            "they had no file when it was consolidated (missing: drop), or it was made for other samples"
        )

    def lengths(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Rows of each item, (B,)."""
        positions = self.index(ids)
        return self.offsets[positions + 1] - self.offsets[positions]

    def rows(self, item: str) -> NDArray[Any]:
        """(T, D) of one item, read-only: a view of the mapped file, or a copy where the item lies across two chunks."""
        (position,) = self.index([item])
        return self.span(int(self.offsets[position]), int(self.offsets[position + 1]))

    def span(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop of the whole store, read-only."""
        pieces = [self._chunk(chunk)[first : first + count] for chunk, first, count in self.values.pieces(start, stop)]
        if len(pieces) == 1:
            return pieces[0]
        joined = np.concatenate(pieces) if pieces else np.empty((0, self.values.width), self.values.dtype)
        joined.flags.writeable = False
        return joined

    def copy_span(self, start: int, out: NDArray[Any]) -> None:
        """Rows start..start+len(out) of the whole store into `out` (T, D)."""
        at = 0
        for chunk, first, count in self.values.pieces(start, start + len(out)):
            out[at : at + count] = self._chunk(chunk)[first : first + count]
            at += count

    def read_ahead(self, spans: Sequence[tuple[int, int]]) -> None:
        """Ask the system for (first row, rows) spans that will be read next, so that a cold disk works on all of them at once."""
        for start, rows in spans:
            for chunk, first, count in self.values.pieces(start, start + rows):
                self._chunk(chunk)
                begin = first * self.values.row_bytes // mmap.PAGESIZE * mmap.PAGESIZE
                length = (first + count) * self.values.row_bytes - begin
                self._maps[chunk].madvise(mmap.MADV_WILLNEED, begin, length)

    def unmap(self) -> None:
        """Give the maps back: what they held no longer counts as memory of this process. They return when next needed."""
        self._chunks.clear()
        self._maps.clear()

    def batch(self, ids: Sequence[str], out: NDArray[Any] | None = None) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """(B, T, D) values as published, zero on padding, and (B, T) mask, True = real row; T is the longest of the batch.

        `out` (at least (B, T, D), of the store's dtype) is used instead of new memory; the values are then a view of it.
        """
        positions = self.index(ids)
        lengths = self.offsets[positions + 1] - self.offsets[positions]
        shape = (len(positions), int(lengths.max(initial=0)), self.info.width)
        if out is None:
            values = np.zeros(shape, self.values.dtype)
        elif (
            out.dtype != self.values.dtype
            or out.ndim != 3
            or any(have < need for have, need in zip(out.shape, shape, strict=True))
        ):
            raise StoreError(f"{self.path}: out is {out.shape} of {out.dtype}, expected at least {shape} of {self.values.dtype}")
        else:
            values = out[tuple(map(slice, shape))]
        for row, (position, length) in enumerate(zip(positions, lengths, strict=True)):
            self.copy_span(int(self.offsets[position]), values[row, :length])
            values[row, length:] = 0
        return values, np.arange(shape[1]) < lengths[:, None]

    def _chunk(self, chunk: int) -> NDArray[Any]:
        """(rows_per_chunk, D) of one chunk file, mapped at first use."""
        if chunk not in self._chunks:
            with self.values.path(chunk).open("rb") as file:
                self._maps[chunk] = mmap.mmap(file.fileno(), self.values.chunk_bytes, access=mmap.ACCESS_READ)
            flat = np.frombuffer(self._maps[chunk], np.dtype(self.values.dtype).newbyteorder("<"))
            self._chunks[chunk] = flat.reshape(self.values.rows_per_chunk, self.values.width)
        return self._chunks[chunk]


def _reopen(path: Path, mark: str) -> FeatureStore:
    store = FeatureStore.open(path, verify=False)
    if store.mark != mark:
        raise StoreError(f"{path}: the store was replaced while a worker process was starting; start again")
    return store
