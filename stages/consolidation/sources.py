"""What `files` of a feature means on disk, and which published file belongs to which annotated id."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from stages.consolidation.archives import Archive, ordered_parts
from stages.consolidation.faults import Fault, FaultError, Faults

WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Folder:
    """A folder of feature files, sub-folders included. `names` are relative to it, sorted; sizes beside them."""

    path: Path
    names: tuple[str, ...]
    sizes: tuple[int, ...]


def open_source(raw: Path, files: str) -> Folder | list[Archive]:
    """The folder, or the archives, that `files` names below `raw`.

    Raises FaultError if there is nothing, or something else.
    """
    paths = _paths(raw, files)
    if len(paths) == 1 and paths[0].is_dir():
        listing = sorted(_listing(paths[0], ""))
        return Folder(paths[0], tuple(name for name, _ in listing), tuple(size for _, size in listing))
    if not paths:
        raise FaultError("nothing", f"no file or folder {files!r}; there are {_beside(raw)}")
    return [Archive(parts) for parts in ordered_parts(paths)]


def open_file(raw: Path, files: str) -> list[Archive]:
    """The one file that holds all items of a feature.

    Raises FaultError if there is none, or several.
    """
    paths = _paths(raw, files)
    if len(paths) != 1 or not paths[0].is_file():
        raise FaultError("nothing", f"{files!r} is {len(paths)} files or a folder, expected one file; there are {_beside(raw)}")
    return [Archive(paths)]


def open_files(raw: Path, files: str) -> list[Path]:
    """The files, each with arrays of its own, that `files` names below `raw`.

    Raises FaultError if there is none, or a folder among them.
    """
    paths = _paths(raw, files)
    if not paths or not all(path.is_file() for path in paths):
        found = "nothing" if not paths else "a folder"
        raise FaultError("nothing", f"{files!r} is {found}, expected files; there are {_beside(raw)}")
    return paths


def _paths(raw: Path, files: str) -> list[Path]:
    if (raw / files).exists():
        return [raw / files]
    return sorted(raw.glob(files)) if WILDCARDS & set(files) else []


def _beside(raw: Path) -> str:
    names = sorted(path.name for path in raw.iterdir()) if raw.is_dir() else []
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "none at all"


def _listing(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _listing(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.is_file():  # a link to a file is the user's own way of putting it there; a dangling one is not listed
                yield prefix + entry.name, entry.stat().st_size


def compare_with_manifest(
    source: Folder | Sequence[Archive | Path], raw: Path, files: str, listed: Mapping[str, int], faults: Faults
) -> None:
    """Note every file that is there but not in the manifest, in it but not there, or of another size.

    `listed` maps paths below `raw` to bytes: what the fetch stage recorded. The source digest of a store is made from the
    manifest, so a store must not hold what the manifest does not know.
    """
    if isinstance(source, Folder):
        root = source.path.relative_to(raw).as_posix()
        below = "" if root == "." else f"{root}/"
        there = {below + name: size for name, size in zip(source.names, source.sizes, strict=True)}
        there.pop("manifest.json", None)
        expected = {path: size for path, size in listed.items() if path.startswith(below)}
    else:
        parts = [part for archive in source for part in ([archive] if isinstance(archive, Path) else archive.parts)]
        there = {part.relative_to(raw).as_posix(): part.stat().st_size for part in parts}
        expected = {path: listed[path] for path in source_paths(listed, files)}
    for path in sorted(there.keys() | expected.keys()):
        if path not in expected:
            faults.add(Fault("not listed", path, "is there, but manifest.json does not list it"))
        elif path not in there:
            faults.add(Fault("not listed", path, "is in manifest.json, but not there"))
        elif there[path] != expected[path]:
            faults.add(Fault("not listed", path, f"{there[path]} bytes, manifest.json says {expected[path]}"))


def source_paths(listed: Collection[str], files: str) -> list[str]:
    """The paths of a manifest that `files` covers, sorted: the file, everything below the folder, or what the glob matches."""
    pattern = [part for part in files.split("/") if part not in ("", ".")]
    return sorted(path for path in listed if _covers(pattern, path.split("/")))


def _covers(pattern: list[str], parts: list[str]) -> bool:
    return len(parts) >= len(pattern) and all(map(fnmatchcase, parts, pattern))


@dataclass
class Matching:
    """Which names are feature files, and of which id.

    A name belongs to the annotated id that it ends with, folders included where ids contain slashes: "deep/clip/12/v1.npz" to
    "12/v1" if that is annotated, else to "v1". Archives carry leading folders of all kinds, so the annotated ids decide.
    """

    wanted: Collection[str]
    suffix: str
    prefix: str = ""
    found: dict[str, str] = field(default_factory=dict)  # id -> name
    extra: list[str] = field(default_factory=list)  # feature files without an annotated id
    foreign: int = 0  # files of another suffix

    def match(self, name: str) -> str | None:
        """The id that a name belongs to, noted in `found`; None if it is extra or no feature file, noted there.

        Raises FaultError if another name already has the id.
        """
        if not name.endswith(self.suffix):
            self.foreign += 1
            return None
        *folders, last = name.removesuffix(self.suffix).split("/")
        if last.startswith(self.prefix):
            last = last.removeprefix(self.prefix)
            for start in range(len(folders) + 1):
                item = "/".join([*folders[start:], last])
                if item in self.wanted:
                    if other := self.found.get(item):
                        raise FaultError("twice", f"belongs to {item!r}, as does {other}")
                    self.found[item] = name
                    return item
        self.extra.append(name)
        return None

    def extra_ids(self, faults: Faults) -> list[tuple[str, str]]:
        """(id, name) of the extra files: their names below the folder that all feature files share. Unusable ids are faults."""
        names = [*self.found.values(), *self.extra]
        shared = os.path.commonpath([str(PurePosixPath(name).parent) for name in names]) if names else ""
        ids: dict[str, str] = {}
        for name in self.extra:
            below = str(PurePosixPath(name).relative_to(shared)) if shared else name
            folder, _, last = below.removesuffix(self.suffix).rpartition("/")
            item = f"{folder}/{last.removeprefix(self.prefix)}" if folder else last.removeprefix(self.prefix)
            if other := ids.get(item, self.found.get(item)):
                faults.add(Fault("twice", name, f"belongs to {item!r}, as does {other}"))
            elif not last.startswith(self.prefix) or not item or not _utf8(item):
                faults.add(Fault("name", name, f"expected {self.prefix}<id>{self.suffix} in UTF-8"))
            else:
                ids[item] = name
        return list(ids.items())


def _utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)  # what os.listdir makes of other bytes
