"""The published file formats, written byte for byte the same every time: no clock, no user, no order of the file system.

npz      arrays by key, as numpy.savez writes them
pt       a bare tensor, as torch.save writes it
folder, tar or tar.gz of such files; archives also in parts .aa, .ab, ... as large ones are published
JSON lines of annotation records
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from types import TracebackType
from typing import IO, Self, cast

import numpy as np

from stages.worlds.settings import Packing, WorldError

COMPRESSION = 1  # features are noise to a compressor: more effort buys nothing


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An npz file with these members."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def pt_bytes(array: np.ndarray) -> bytes:
    """A `.pt` file that holds the array as a bare tensor."""
    import torch  # only worlds with .pt files pay for it

    buffer = io.BytesIO()
    torch.save(torch.from_numpy(array), buffer)
    return buffer.getvalue()


def write_lines(path: Path, records: Iterable[Mapping[str, object]]) -> int:
    """Write JSON lines, keys in the order given; return how many."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as lines:
        for record in records:
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
    return count


def check_file_name(name: str) -> str:
    """`name`, if it can be a file name in a folder of its own.

    Raises WorldError if it would leave the folder or cannot be spelled there.
    """
    if not name or name in (".", "..") or "/" in name or "\x00" in name or len(name.encode("utf-8")) > 255:
        raise WorldError(f"{name!r} cannot be a file name: ids of videos and queries need 1 to 255 bytes without slash or NUL")
    return name


class FeatureFiles:
    """The files of one feature kind, added one by one, as a folder or streamed into an archive.

    `path` is the folder, below `root`. An archive is `<path>.tar[.gz]` and holds `<last folder>/<file>`.
    `sha256` has the digest of every file on disk, taken while writing, once the block is left.
    """

    def __init__(self, root: Path, path: str, packing: Packing, part_bytes: int | None = None) -> None:
        self.path, self.folder, self.packing = path, root / path, packing
        self.items, self.bytes = 0, 0
        self.sha256: dict[Path, str] = {}
        if packing == "files":
            self.folder.mkdir(parents=True)
            return
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self._output = Output(self.folder.with_name(f"{self.folder.name}.{packing}"), part_bytes)
        self._zip = gzip.GzipFile("", "wb", COMPRESSION, self._output, mtime=0) if packing == "tar.gz" else None
        stream = self._zip or self._output
        self._tar = tarfile.open(fileobj=cast("IO[bytes]", stream), mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    def add(self, name: str, data: bytes) -> None:
        """Write one file. Callers add in sorted order."""
        check_file_name(name)
        if self.packing == "files":
            (self.folder / name).write_bytes(data)
            self.sha256[self.folder / name] = hashlib.sha256(data).hexdigest()
        else:
            member = tarfile.TarInfo(f"{self.folder.name}/{name}")
            member.size, member.mode = len(data), 0o644  # mtime, owner and group stay 0
            self._tar.addfile(member, io.BytesIO(data))
            self._tar.getmembers().clear()  # it would remember every member to the end
        self.items += 1
        self.bytes += len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the archive; after an error only let go of the file, whatever it holds."""
        if self.packing == "files":
            return
        try:
            if kind is None:
                self._tar.close()
                if self._zip is not None:
                    self._zip.close()
        finally:
            self._output.close()
        self.sha256 = self._output.sha256

    def written(self) -> Written:
        """What was written, for world.json and for the check of the disk."""
        return Written(path=self.path, files=self.items, bytes=self.bytes, sha256=self.sha256)


@dataclass(frozen=True, kw_only=True)
class Written:
    """One feature kind: its path below upstream/, feature files and their bytes, and the digest of each file on disk."""

    path: str
    files: int
    bytes: int
    sha256: dict[Path, str]


class Output(io.RawIOBase):
    """Bytes that end up in `path`, or in `<path>.aa`, `<path>.ab`, ... of `part_bytes` each, the last one shorter."""

    def __init__(self, path: Path, part_bytes: int | None) -> None:
        self.path, self.part_bytes = path, part_bytes
        self.sha256: dict[Path, str] = {}
        self._suffixes = ("." + "".join(letters) for letters in product(ascii_lowercase, repeat=2))
        self._file: IO[bytes] | None = None
        self._left, self._total = 0, 0
        self._digest = hashlib.sha256()

    def writable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Bytes so far, over all parts."""
        return self._total

    def write(self, data: object) -> int:
        """Write all of `data`, opening parts as needed."""
        if self.closed:
            raise ValueError(f"{self.path}: written to after it was closed")
        view = memoryview(cast("bytes", data)).cast("B")
        written = len(view)
        while len(view):
            if self._file is None or self._left == 0:
                self._next()
            assert self._file is not None
            piece = view[: self._left]
            self._file.write(piece)
            self._digest.update(piece)
            self._left -= len(piece)
            view = view[len(piece) :]
        self._total += written
        return written

    def _next(self) -> None:
        self._finish()
        suffix = next(self._suffixes, None) if self.part_bytes else ""
        if suffix is None:
            raise WorldError(f"{self.path}: more than 676 parts of {self.part_bytes} bytes; make part_bytes larger")
        self._file = self.path.with_name(self.path.name + suffix).open("wb")
        self._left = self.part_bytes or sys.maxsize
        self._digest = hashlib.sha256()

    def _finish(self) -> None:
        if self._file is not None:
            self._file.close()
            self.sha256[Path(self._file.name)] = self._digest.hexdigest()
            self._file = None

    def close(self) -> None:
        """Close the last part."""
        self._finish()
        super().close()
