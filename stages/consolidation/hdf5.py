"""Published features in one HDF5 file: a data set per id at its root, or a group per id with a data set `key` in it.

A video of one row may lie there without its row axis, (D,): axes of size 1 were removed when the file was made. It is one row.
Links to other places or files, external storage and virtual data sets are refused: what is read is in this file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from stages.consolidation.arrays import FLOATS, LARGEST_FILE, Array
from stages.consolidation.faults import Fault, FaultError

UNQUESTIONED = 1 << 20  # bytes
DENSEST = 5000  # unpacked bytes per stored byte; deflate reaches 1032. HDF5 makes up what was never written
# what h5py makes of a damaged file: each call has its own way to say so
DAMAGES = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


def located(path: Path, key: str | None) -> Iterator[tuple[str, Array | Fault]]:
    """(id, its rows or what is wrong) for everything at the root, in the order of the ids.

    Raises FaultError if the file is none, or damaged.
    """
    with _opened(path) as file:
        for name in _names(file):
            try:
                yield name, _array(_dataset(file, name, key))
            except FaultError as error:
                yield name, error.at(name)
            except DAMAGES as error:
                yield name, Fault("damaged", name, f"cannot be read ({error})")


def rows(path: Path, key: str | None, wanted: Iterable[tuple[str, Array]], dtype: str) -> Iterator[memoryview | Fault]:
    """The rows of each wanted id as bytes of the type that is stored, or what is wrong; memory holds one id at a time."""
    with _opened(path) as file:
        for name, array in wanted:
            try:
                dataset = _dataset(file, name, key)
                if _array(dataset) != array:
                    raise FaultError("damaged", "the file changed while it was read")
                values = dataset[()].reshape(array.rows, array.width)
            except FaultError as error:
                yield error.at(name)
            except DAMAGES as error:
                yield Fault("damaged", name, f"cannot be read ({error})")
            else:
                with np.errstate(over="ignore"):  # what overflows a smaller type becomes Inf, and is found as such later
                    yield np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).data.cast("B")


def _names(file: Any) -> list[str]:
    try:
        return sorted(file)
    except DAMAGES as error:
        raise FaultError("unreadable", f"its list of members cannot be read ({error})") from None


def _opened(path: Path) -> Any:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FaultError("unreadable", f"not a readable HDF5 file ({error})") from None


def _dataset(file: Any, name: str, key: str | None) -> Any:
    node = _member(file, name)
    if key is not None:
        if not isinstance(node, h5py.Group):
            raise FaultError("key", f"a data set, but `key` {key!r} is looked for in a group")
        if key not in node:
            raise FaultError("key", f"no {key!r} in it, it has {', '.join(sorted(node)) or 'nothing'}")
        node = _member(node, key)
    if not isinstance(node, h5py.Dataset):
        raise FaultError("key", f"a group, it has {', '.join(sorted(node)) or 'nothing'}")
    if node.external or node.is_virtual:
        raise FaultError("unsafe member", "its values lie in other files")
    return node


def _member(group: Any, name: str) -> Any:
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FaultError("unsafe member", "a link to another place")
    return group[name]


def _array(dataset: Any) -> Array:
    dtype = dataset.dtype
    if dtype.name not in FLOATS:
        raise FaultError("not an array", f"values of type {dtype.name}")
    shape = dataset.shape if dataset.ndim != 1 else (1, *dataset.shape)
    if len(shape) != 2:
        raise FaultError("dimensions", f"shape {tuple(dataset.shape)}")
    size = shape[0] * shape[1] * dtype.itemsize
    if size > LARGEST_FILE:
        raise FaultError("too large", f"{size} bytes unpacked")
    if size > UNQUESTIONED and size > DENSEST * (held := dataset.id.get_storage_size()):
        raise FaultError("damaged", f"{size} bytes of rows are stated, {held} are there")
    return Array(rows=shape[0], width=shape[1], dtype=dtype.name, packed=size, size=size, whole=True)
