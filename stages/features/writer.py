"""Writing a feature store: rows placed anywhere in the chunk files, sealed with norms and checksums, renamed into place.

The bytes depend on ids and rows alone: chunk geometry follows from the number of rows, and norms and checksums are computed per
chunk after all its rows are there, whoever placed them in which order.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from stages.features import zarr_format
from stages.features.info import StoreError, StoreInfo
from stages.features.zarr_format import DTYPES, Values

NORM_ROWS = 64  # rows converted to float64 at a time
SEAL_BYTES = 1_000_000  # read, summed and checksummed at a time
COPY_ROWS_BYTES = 8_000_000
MOST_OPEN = 256  # chunk files at a time; systems allow about a thousand


class StoreDraft:
    """A store in the making, beside its place: `<parent>/.<name>.partial`, locked; what a dead writer left is removed.

    First every row is placed (`ChunkFiles`; any order, any process), then chunks are sealed, then `finish`.
    Leaving the `with` block without `finish` removes everything.
    """

    def __init__(self, path: Path, ids: Sequence[str], lengths: Sequence[int], width: int, dtype: str) -> None:
        if not ids:
            raise StoreError(f"{path}: a store needs at least one item")
        check_ids(ids)
        if len(lengths) != len(ids) or min(lengths) < 1:
            raise StoreError(f"{path}: expected a length of at least 1 for each of {len(ids)} ids")
        if dtype not in DTYPES or width < 1:
            raise StoreError(f"{path}: expected one of {', '.join(DTYPES)} and a width, got {dtype!r} and {width}")
        self.path = path
        self.ids = list(ids)
        self.offsets = np.concatenate([[0], np.cumsum(np.asarray(lengths, np.int64))])
        self._partial = PartialFolder(path)
        self.values = Values.planned(self._partial.path / "values", int(self.offsets[-1]), width, dtype)
        need, free = self.values.chunks * self.values.chunk_bytes, shutil.disk_usage(self._partial.path).free
        if need > free:
            self._partial.discard()
            raise StoreError(
                f"{path}: needs {need / 1e6:.0f} MB, {free / 1e6:.0f} MB are free on this disk; make room and repeat"
            )
        for chunk in range(self.values.chunks):
            self.values.path(chunk).parent.mkdir(parents=True)
            with self.values.path(chunk).open("wb") as file:
                file.truncate(self.values.chunk_bytes)
        self._norms: list[NDArray[np.float32]] = []  # of the chunks sealed so far

    def seal_up_to(self, row: int, *, zero_non_finite: bool = False) -> dict[int, int]:
        """Seal every chunk whose rows all lie before `row`: norms and checksum. Returns row -> number of NaN and Inf in it."""
        values = self.values
        non_finite: dict[int, int] = {}
        while (
            len(self._norms) < values.chunks
            and len(self._norms) * values.rows_per_chunk + values.rows_in(len(self._norms)) <= row
        ):
            norms, wrong = seal(values, len(self._norms), zero_non_finite=zero_non_finite)
            self._norms.append(norms)
            non_finite |= wrong
        return non_finite

    def item_of_row(self, row: int) -> tuple[str, int]:
        """(id, row inside the item) of a row of the whole store."""
        position = int(np.searchsorted(self.offsets, row, side="right")) - 1
        return self.ids[position], row - int(self.offsets[position])

    def finish(self, info: StoreInfo) -> StoreInfo:
        """Write the index and the attributes, check the sizes, rename into place. Returns `info` with the counts filled in."""
        self.seal_up_to(self.values.rows)
        folder = self._partial.path
        norms = np.concatenate(self._norms)
        zarr_format.write_document(self.values.folder, self.values.document())
        zarr_format.write_vector(folder / "row_norms", norms, "row")
        zarr_format.write_vector(folder / "offsets", self.offsets, "item_boundary")
        zarr_format.write_ids(folder / "ids", self.ids)
        zarr_format.check_sizes(self.values)
        info = replace(info, items=len(self.ids), rows=self.values.rows, width=self.values.width, dtype=self.values.dtype)
        zarr_format.write_document(folder, zarr_format.group_document(info.attributes()))
        self._partial.publish()
        return info

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._partial.discard()


class StoreWriter:
    """Rows of items as they come, in id order, in constant memory: spooled to a scratch file, then cut into chunks.

    with StoreWriter(path) as writer:
        for name, rows in items: writer.add(name, rows)          # rows (T, D) of a float type, the same D and type for all
        writer.finish(StoreInfo(dataset="demo", feature="clip", kind="clip"))
    """

    def __init__(self, path: Path, *, width: int | None = None, dtype: str | None = None) -> None:
        self.path = path
        self._width, self._dtype = width, dtype
        self._ids: list[str] = []
        self._lengths: list[int] = []
        # Beside the draft's folder, not inside: the draft is made once the number of rows is known.
        self._spool_folder = PartialFolder(path.with_name(f"{path.name}.rows"))
        self._spool: IO[bytes] = (self._spool_folder.path / "rows").open("w+b")

    def add(self, item: str, rows: NDArray[Any]) -> None:
        """Append one item. Raises StoreError: ids out of order, other width or type, no rows."""
        rows = np.asarray(rows)
        if self._ids and item <= self._ids[-1]:
            raise StoreError(
                f"{self.path}: id {item!r} after {self._ids[-1]!r}: ids must come once each, sorted by their utf-8 bytes"
            )
        check_ids([item])
        if rows.ndim != 2 or rows.shape[0] < 1:
            raise StoreError(f"{self.path}: {item!r}: expected rows (T >= 1, D), got shape {rows.shape}")
        self._width = self._width or rows.shape[1]
        self._dtype = self._dtype or rows.dtype.name
        if rows.shape[1] != self._width or rows.dtype.name != self._dtype:
            found = f"width {rows.shape[1]} of {rows.dtype.name}"
            raise StoreError(f"{self.path}: {item!r}: {found}, the items before have {self._width} of {self._dtype}")
        self._spool.write(np.ascontiguousarray(rows, rows.dtype.newbyteorder("<")).data)
        self._ids.append(item)
        self._lengths.append(rows.shape[0])

    def finish(self, info: StoreInfo) -> StoreInfo:
        """Make the store appear. Returns `info` with the counts filled in."""
        if not self._ids or self._width is None or self._dtype is None:
            raise StoreError(f"{self.path}: a store needs at least one item")
        with StoreDraft(self.path, self._ids, self._lengths, self._width, self._dtype) as draft:
            self._spool.seek(0)
            step = max(1, COPY_ROWS_BYTES // draft.values.row_bytes)
            with ChunkFiles(draft.values) as chunks:
                for row in range(0, draft.values.rows, step):
                    chunks.place(row, self._spool.read(step * draft.values.row_bytes))
            self._discard_spool()
            return draft.finish(info)

    def _discard_spool(self) -> None:
        self._spool.close()
        self._spool_folder.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._discard_spool()


class ChunkFiles:
    """Open chunk files of a draft, for placing rows by position. Every process that places rows has its own."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._open: dict[int, int] = {}

    def place(self, row: int, data: bytes | memoryview) -> None:
        """Write whole rows, given as bytes, from row `row` of the store on."""
        values, view = self._values, memoryview(data).cast("B")
        for chunk, first, count in values.pieces(row, row + len(view) // values.row_bytes):
            if chunk not in self._open:
                if len(self._open) == MOST_OPEN:
                    os.close(self._open.pop(next(iter(self._open))))
                self._open[chunk] = os.open(values.path(chunk), os.O_WRONLY | os.O_CLOEXEC)
            piece, at = view[: count * values.row_bytes], first * values.row_bytes
            view = view[len(piece) :]
            while piece:
                written = os.pwrite(self._open[chunk], piece, at)
                piece, at = piece[written:], at + written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)


