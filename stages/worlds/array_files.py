"""HDF5 files as the hosts of the question data sets publish them: one array per name, rows of all items, and a list of ids.

Written block by block, so that memory does not grow with the file, and read back before the file counts. No times, no creation
order: the same arrays give the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from stages.worlds.settings import DType, WorldError

READ_BACK = 512  # rows at a time
Ids = tuple[str, Sequence[str] | Sequence[int]]


class ArrayFile:
    """An HDF5 file under way; use as a context manager and `add` blocks of rows to every array in step."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]], dtype: DType, ids: Ids | None) -> None:
        """`shapes`: whole arrays by name, rows first. `ids`: name and values, text or numbers; None: rows go by their place."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = h5py.File(path, "w", libver=("earliest", "v108"), track_order=False)
        self._arrays = {
            name: self._file.create_dataset(name, shape=shape, dtype=dtype, track_times=False) for name, shape in shapes.items()
        }
        self._written = dict.fromkeys(shapes, 0)
        self._digests = {name: hashlib.sha256() for name in shapes}
        if ids is not None:
            name, values = ids
            kind = h5py.string_dtype("utf-8") if any(isinstance(value, str) for value in values) else np.dtype("int64")
            self._file.create_dataset(name, data=np.array(list(values), dtype=kind), dtype=kind, track_times=False)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a whole array."""
        return tuple(self._arrays[name].shape)

    def add(self, blocks: Mapping[str, np.ndarray]) -> None:
        """The next rows of the arrays named."""
        for name, block in blocks.items():
            array, start = self._arrays[name], self._written[name]
            rows = np.ascontiguousarray(block, dtype=array.dtype)
            array[start : start + len(rows)] = rows
            self._digests[name].update(rows.data.cast("B") if rows.size else b"")
            self._written[name] = start + len(rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        incomplete = {name: (self._written[name], array.shape[0]) for name, array in self._arrays.items()}
        self._file.close()
        if kind is None:
            for name, (written, rows) in incomplete.items():
                assert written == rows, f"{self.path}: {name} has {written} of {rows} rows"
            self._verify()

    def _verify(self) -> None:
        with h5py.File(self.path, "r") as file:
            for name, digest in self._digests.items():
                found = hashlib.sha256()
                for start in range(0, len(file[name]), READ_BACK):
                    found.update(np.ascontiguousarray(file[name][start : start + READ_BACK]).data.cast("B"))
                if found.digest() != digest.digest():
                    raise WorldError(f"{self.path}: the disk does not hold what was written; check it and run the stage again")
