"""Archives of feature files, read member by member without unpacking them to disk: zip, tar, tar.gz, and tar in split parts.

Names of members come from outside. They are only ever compared, never opened as paths; still, an archive with a member that
would be unsafe to unpack (absolute, "..", link, device, absurd size) is not what was published, and is refused by name.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from stages.consolidation.arrays import LARGEST_FILE
from stages.consolidation.faults import Fault, FaultError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
FILE_SUFFIXES = (".npz", ".npy", ".pt")
PART = re.compile(r"(?P<stem>.+?\.)(?P<label>(?:part)?(?:[a-z]{2,3}|\d+))")  # x.tar.gz.aa, x.partab, x.tar.001
LARGEST_HEADER = 1 << 20  # bytes of an extended tar header; honest ones hold a long name
BLOCK = 1 << 20


@dataclass(frozen=True)
class Member:
    """One regular file in an archive. `read` gives its bytes, and is called before the next member is asked for, or never."""

    name: str
    size: int
    read: Callable[[], bytes]


class Archive:
    """One archive, in one file or in parts. `members` reads it from the start; `consumed`: how far, in bytes of the files."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self.parts = tuple(parts)
        self.size = sum(part.stat().st_size for part in parts)
        self.consumed = 0

    @property
    def name(self) -> str:
        """For messages: the file, or the parts."""
        return self.parts[0].name + (f" and {len(self.parts) - 1} more parts" if len(self.parts) > 1 else "")

    def members(self) -> Iterator[Member | Fault]:
        """Every regular member in archive order, and a Fault for every member that is refused.

        Raises FaultError if the archive itself is damaged, cut short, or of an unknown kind.
        """
        self.consumed = 0
        with JoinedFile(self.parts, self._advance) as file:
            magic = file.peek(4)[:4]
            if magic[:2] == b"PK":
                yield from _zip_members(file)
            elif magic[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=file) as unpacked:  # checks length and crc32 of the stream at its end
                    yield from _tar_members(unpacked)
            else:
                yield from _tar_members(file)
        self.consumed = self.size

    def _advance(self, position: int) -> None:
        self.consumed = position


class JoinedFile(io.BufferedReader):
    """Files read as one, seekable."""

    def __init__(self, parts: Sequence[Path], moved: Callable[[int], None]) -> None:
        super().__init__(_JoinedRaw(parts, moved), BLOCK)

    def __enter__(self) -> Self:
        return self


class _JoinedRaw(io.RawIOBase):
    def __init__(self, parts: Sequence[Path], moved: Callable[[int], None]) -> None:
        self._files: list[IO[bytes]] = [part.open("rb", buffering=0) for part in parts]
        self._ends: list[int] = []
        for part in parts:
            self._ends.append((self._ends[-1] if self._ends else 0) + part.stat().st_size)
        self._at, self._moved = 0, moved

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1]}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        number = next((number for number, end in enumerate(self._ends) if self._at < end), None)
        if number is None:
            return 0
        start = self._ends[number - 1] if number else 0
        self._files[number].seek(self._at - start)
        view = memoryview(buffer)[: self._ends[number] - self._at]
        count: int = self._files[number].readinto(view)  # type: ignore[attr-defined]
        self._at += count
        self._moved(self._at)
        return count

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def _zip_members(file: IO[bytes]) -> Iterator[Member | Fault]:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FaultError("archive", f"no readable zip ({error}); cut short, or a part is missing") from None
    with archive:
        end = file.seek(0, io.SEEK_END)
        for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
            kind = entry.external_attr >> 28  # the Unix file type, if the archive has one
            if entry.filename.endswith("/"):
                continue
            if entry.header_offset + entry.compress_size > end:  # zipfile would ask for that much memory first
                yield Fault("damaged", entry.filename, f"{entry.compress_size} packed bytes in an archive of {end}")
                continue
            what = unsafe(entry.filename, entry.file_size) or ("link or device" if kind not in (0, 8) else "")
            if what or entry.flag_bits & 1:
                yield Fault("unsafe member", entry.filename, what or "encrypted")
                continue
            yield Member(entry.filename, entry.file_size, lambda entry=entry: _read_zipped(archive, entry))  # type: ignore[misc]


