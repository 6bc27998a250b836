"""Where the rows lie in a published feature file: npz, npy and pt, found from a few hundred bytes, without unpickling anything.

`locate` reads headers only. What it finds (an `Array`) lets `rows_of` take the rows straight out of the file's bytes, with the
checksum test that NumPy's own reader makes. Files of an unusual form (zip64, Fortran order, big-endian, old `.pt`) are left to
NumPy and torch, whole: `Array.whole`.
"""

from __future__ import annotations

import ast
import io
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stages.consolidation.faults import FaultError
from stages.consolidation.tensors import load_tensor, tensor_layout

LARGEST_FILE = 1 << 30  # bytes of one feature file, packed or unpacked
TAIL = 1024  # bytes read first from the end of a zip: index and end record of a few members
HEAD = 512  # bytes read first from a member: zip header, npy header
STORED, DEFLATED = 0, 8
FLOATS = ("float16", "float32", "float64")
CHECKSUM_DIFFERS = "the checksum of the array differs"
NPY_HEADER = 10_000  # bytes; NumPy's own limit


class Window(Protocol):
    """Random access to the bytes of one file, wherever they are."""

    size: int

    def read(self, start: int, size: int) -> bytes:
        """`size` bytes from `start` on; fewer at the end."""


class Content:
    """A window on bytes in memory."""

    def __init__(self, content: bytes) -> None:
        self.content, self.size = content, len(content)

    def read(self, start: int, size: int) -> bytes:
        """See Window."""
        return self.content[start : start + size]


@dataclass(frozen=True, slots=True)
class Array:
    """The rows of one file.

    rows, width, dtype     as stored
    start, packed          where in the file the bytes begin that hold them, and how many they are
    size                   of these bytes when unpacked; equal to `packed` unless deflated
    skip                   unpacked bytes before the first row (the npy header, or other tensors of the same storage)
    crc                    crc32 of the unpacked bytes; None where the format has none
    whole                  read by NumPy or torch from the whole file instead
    """

    rows: int
    width: int
    dtype: str
    start: int = 0
    packed: int = 0
    size: int = 0
    skip: int = 0
    crc: int | None = None
    whole: bool = False

    def direct(self, row_bytes: int) -> bool:
        """Whether the file's bytes at `start` are a header and then `row_bytes` of rows, and nothing else."""
        return not self.whole and self.packed == self.size == self.skip + row_bytes


def locate(window: Window, form: str, key: str | None) -> Array:
    """Find the rows of an npz (array `key`), npy or pt file. Raises FaultError."""
    if window.size > LARGEST_FILE:
        raise FaultError("too large", f"{window.size} bytes")
    if form == "npy":
        shape, dtype, fortran, skip = _npy_header(window.read(0, HEAD), window, 0)
        plain = not fortran and dtype in FLOATS
        return _checked(shape, dtype, Array(0, 0, dtype, 0, window.size, window.size, skip, None, not plain), exact=True)
    members = _zip_members(window)
    if members is None:
        return _located_whole(window, form, key)
    return _locate_npz(window, members, str(key)) if form == "npz" else _locate_pt(window, members)


def rows_of(array: Array, data: memoryview | bytes) -> memoryview:
    """The bytes of the rows, from the `packed` bytes at `start`. Raises FaultError if they are short or fail the checksum."""
    if len(data) != array.packed:
        raise FaultError("damaged", f"{len(data)} bytes where {array.packed} should be")
    if array.packed != array.size:
        data = _inflated(bytes(data), array.size)
    if array.crc is not None and zlib.crc32(data) != array.crc:
        raise FaultError("damaged", CHECKSUM_DIFFERS)
    count = array.rows * array.width * np.dtype(array.dtype).itemsize
    return memoryview(data)[array.skip : array.skip + count]


def load_whole(content: bytes, form: str, key: str | None) -> tuple[NDArray[Any], str]:
    """(rows (T, D), published dtype) of a file of unusual form, by NumPy or torch. Raises FaultError."""
    if form == "pt":
        return load_tensor(content)
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False) if form == "npy" else _load_npz(content, str(key))
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError, MemoryError) as error:
        raise FaultError("unreadable", f"not a readable {form} file ({error})") from None
    return np.ascontiguousarray(loaded), loaded.dtype.name


