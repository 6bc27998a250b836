"""One HDF5 file with a data set per item, as LGI's I3D features of Charades-STA are published: compressed, named by id.

Items are added one by one, so that memory does not grow with the file. No times, no creation order: the same items give the same
bytes.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np

from stages.worlds.settings import WorldError
from stages.worlds.upstream import Written, check_file_name

COMPRESSION = 1  # features are noise to a compressor: more effort buys nothing


class ItemFile:
    """`<path>.hdf5` below `root`, under way; use as a context manager and `add` item after item."""

    def __init__(self, root: Path, path: str) -> None:
        self.path, self.file = path, (root / path).with_name(f"{Path(path).name}.hdf5")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.items, self.bytes, self.sha256 = 0, 0, ""
        self._output = h5py.File(self.file, "w", libver=("earliest", "v108"), track_order=False)

    def add(self, item: str, values: np.ndarray) -> None:
        """Write the rows (T, D) of one item."""
        check_file_name(item)
        self._output.create_dataset(item, data=values, compression="gzip", compression_opts=COMPRESSION, track_times=False)
        self.items += 1
        self.bytes += values.nbytes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file. It is read once for its digest, item by item for its checksums: HDF5 writes in no order of its own."""
        self._output.close()
        if kind is not None:
            return
        with h5py.File(self.file, "r") as file:
            if len(file) != self.items:
                raise WorldError(
                    f"{self.file}: the disk holds {len(file)} of {self.items} items; check it and run the stage again"
                )
        with self.file.open("rb") as stream:
            self.sha256 = hashlib.file_digest(stream, "sha256").hexdigest()

    def written(self) -> Written:
        """What was written, for world.json and for the check of the disk."""
        return Written(path=self.path, files=self.items, bytes=self.bytes, sha256={self.file: self.sha256})
