"""Published feature files -> one store: survey the headers, lay out the store, copy every file's rows to their place, seal.

Nothing is sorted and nothing unpacked on disk: after the survey every item's place in the store is known, so the rows are written
there in whatever order the files or archive members come. Memory holds the index, and one file at a time per process.
"""

from __future__ import annotations

import os
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stages.consolidation.archives import Archive
from stages.consolidation.arrays import CHECKSUM_DIFFERS, Array, load_whole, rows_of
from stages.consolidation.faults import ConsolidationError, Fault, FaultError, Faults
from stages.consolidation.hdf5 import rows as hdf5_rows
from stages.consolidation.sources import Folder, compare_with_manifest, open_file, open_source
from stages.consolidation.survey import Entry, Survey, progressing, single_file, survey
from stages.consolidation.workers import Workers
from stages.features.store import ChunkFiles, Feature, StoreDraft, StoreInfo, Values

BYTES_PER_TASK = 16_000_000
BLOCKS = 3  # one being filled, one being written, one waiting
BLOCK_BYTES = 1_000_000  # of rows written at once; small enough to stay in the processor's cache


def build(
    path: Path,
    feature: Feature,
    raw: Path,
    wanted: Sequence[str],
    info: StoreInfo,
    *,
    listed: Mapping[str, int] | None = None,
    workers: int = 1,
) -> StoreInfo:
    """Make the store at `path` from the files that `feature` names below `raw`; returns its attributes.

    wanted    annotated ids
    info      attributes; counts, width, dtype and quality are filled in
    listed    paths below `raw` -> bytes, as the manifest has them; None: not compared

    Raises ConsolidationError with every fault of the files, headers and contents. Then there is no new store, and an older one
    at `path` is as it was.
    """
    faults = Faults()
    with Workers(workers) as pool:
        try:
            source = open_file(raw, feature.files) if feature.format == "h5" else open_source(raw, feature.files)
            if listed is not None:
                compare_with_manifest(source, raw, feature.files, listed, faults)
            found = survey(source, feature, wanted, pool, faults)
        except FaultError as error:
            faults.add(error.at(feature.files))
            found = None
        if found and found.entries:
            # With faults already known the contents are still read, so that one run shows all of them.
            info = replace(info, quality=dict(sorted((name, count) for name, count in found.counts.items() if count)))
            info = _fill(path, feature, source, found, info, pool, faults)
    if faults or not (found and found.entries):
        raise ConsolidationError(faults.text(info.feature))
    return info


def _fill(
    path: Path, feature: Feature, source: Folder | list[Archive], found: Survey, info: StoreInfo, pool: Workers, faults: Faults
) -> StoreInfo:
    entries = found.entries
    ids, lengths = [entry.item for entry in entries], [entry.array.rows for entry in entries]
    with StoreDraft(path, ids, lengths, feature.width, found.dtype) as draft:
        first_rows = draft.offsets.tolist()  # one more than entries: the end
        zero = feature.non_finite == "zero"
        if feature.format == "h5":
            complete = _copy_hdf5(single_file(source), feature, entries, draft.values, faults)
        elif isinstance(source, Folder):
            complete = _copy_folder(source, feature, entries, first_rows, draft.values, pool, faults)
        else:
            complete = _copy_archives(source, feature, entries, first_rows, draft.values, faults)
        with ThreadPoolExecutor(1) as sealer:  # beside the copying of the next files
            sealed = [sealer.submit(draft.seal_up_to, row, zero_non_finite=zero) for row in complete]
        non_finite = {row: count for chunk in sealed for row, count in chunk.result().items()}
        if non_finite and zero:
            info = replace(
                info, quality={**info.quality, "non_finite": sum(non_finite.values()), "non_finite_rows": len(non_finite)}
            )
        elif non_finite:
            names = {entry.item: entry.name for entry in entries}
            for row, count in non_finite.items():
                item, inside = draft.item_of_row(row)
                faults.add(Fault("non-finite", names[item], f"row {inside}: {count} of {feature.width} values are NaN or Inf"))
        return info if faults else draft.finish(info)


def _bar(total: int, title: str) -> tqdm[None]:
    return tqdm(total=total, desc=title, unit="B", unit_scale=True, leave=False, mininterval=0.5)


@dataclass(frozen=True)
class CopyTask:
    """Files of a folder whose rows one process copies, behind one another from `first_row` of the store on."""

    folder: Path
    entries: list[Entry]
    first_row: int
    values: Values
    form: str
    key: str | None


def _copy_folder(
    folder: Folder,
    feature: Feature,
    entries: list[Entry],
    first_rows: list[int],
    values: Values,
    pool: Workers,
    faults: Faults,
) -> Iterator[int]:
    """Yield, after every share of the files, the row up to which the store is complete."""
    shares = list(_shares(entries))
    tasks = (
        CopyTask(folder.path, entries[start:stop], first_rows[start], values, feature.format, feature.key)
        for start, stop in shares
    )
    with _bar(sum(entry.array.packed for entry in entries), "  rows") as bar:
        for (start, stop), found in zip(shares, pool.run(copy_files, tasks), strict=True):
            faults.extend(found)
            bar.update(sum(entry.array.packed for entry in entries[start:stop]))
            yield first_rows[stop]


def _shares(entries: list[Entry]) -> Iterator[tuple[int, int]]:
    """(start, stop) of slices of about BYTES_PER_TASK."""
    start, size = 0, 0
    for number, entry in enumerate(entries):
        size += entry.array.packed
        if size >= BYTES_PER_TASK or number + 1 == len(entries):
            yield start, number + 1
            start, size = number + 1, 0