def _load_npz(content: bytes, key: str) -> NDArray[Any]:
    if content[:2] != b"PK":
        raise FaultError("unreadable", f"no npz file, it begins with {content[:12]!r}" if content else "no npz file, it is empty")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:  # the names first: an array is unpacked only once its size is known
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if key not in names:
            raise _no_key(key, names)
        if (size := archive.getinfo(f"{key}.npy").file_size) > LARGEST_FILE:
            raise FaultError("too large", f"{size} bytes unpacked")
        with archive.open(f"{key}.npy") as member:
            loaded: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            return loaded


def _located_whole(window: Window, form: str, key: str | None) -> Array:
    """Read everything to learn the shape: only for files of unusual form."""
    loaded, dtype = load_whole(window.read(0, window.size), form, key)
    return _checked(loaded.shape, dtype, Array(0, 0, "", whole=True, packed=window.size, size=window.size))


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    method: int
    crc: int
    packed: int
    size: int
    header: int


def _zip_members(window: Window) -> dict[str, _Member] | None:
    """The index of a zip; None for what the plain reading does not cover (comments, zip64, encryption, no zip at all)."""
    tail = window.read(max(0, window.size - TAIL), TAIL)
    end = tail[-22:]
    if len(end) < 22 or end[:4] != b"PK\5\6" or end[20:] != b"\0\0":
        return None
    count, size, start = struct.unpack("<HII", end[10:20])
    behind = window.size - start - size  # torch writes the zip64 end record and its locator (76 bytes) even where none is needed
    if count == 0xFFFF or not (behind == 22 or (behind == 98 and tail[-42:-38] == b"PK\6\7")):
        return None
    index = tail[-behind - size : -behind] if size + behind <= len(tail) else window.read(start, size)
    members: dict[str, _Member] = {}
    at = 0
    for _ in range(count):
        if index[at : at + 4] != b"PK\1\2" or len(index) < at + 46:
            return None
        flags, method = struct.unpack_from("<HH", index, at + 8)
        crc, packed, unpacked, name, extra, comment = struct.unpack_from("<IIIHHH", index, at + 16)
        (header,) = struct.unpack_from("<I", index, at + 42)
        if flags & 1 or 0xFFFFFFFF in (packed, unpacked, header) or method not in (STORED, DEFLATED):
            return None
        text = index[at + 46 : at + 46 + name].decode("utf-8", "surrogateescape")
        members[text] = _Member(text, method, crc, packed, unpacked, header)
        at += 46 + name + extra + comment
    return members


def _locate_npz(window: Window, members: dict[str, _Member], key: str) -> Array:
    member = members.get(f"{key}.npy")
    if member is None:
        raise _no_key(key, [name.removesuffix(".npy") for name in members])
    start, head = _data_start(window, member)
    if member.method == DEFLATED:
        head = _inflated_head(head if len(head) >= member.packed else window.read(start, min(member.packed, HEAD)))
    shape, dtype, fortran, skip = _npy_header(head, window if member.method == STORED else None, start)
    if fortran or dtype not in FLOATS:
        return _checked(shape, dtype, Array(0, 0, "", packed=window.size, size=window.size, whole=True))
    array = Array(0, 0, "", start, member.packed, member.size, skip, member.crc)
    return _checked(shape, dtype, array, exact=True)


def _locate_pt(window: Window, members: dict[str, _Member]) -> Array:
    """A bare contiguous tensor whose pickle is recognised as a text; everything else goes to torch.load(weights_only=True)."""
    program = next((member for name, member in members.items() if name.endswith("/data.pkl") and name.count("/") == 1), None)
    if program is not None and program.method == STORED and program.packed <= TAIL:
        start, head = _data_start(window, program)
        text = head[: program.packed] if len(head) >= program.packed else window.read(start, program.packed)
        layout = tensor_layout(text)
        folder = program.name.removesuffix("data.pkl")
        data = members.get(f"{folder}data/{layout.record}") if layout else None
        little = members.get(f"{folder}byteorder")
        if layout and data and data.method == STORED and (little is None or little.crc == zlib.crc32(b"little")):
            itemsize = np.dtype(layout.dtype).itemsize
            if data.size == layout.storage * itemsize and layout.offset + math.prod(layout.shape) <= layout.storage:
                at, _ = _data_start(window, data)
                skip = layout.offset * itemsize
                crc = data.crc if program.crc else None  # 0 for the program too: written without checksums
                return _checked(layout.shape, layout.dtype, Array(0, 0, "", at, data.packed, data.size, skip, crc))
    return _located_whole(window, "pt", None)


