"""The bytes of a feature store: Zarr v3 documents, whole-row chunks, checksums. The only file that knows them.

    zarr.json                    group; attributes = StoreInfo. Written last: without it there is no store
    values/c/<n>/0               (rows_per_chunk, D) little-endian rows, then crc32c of them in 4 bytes
    row_norms/c/0   offsets/c/0  (N,) float32, (V+1,) int64, one chunk each, then crc32c
    ids/c/0                      (V,) strings in the vlen-utf8 encoding, then crc32c

The documents are written by hand: they are short, the bytes must not depend on the version of a library, and neither readers nor
writers then wait for the import of one. The tests read every array back with zarr-python.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from stages.features.info import StoreError

CHUNK_BYTES = 64_000_000  # at most, unless a single row is larger
CHECKSUM_BYTES = 4
CHECK_BLOCK = 8_000_000
DTYPES = ("float16", "float32", "float64")
CODECS: list[dict[str, Any]] = [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}]
STRING_CODECS: list[dict[str, Any]] = [{"name": "vlen-utf8"}, {"name": "crc32c"}]


@dataclass(frozen=True)
class Values:
    """Geometry of the array `values`, and where its chunks lie.

    The rows are spread evenly over the smallest number of chunks of at most CHUNK_BYTES, so the last chunk is padded by fewer
    rows than there are chunks (with chunks of a fixed size the padding measured 7 to 30 %).
    """

    folder: Path
    rows: int
    width: int
    dtype: str
    rows_per_chunk: int

    @classmethod
    def planned(cls, folder: Path, rows: int, width: int, dtype: str) -> Values:
        """The geometry that a store of this size always gets."""
        row_bytes = width * np.dtype(dtype).itemsize
        chunks = math.ceil(rows / max(1, CHUNK_BYTES // row_bytes))
        return cls(folder, rows, width, dtype, math.ceil(rows / chunks))

    @property
    def row_bytes(self) -> int:
        """Of one row."""
        return self.width * np.dtype(self.dtype).itemsize

    @property
    def chunk_bytes(self) -> int:
        """Of one chunk, without its checksum."""
        return self.rows_per_chunk * self.row_bytes

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return math.ceil(self.rows / self.rows_per_chunk)

    def path(self, chunk: int) -> Path:
        """File of one chunk."""
        return self.folder / "c" / str(chunk) / "0"

    def rows_in(self, chunk: int) -> int:
        """Rows of a chunk that are not padding."""
        return min(self.rows_per_chunk, self.rows - chunk * self.rows_per_chunk)

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """(chunk, first row in it, rows) that together are rows start..stop."""
        while start < stop:
            chunk, first = divmod(start, self.rows_per_chunk)
            count = min(stop - start, self.rows_per_chunk - first)
            yield chunk, first, count
            start += count

    def document(self) -> dict[str, Any]:
        """The content of values/zarr.json."""
        return _array_document(
            (self.rows, self.width), (self.rows_per_chunk, self.width), self.dtype, ("row", "channel"), fill=0.0
        )


def read_values(folder: Path) -> Values:
    """Geometry from values/zarr.json. Raises StoreError if the array is of another form than this module writes."""
    document = read_document(folder)
    try:
        (rows, width), dtype = document["shape"], document["data_type"]
        (per_chunk, chunk_width) = document["chunk_grid"]["configuration"]["chunk_shape"]
        plain = document["codecs"] == CODECS and document["chunk_key_encoding"] == _KEYS and dtype in DTYPES
    except (KeyError, TypeError, ValueError):
        plain, rows, width, per_chunk, chunk_width, dtype = False, 0, 0, 0, 0, ""
    plain = plain and all(type(size) is int for size in (rows, width, per_chunk))
    if not plain or chunk_width != width or min(rows, width, per_chunk) < 1:
        raise StoreError(
            f"{folder}: expected uncompressed, unsharded chunks of whole rows with crc32c, found another layout "
            "(a copy made with `archive: true` has to be unpacked by the consolidate stage first)"
        )
    return Values(folder, rows, width, dtype, per_chunk)


def check_sizes(values: Values) -> list[tuple[int, int, int]]:
    """(bytes, modification time, inode) of every chunk file. Raises StoreError if one is missing or of the wrong size."""
    marks = []
    for chunk in range(values.chunks):
        path = values.path(chunk)
        try:
            status = path.stat()
        except FileNotFoundError:
            raise StoreError(f"{path}: chunk {chunk} of {values.chunks} is missing; {REBUILD}") from None
        if status.st_size != values.chunk_bytes + CHECKSUM_BYTES:
            raise StoreError(f"{path}: {status.st_size} bytes, expected {values.chunk_bytes + CHECKSUM_BYTES}; {REBUILD}")
        marks.append((status.st_size, status.st_mtime_ns, status.st_ino))
    return marks


def check_checksums(values: Values) -> None:
    """Read every chunk once, block by block. Raises StoreError that names the first damaged one."""
    buffer = np.empty(min(CHECK_BLOCK, values.chunk_bytes), np.uint8)
    for chunk in range(values.chunks):
        crc, left = 0, values.chunk_bytes
        with values.path(chunk).open("rb", buffering=0) as file:
            while left and (count := file.readinto(buffer[: min(left, len(buffer))].data)):
                crc = google_crc32c.extend(crc, buffer[:count])
                left -= count
            stored = file.read(CHECKSUM_BYTES)
        if left or stored != struct.pack("<I", crc):
            raise StoreError(f"{values.path(chunk)}: the checksum differs, the chunk is damaged; {REBUILD}")


REBUILD = "delete the store and run the consolidate stage again"
_KEYS = {"name": "default", "configuration": {"separator": "/"}}


def read_document(folder: Path) -> dict[str, Any]:
    """The zarr.json of a group or array. Raises StoreError if it is missing or no JSON object."""
    path = folder / "zarr.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise StoreError(f"{folder}: no zarr.json, so this is no complete store; run the consolidate stage") from None
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: not valid JSON ({error}); {REBUILD}") from None
    if not isinstance(document, dict):
        raise StoreError(f"{path}: expected an object, found {type(document).__name__}; {REBUILD}")
    return document


def write_document(folder: Path, document: dict[str, Any]) -> None:
    """Write zarr.json: the same bytes for the same document."""
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (folder / "zarr.json").write_text(text + "\n", encoding="utf-8")


def group_document(attributes: dict[str, Any]) -> dict[str, Any]:
    """The content of the store's own zarr.json."""
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def write_vector(folder: Path, vector: NDArray[Any], dimension: str) -> None:
    """A one-dimensional array in one chunk."""
    dtype = vector.dtype.name
    data = np.ascontiguousarray(vector, vector.dtype.newbyteorder("<"))
    _write_single(folder, data.tobytes())
    fill = 0 if vector.dtype.kind == "i" else 0.0
    write_document(folder, _array_document(vector.shape, (max(1, len(vector)),), dtype, (dimension,), fill=fill))


