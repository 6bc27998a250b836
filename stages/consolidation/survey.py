"""The first pass over published feature files: whose they are, their shapes, and everything wrong that headers show."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from stages.consolidation.archives import Archive, Member
from stages.consolidation.arrays import Array, Content, locate
from stages.consolidation.faults import Fault, FaultError, Faults
from stages.consolidation.hdf5 import located
from stages.consolidation.sources import Folder, Matching
from stages.consolidation.workers import Workers
from stages.features.store import Feature

FILES_PER_TASK = 256


@dataclass(frozen=True, slots=True)
class Entry:
    """One item to be: its id, where its file is (`archive`: number of the archive, 0 in a folder), where the rows are in it."""

    item: str
    name: str
    archive: int
    array: Array


@dataclass
class Survey:
    """What will be stored, in id order, as which type; counts of what will not."""

    entries: list[Entry]
    dtype: str
    counts: Counter[str]


def survey(source: Folder | list[Archive], feature: Feature, wanted: Collection[str], workers: Workers, faults: Faults) -> Survey:
    """Look at every file once. What is wrong goes into `faults`, and its files into no entry."""
    matching = Matching(frozenset(wanted), f".{feature.format}", feature.prefix)
    if feature.format == "h5":
        entries = list(_in_hdf5(single_file(source), feature, matching, faults))
    elif isinstance(source, Folder):
        entries = list(_in_folder(source, feature, matching, workers, faults))
    else:
        entries = list(_in_archives(source, feature, matching, faults))
    entries.sort(key=lambda entry: entry.item)
    counts = Counter({"extra": len(matching.extra), "other_files": matching.foreign})
    _check_ids(matching, feature, counts, faults)
    dtype = _target(entries, feature)
    return Survey([entry for entry in entries if _fits(entry, feature, dtype, counts, faults)], dtype, counts)


def _in_folder(folder: Folder, feature: Feature, matching: Matching, workers: Workers, faults: Faults) -> Iterator[Entry]:
    items: list[tuple[str, str]] = []
    for name in folder.names:
        if item := _matched(matching, name, faults):
            items.append((item, name))
    if feature.extra == "store":
        items += matching.extra_ids(faults)
    parts = [items[start : start + FILES_PER_TASK] for start in range(0, len(items), FILES_PER_TASK)]
    tasks = (LocateTask(folder.path, tuple(name for _, name in part), feature.format, feature.key) for part in parts)
    with tqdm(total=len(items), desc="  headers", unit="file", leave=False, mininterval=0.5) as bar:
        for part, results in zip(parts, workers.run(locate_files, tasks), strict=True):
            for (item, name), found in zip(part, results, strict=True):
                if isinstance(found, Fault):
                    faults.add(found)
                else:
                    yield Entry(item, name, 0, found)
            bar.update(len(part))


def single_file(source: Folder | list[Archive]) -> Path:
    """What sources.open_file found."""
    assert not isinstance(source, Folder)
    return source[0].parts[0]


def _in_hdf5(path: Path, feature: Feature, matching: Matching, faults: Faults) -> Iterator[Entry]:
    extra: dict[str, Array | Fault] = {}
    for name, found in tqdm(located(path, feature.key), desc="  headers", unit="item", leave=False, mininterval=0.5):
        item = _matched(matching, f"{name}.{feature.format}", faults)
        if item is None:
            extra[f"{name}.{feature.format}"] = found
        elif isinstance(found, Fault):
            faults.add(found)
        else:
            yield Entry(item, name, 0, found)
    if feature.extra == "store":
        for item, file in matching.extra_ids(faults):
            if isinstance(array := extra.get(file), Array):
                yield Entry(item, file.removesuffix(f".{feature.format}"), 0, array)


def _in_archives(archives: list[Archive], feature: Feature, matching: Matching, faults: Faults) -> Iterator[Entry]:
    extra: dict[str, tuple[int, Array]] = {}
    for number, archive in enumerate(archives):
        for member in progressing(archive, f"  headers of {archive.name}", faults):
            item = _matched(matching, member.name, faults)
            keep = feature.extra == "store" and matching.extra[-1:] == [member.name]
            if item or keep:
                try:
                    array = locate(Content(member.read()), feature.format, feature.key)
                except FaultError as error:
                    faults.add(error.at(member.name))
                else:
                    if item:
                        yield Entry(item, member.name, number, array)
                    else:
                        extra[member.name] = number, array
    if feature.extra == "store":
        for item, name in matching.extra_ids(faults):
            if name in extra:
                yield Entry(item, name, *extra[name])


def _matched(matching: Matching, name: str, faults: Faults) -> str | None:
    try:
        return matching.match(name)
    except FaultError as error:
        faults.add(error.at(name))
        return None


def progressing(archive: Archive, title: str, faults: Faults) -> Iterator[Member]:
    """The members of an archive under a progress bar; refused members and a damaged archive go into `faults`."""
    with tqdm(total=archive.size, desc=title, unit="B", unit_scale=True, leave=False, mininterval=0.5) as bar:
        try:
            for member in archive.members():
                if isinstance(member, Fault):
                    faults.add(member)
                else:
                    yield member
                bar.update(archive.consumed - bar.n)
        except FaultError as error:
            faults.add(error.at(archive.name))


def _check_ids(matching: Matching, feature: Feature, counts: Counter[str], faults: Faults) -> None:
    missing = sorted(set(matching.wanted) - matching.found.keys())
    counts["missing"] = len(missing)
    if not matching.found and (feature.extra != "store" or not matching.extra):
        what = f"{len(matching.extra)} files of ids that no sample has" if matching.extra else f"no file *.{feature.format} in it"
        faults.add(Fault("nothing", feature.files, what))
    elif feature.missing == "error":
        faults.extend(Fault("missing", item) for item in missing)
    if feature.extra == "error":
        faults.extend(Fault("extra", name) for name in sorted(matching.extra))


def _target(entries: list[Entry], feature: Feature) -> str:
    """The type that is stored: that of the settings, or for `keep` the one that most files have."""
    if feature.dtype != "keep" or not entries:
        return feature.dtype
    found = Counter(entry.array.dtype for entry in entries)
    return min(found, key=lambda dtype: (-found[dtype], dtype))


def _fits(entry: Entry, feature: Feature, dtype: str, counts: Counter[str], faults: Faults) -> bool:
    array = entry.array
    if array.width != feature.width:
        faults.add(Fault("width", entry.name, f"{array.width} channels, expected {feature.width}"))
    elif feature.dtype == "keep" and array.dtype == "bfloat16":
        faults.add(Fault("dtype", entry.name, "bfloat16, which NumPy and many Zarr readers lack"))
    elif feature.dtype == "keep" and array.dtype != dtype:
        faults.add(Fault("dtype", entry.name, f"{array.dtype}, most files have {dtype}"))
    elif array.rows:
        return True
    elif feature.empty == "error":
        faults.add(Fault("empty", entry.name, "0 rows"))
    else:
        counts["empty"] += 1
    return False


@dataclass(frozen=True)
class LocateTask:
    """Files of a folder, to be located in one go by one process."""

    folder: Path
    names: tuple[str, ...]
    form: str
    key: str | None


def locate_files(task: LocateTask) -> list[Array | Fault]:
    """Where the rows are in each file, or what is wrong with it."""
    return [_locate_file(f"{task.folder}/{name}", name, task) for name in task.names]


def _locate_file(path: str, name: str, task: LocateTask) -> Array | Fault:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return Fault("unreadable", name, error.strerror or "cannot be opened")
    try:
        return locate(OpenFile(descriptor), task.form, task.key)
    except FaultError as error:
        return error.at(name)
    except OSError as error:
        return Fault("unreadable", name, error.strerror or "cannot be read")
    finally:
        os.close(descriptor)


class OpenFile:
    """A window on an open file."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.size = descriptor, os.fstat(descriptor).st_size

    def read(self, start: int, size: int) -> bytes:
        """See arrays.Window."""
        return os.pread(self.descriptor, size, start)