def copy_files(task: CopyTask) -> list[Fault]:
    """Copy the rows of consecutive items from files of a folder to their place in the store; returns what was wrong.

    Rows in the store's own form go from the file into a block of many items in one system call, behind one another, and are
    checked there; full blocks are written by a thread of their own, since writing costs about as much as reading.
    """
    found = []
    row_bytes = task.values.row_bytes
    largest = BLOCK_BYTES + max(entry.array.rows for entry in task.entries) * row_bytes
    blocks = _blocks(largest)
    written: deque[Future[None]] = deque()
    first, filled, block = task.first_row, 0, blocks[0]
    with ChunkFiles(task.values) as chunks, ThreadPoolExecutor(1) as writer:
        for entry in task.entries:
            array, name = entry.array, entry.name
            rows = block[filled : filled + array.rows * row_bytes]
            try:
                if array.dtype == task.values.dtype and array.direct(len(rows)):
                    read_direct(f"{task.folder}/{name}", array, rows)
                else:
                    rows[:] = _read_and_convert(f"{task.folder}/{name}", array, task)
            except FaultError as error:
                found.append(error.at(name))
            except OSError as error:
                found.append(Fault("unreadable", name, error.strerror or "cannot be read"))
            filled += len(rows)
            if filled >= BLOCK_BYTES:
                written.append(writer.submit(chunks.place, first, block[:filled]))
                first, filled = first + filled // row_bytes, 0
                blocks.append(blocks.pop(0))
                block = blocks[0]
                if len(written) == BLOCKS:
                    written.popleft().result()
        written.append(writer.submit(chunks.place, first, block[:filled]))
        for write in written:
            write.result()
    return found


_kept_blocks: list[memoryview] = []  # of this process, from task to task: fresh memory costs more than what is copied into it


def _blocks(size: int) -> list[memoryview]:
    if not _kept_blocks or len(_kept_blocks[0]) < size:
        _kept_blocks[:] = [memoryview(bytearray(size)) for _ in range(BLOCKS)]
    return list(_kept_blocks)


def read_direct(path: str, array: Array, rows: memoryview) -> None:
    """Read a member's header and its rows in one call, the rows to where they belong. Raises FaultError."""
    header = bytearray(array.skip)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        count = os.preadv(descriptor, [header, rows], array.start)
    finally:
        os.close(descriptor)
    if count != array.packed:
        raise FaultError("damaged", f"{count} bytes where {array.packed} should be")
    if array.crc is not None and zlib.crc32(rows, zlib.crc32(header)) != array.crc:
        raise FaultError("damaged", CHECKSUM_DIFFERS)


def _read_and_convert(path: str, array: Array, task: CopyTask) -> memoryview:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (a Path per file costs as much as reading it)
        content = os.pread(file.fileno(), array.packed, 0 if array.whole else array.start)
    return _rows(array, content, task.form, task.key, task.values.dtype)


def _copy_hdf5(path: Path, feature: Feature, entries: list[Entry], values: Values, faults: Faults) -> Iterator[int]:
    """Yield, after every item, the row up to which the store is complete."""
    wanted, row = [(entry.name, entry.array) for entry in entries], 0
    with ChunkFiles(values) as chunks, _bar(sum(array.packed for _, array in wanted), "  rows") as bar:
        for (_, array), found in zip(wanted, hdf5_rows(path, feature.key, wanted, values.dtype), strict=True):
            if isinstance(found, Fault):
                faults.add(found)
            else:
                chunks.place(row, found)
            row += array.rows
            bar.update(array.packed)
            yield row


def _copy_archives(
    archives: list[Archive], feature: Feature, entries: list[Entry], first_rows: list[int], values: Values, faults: Faults
) -> Iterator[int]:
    """Members come in any order, so the store is complete only at the end: yields its number of rows."""
    places = {(entry.archive, entry.name): number for number, entry in enumerate(entries)}
    ignored = Faults()  # the survey has reported what is wrong with the archive itself
    with ChunkFiles(values) as chunks:
        for number, archive in enumerate(archives):
            for member in progressing(archive, f"  rows of {archive.name}", ignored):
                place = places.pop((number, member.name), None)
                if place is not None:
                    array = entries[place].array
                    try:
                        content = member.read()
                        part = content if array.whole else memoryview(content)[array.start : array.start + array.packed]
                        chunks.place(first_rows[place], _rows(array, part, feature.format, feature.key, values.dtype))
                    except FaultError as error:
                        faults.add(error.at(member.name))
    for number, name in places:
        faults.add(Fault("archive", name, f"was in {archives[number].name} at first, and not when it was read again"))
    yield values.rows


def _rows(array: Array, data: memoryview | bytes, form: str, key: str | None, dtype: str) -> memoryview:
    """The rows of a file as bytes of the store's type. Raises FaultError if they are not what the survey saw."""
    if array.whole:
        loaded, found = load_whole(bytes(data), form, key)
        if loaded.shape != (array.rows, array.width) or found != array.dtype:
            raise FaultError("damaged", "the file changed while it was read")
        rows = loaded
    else:
        view = rows_of(array, data)
        if array.dtype == dtype:
            return view
        rows = np.frombuffer(view, np.dtype(array.dtype).newbyteorder("<"))
    with np.errstate(over="ignore"):  # what overflows a smaller type becomes Inf, and is found as such when the chunk is sealed
        return np.ascontiguousarray(rows, np.dtype(dtype).newbyteorder("<")).data.cast("B")