def _data_start(window: Window, member: _Member) -> tuple[int, bytes]:
    """Where a member's bytes begin, and the first of them, as far as one read went."""
    head = window.read(member.header, HEAD)
    if head[:4] != b"PK\3\4" or len(head) < 30:
        raise FaultError("damaged", f"no zip header where {member.name!r} should begin")
    name, extra = struct.unpack_from("<HH", head, 26)
    start = member.header + 30 + name + extra
    if start + member.packed > window.size or member.size > LARGEST_FILE:
        raise FaultError("damaged", f"{member.name!r} should have {member.packed} bytes, more than there are")
    return start, head[30 + name + extra :]


def _npy_header(head: bytes, window: Window | None, start: int) -> tuple[tuple[int, ...], str, bool, int]:
    """(shape, dtype name, Fortran order, length of the header)."""
    if head[:6] != b"\x93NUMPY" or len(head) < 12:
        raise FaultError("unreadable", "no npy header where the array should begin")
    fixed, length = (10, head[8] | head[9] << 8) if head[6] == 1 else (12, int.from_bytes(head[8:12], "little"))
    if len(head) < fixed + length and window is not None and length <= NPY_HEADER:
        head = window.read(start, fixed + length)
    if len(head) < fixed + length:
        raise FaultError("unreadable", "the npy header is cut short")
    return *_npy_fields(head[fixed : fixed + length]), fixed + length


@lru_cache(maxsize=4096)  # files of equal length have equal headers
def _npy_fields(text: bytes) -> tuple[tuple[int, ...], str, bool]:
    try:
        fields = ast.literal_eval(text.decode("latin-1").strip())
        shape, fortran, described = fields["shape"], fields["fortran_order"], fields["descr"]
        dtype = np.dtype(described)
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise ValueError(f"shape {shape}")
    except (ValueError, KeyError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise FaultError("unreadable", f"an npy header that makes no sense ({error})") from None
    swapped = dtype.byteorder == ">" and dtype.kind == "f"
    return tuple(shape), f"big-endian {dtype.name}" if swapped else dtype.name, bool(fortran)


def _checked(shape: tuple[int, ...], dtype: str, array: Array, *, exact: bool = False) -> Array:
    """`array` with rows and width. `exact`: the member must hold the rows and nothing else."""
    dtype = dtype.removeprefix("big-endian ")
    if dtype not in (*FLOATS, "bfloat16"):
        if dtype.startswith(("object", "void", "str", "bytes")):
            raise FaultError("not an array", f"holds {dtype} values, which would need unpickling or are no numbers")
        raise FaultError("dtype", f"{dtype}, expected one of {', '.join(FLOATS)}")
    if len(shape) != 2:
        raise FaultError("dimensions", f"shape {shape}")
    need = 0 if array.whole else shape[0] * shape[1] * np.dtype(dtype).itemsize
    if not array.whole and (array.skip + need > array.size or (exact and array.skip + need != array.size)):
        raise FaultError("damaged", f"{array.size - array.skip} bytes of rows, {need} expected for shape {shape}")
    return Array(shape[0], shape[1], dtype, array.start, array.packed, array.size, array.skip, array.crc, array.whole)


def _no_key(key: str | None, names: list[str]) -> FaultError:
    return FaultError("key", f"no array {key!r}, the file has {', '.join(map(repr, names[:8])) or 'none'}")


def _inflated_head(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, HEAD)
    except zlib.error as error:
        raise FaultError("damaged", f"the compressed array cannot be unpacked ({error})") from None


def _inflated(packed: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(packed, size + 1)  # one more, so that a longer stream shows
    except zlib.error as error:
        raise FaultError("damaged", f"the compressed array cannot be unpacked ({error})") from None
    if len(data) != size or not inflater.eof:
        raise FaultError("damaged", f"the compressed array does not unpack to {size} bytes")
    return data