def seal(values: Values, chunk: int, *, zero_non_finite: bool = False) -> tuple[NDArray[np.float32], dict[int, int]]:
    """Append the checksum of a chunk whose rows are all placed. Returns the norms of its rows, and row -> number of NaN and Inf.

    Rows are numbered as in the whole store; with `zero_non_finite` their NaN and Inf are set to 0 first. Norms are summed in
    float64, so that rounding to float32 hides the order in which an instruction set adds.
    """
    norms = np.empty(values.rows_in(chunk), np.float32)
    non_finite: dict[int, int] = {}
    crc, step = 0, max(1, SEAL_BYTES // values.row_bytes)
    buffer = np.empty((step, values.width), np.dtype(values.dtype).newbyteorder("<"))
    with values.path(chunk).open("r+b", buffering=0) as file:
        for start in range(0, values.rows_per_chunk, step):
            rows = buffer[: min(step, values.rows_per_chunk - start)]
            _read_rows(file, rows)
            real = rows[: max(0, len(norms) - start)]  # behind them lies padding
            norms[start : start + len(real)] = _norms(real)
            for row in np.flatnonzero(~np.isfinite(norms[start : start + len(real)])):
                wrong = ~np.isfinite(real[row])
                if wrong.any():  # else only the norm is beyond float32: absurd, but as published
                    non_finite[chunk * values.rows_per_chunk + start + int(row)] = int(wrong.sum())
                    if zero_non_finite:
                        real[row, wrong] = 0
                        norms[start + row] = _norms(real[row : row + 1])[0]
                        os.pwrite(file.fileno(), real[row].data, (start + int(row)) * values.row_bytes)
            crc = google_crc32c.extend(crc, rows.view(np.uint8))
        file.write(struct.pack("<I", crc))
    return norms, non_finite


def _read_rows(file: IO[bytes], rows: NDArray[Any]) -> None:
    view = rows.data.cast("B")
    while view:
        count: int = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise StoreError(f"{file.name}: ends early while it is written; is somebody else writing here?")
        view = view[count:]


def _norms(rows: NDArray[Any]) -> NDArray[np.float32]:
    """(T,) L2 norms; sums in float64, in blocks that stay in the processor's cache."""
    import torch  # reads float16 ten times as fast as NumPy does; imported here because only writers need it

    norms = np.empty(len(rows), np.float64)
    wide = torch.empty(NORM_ROWS, rows.shape[1]) if rows.dtype == np.float16 else None  # one piece of memory for all blocks
    for start in range(0, len(rows), NORM_ROWS):
        block = torch.from_numpy(rows[start : start + NORM_ROWS])
        if wide is not None:
            block = wide[: len(block)].copy_(block)
        torch.linalg.vector_norm(block, dim=1, dtype=torch.float64, out=torch.from_numpy(norms[start : start + NORM_ROWS]))
    with np.errstate(over="ignore"):
        return norms.astype(np.float32)


def check_ids(ids: Sequence[str]) -> None:
    """Raises StoreError unless the ids are non-empty text that UTF-8 can hold, each once, in the order of their bytes."""
    for position, item in enumerate(ids):
        if not item or not _encodable(item):
            raise StoreError(f"id {item!r}: expected non-empty text that UTF-8 can hold")
        if position and item <= ids[position - 1]:  # the order of code points is the order of the utf-8 bytes
            raise StoreError(f"id {item!r} after {ids[position - 1]!r}: ids must be unique and sorted by their utf-8 bytes")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class PartialFolder:
    """A locked folder `.<name>.partial` beside `path`; becomes `path` by `publish`, or vanishes.

    The lock (flock) dies with its process, so what a killed writer left is known from what a live one is writing.
    """

    def __init__(self, path: Path) -> None:
        self._target = path
        self.path = path.with_name(f".{path.name}.partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            os.close(self._locked())  # raises if somebody alive is writing
            shutil.rmtree(self.path)
        self.path.mkdir()
        self._lock: int | None = self._locked()

    def _locked(self) -> int:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreError(f"{self._target}: another process is writing this store; wait for it or end it") from None
        return descriptor

    def publish(self) -> None:
        """Rename into place; an older store there is moved aside first and removed."""
        old = self._target.with_name(f".{self._target.name}.old.partial")
        shutil.rmtree(old, ignore_errors=True)
        if self._target.exists():
            self._target.rename(old)
        self.path.rename(self._target)
        self._release()
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Remove the folder, unless it was published."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None