def read_vector(folder: Path, dtype: str, count: int) -> NDArray[Any]:
    """What write_vector wrote. Raises StoreError if type, length or checksum differ."""
    _expect(folder, dtype, count)
    data = _read_single(folder)
    if len(data) != count * np.dtype(dtype).itemsize:
        raise StoreError(f"{folder}: {len(data)} bytes, expected {count} values of {dtype}; {REBUILD}")
    return np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))


def write_ids(folder: Path, ids: Sequence[str]) -> None:
    """Strings in Zarr's vlen-utf8 encoding: count, then length and bytes of each, all counts as 4 bytes."""
    encoded = [text.encode() for text in ids]
    body = b"".join(part for text in encoded for part in (struct.pack("<I", len(text)), text))
    _write_single(folder, struct.pack("<I", len(ids)) + body)
    write_document(folder, _array_document((len(ids),), (max(1, len(ids)),), "string", ("item",), fill="", codecs=STRING_CODECS))


def read_ids(folder: Path, count: int) -> list[str]:
    """What write_ids wrote. Raises StoreError if it is damaged."""
    _expect(folder, "string", count)
    data = _read_single(folder)
    try:
        (stored,), at, ids = struct.unpack_from("<I", data), 4, []
        for _ in range(stored):
            (length,) = struct.unpack_from("<I", data, at)
            at += 4 + length
            ids.append(data[at - length : at].decode())
    except (struct.error, UnicodeDecodeError):
        stored = -1
    if stored != count or at != len(data):
        raise StoreError(f"{folder}: not the {count} ids that the attributes state; {REBUILD}")
    return ids


def _expect(folder: Path, dtype: str, count: int) -> None:
    document = read_document(folder)
    if document.get("shape") != [count] or document.get("data_type") != dtype:
        found = f"{document.get('shape')} of {document.get('data_type')}"
        raise StoreError(f"{folder}: expected [{count}] of {dtype}, found {found}; {REBUILD}")


def _write_single(folder: Path, data: bytes) -> None:
    (folder / "c").mkdir(parents=True)
    (folder / "c" / "0").write_bytes(data + struct.pack("<I", google_crc32c.value(data)))


def _read_single(folder: Path) -> bytes:
    path = folder / "c" / "0"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"{path}: missing; {REBUILD}") from None
    data, stored = content[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if stored != struct.pack("<I", google_crc32c.value(data)):
        raise StoreError(f"{path}: the checksum differs, the file is damaged; {REBUILD}")
    return data


def _array_document(
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    dtype: str,
    dimensions: tuple[str, ...],
    *,
    fill: float | str,
    codecs: Sequence[dict[str, Any]] = CODECS,
) -> dict[str, Any]:
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(shape),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": _KEYS,
        "fill_value": fill,
        "codecs": list(codecs),
        "dimension_names": list(dimensions),
        "storage_transformers": [],
        "attributes": {},
    }