def _read_zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise FaultError("damaged", f"cannot be unpacked ({error})") from None


class _StrictEntry(tarfile.TarInfo):
    """tarfile takes a broken header in the middle of an archive for its end; here it is an error."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]   # the block of zeros that ends an archive
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(f"{error} at byte {archive.offset}") from None  # type: ignore[attr-defined]

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in b"xgXLK" and self.size > LARGEST_HEADER:  # headers that are read into memory
            raise tarfile.ReadError(f"an extended header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _tar_members(file: Any) -> Iterator[Member | Fault]:
    try:
        with tarfile.open(fileobj=file, mode="r:", tarinfo=_StrictEntry) as archive:
            while (entry := archive.next()) is not None:
                archive.members.clear()  # type: ignore[attr-defined]   # tarfile keeps them all: memory would grow with the archive
                if entry.isdir():
                    continue
                what = (
                    unsafe(entry.name, entry.size) or ("" if entry.isreg() else "link or device") or ("sparse" * entry.issparse())
                )
                if what:
                    yield Fault("unsafe member", entry.name, what)
                    continue
                yield Member(entry.name, entry.size, lambda entry=entry: _read_tarred(archive, entry))  # type: ignore[misc]
        _check_end(file)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        raise FaultError("archive", f"damaged or cut short ({error})") from None


def _read_tarred(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    member = archive.extractfile(entry)
    assert member is not None  # a regular file
    try:
        content = member.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise FaultError("archive", f"damaged or cut short ({error})") from None
    if len(content) != entry.size:
        raise FaultError("archive", "cut short inside this member")
    return content


def _check_end(file: Any) -> None:
    """Read what is behind the end mark: it must be zeros, and a gzip stream then checks its own checksum."""
    while block := file.read(BLOCK):
        if block.count(0) != len(block):
            raise tarfile.ReadError("there is more behind the end mark")


def unsafe(name: str, size: int) -> str:
    """Why a member is refused; "" if it is not."""
    if name.startswith("/") or "\\" in name or (len(name) > 1 and name[1] == ":"):
        return "absolute path or backslash"
    if ".." in name.split("/"):
        return "path with '..'"
    if any(ord(character) < 32 for character in name):
        return "control character in the name"
    return f"{size} bytes" if size > LARGEST_FILE else ""


def ordered_parts(paths: Sequence[Path]) -> list[list[Path]]:
    """Files grouped into archives: one with an archive's suffix stands alone, split parts are joined in the order of labels.

    Raises FaultError for a file that is neither, and for a gap between the parts.
    """
    archives: list[list[Path]] = []
    groups: dict[tuple[Path, str], list[tuple[str, Path]]] = {}
    for path in sorted(paths):
        if path.name.endswith(ARCHIVE_SUFFIXES):
            archives.append([path])
        elif (match := PART.fullmatch(path.name)) and path.suffix not in FILE_SUFFIXES:
            groups.setdefault((path.parent, match["stem"]), []).append((match["label"].removeprefix("part"), path))
        else:
            raise FaultError(
                "archive", f"{path.name}: expected a folder, {', '.join(ARCHIVE_SUFFIXES)}, or parts like .aa or .part1"
            )
    for parts in groups.values():
        parts.sort(key=lambda part: (len(part[0].lstrip("0")), part[0]))
        numbers = [_number(label) for label, _ in parts]
        if numbers[0] > parts[0][0].isdigit() or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            labels = ", ".join(label for label, _ in parts)
            raise FaultError("archive", f"{parts[0][1].name}: a part is missing, there are {labels}")
        archives.append([path for _, path in parts])
    return archives


def _number(label: str) -> int:
    """aa, ab, ... and 0 (or 1), 2, ... as consecutive numbers."""
    if label.isdigit():
        return int(label)
    number = 0
    for letter in label:
        number = number * 26 + ord(letter) - ord("a")
    return number
