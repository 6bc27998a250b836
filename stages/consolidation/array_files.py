"""Published features of many items in one array, and objects in frames: one interface to HDF5 files and folders of npz files.

    frames       key (N, T, D), ids (N,)                                            N videos of T frames
    questions    key (Q, L, D) or (Q, M, L, D), no ids                              rows of a table; M options
    objects      key (N, C, F, B, D), boxes (N, C, F, B, 4), ids (N,)               C clips of F frames with B boxes
                 or per video <name>.npz with key (C, F, B, D), boxes (C, F, B, 4)

Whatever it is, `read` gives (entries, parts, rows, channels): parts are the options of a question, else there is one.
Links, external storage, virtual data sets and objects are refused: what is read is plain numbers in this very file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
from numpy.typing import NDArray

from stages.consolidation.arrays import FLOATS
from stages.consolidation.faults import FaultError
from stages.consolidation.hdf5 import DAMAGES
from stages.features.store import Feature

BLOCK_BYTES = 16_000_000  # read at once
Sizes = Mapping[str, tuple[float, float]]  # video -> (width, height)


class ArrayFile(Protocol):
    """Entries of one file, or of one folder. All have the same shape.

    ids     of the entries; () where they are aligned with a table
    shape   (entries, parts, rows, channels) as stored
    step    how many entries to read at a time
    """

    name: str
    ids: Sequence[str]
    shape: tuple[int, int, int, int]
    dtype: str
    step: int

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """(stop - start, parts, rows, channels). Raises FaultError."""


@contextmanager
def opened(path: Path, name: str, feature: Feature, sizes: Sizes) -> Iterator[ArrayFile]:
    """The array file at `path`, called `name` in messages. Raises FaultError if it is none, or not as `feature` says."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise FaultError("unreadable", f"not a readable HDF5 file ({error})") from None
    with file:
        try:
            found = _Hdf5(file, name, feature, sizes)
        except DAMAGES as error:
            raise FaultError("damaged", f"cannot be read ({error})") from None
        yield found


class _Hdf5:
    def __init__(self, file: Any, name: str, feature: Feature, sizes: Sizes) -> None:
        self.name, self._feature, self._sizes = name, feature, sizes
        self._values = _dataset(file, str(feature.key))
        self._boxes = None if feature.boxes is None else _dataset(file, feature.boxes)
        self.dtype = _float_type(self._values.dtype, str(feature.key))
        if self._boxes is not None:
            _float_type(self._boxes.dtype, str(feature.boxes))
        self.shape = _shape(feature, self._values.shape, None if self._boxes is None else self._boxes.shape)
        self.ids: Sequence[str] = () if feature.ids is None else _ids(_dataset(file, feature.ids), self.shape[0])
        entry = self._values.dtype.itemsize * int(np.prod(self._values.shape[1:]))
        self.step = max(1, BLOCK_BYTES // max(1, entry))
        if self._values.chunks:  # so that no compressed chunk is unpacked twice
            self.step = -(-self.step // self._values.chunks[0]) * self._values.chunks[0]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        try:
            if self._boxes is None:
                return np.asarray(self._values[start:stop]).reshape(stop - start, *self.shape[1:])
            every, objects = self._feature.every, self._feature.grid[1]
            features, boxes = (data[start:stop, ::every, :, :objects] for data in (self._values, self._boxes))
        except DAMAGES as error:
            raise FaultError("damaged", f"entries {start} to {stop} cannot be read ({error})") from None
        rows = [
            _with_boxes(values, corners, self._feature, self._sizes, self.ids[start + number])
            for number, (values, corners) in enumerate(zip(features, boxes, strict=True))
        ]
        return np.stack(rows)[:, None]


class RegionFolder:
    """One npz per video: what `names` maps the wanted videos to."""

    def __init__(self, folder: Path, names: Mapping[str, str], feature: Feature, sizes: Sizes) -> None:
        self.name, self._folder, self._names, self._feature, self._sizes = folder.name, folder, names, feature, sizes
        self.ids: Sequence[str] = sorted(names)
        first = self._load(self.ids[0])
        self.dtype = _float_type(first[0].dtype, str(feature.key))
        shapes = [(len(self.ids), *array.shape) for array in first]
        self.shape = _shape(feature, shapes[0], shapes[1])
        self._entry, self.step = (first[0].shape, first[1].shape), 1

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """See ArrayFile."""
        rows = []
        for video in self.ids[start:stop]:
            features, boxes = self._load(video)
            if (features.shape, boxes.shape) != self._entry or features.dtype.name != self.dtype:
                raise FaultError("shape", f"{self._names[video]}.npz: {features.shape} and {boxes.shape}, others {self._entry}")
            every, objects = self._feature.every, self._feature.grid[1]
            kept, corners = (array[::every, :, :objects] for array in (features, boxes))
            rows.append(_with_boxes(kept, corners, self._feature, self._sizes, video))
        return np.stack(rows)[:, None]

    def _load(self, video: str) -> tuple[NDArray[Any], NDArray[Any]]:
        file = f"{self._names[video]}.npz"
        try:
            with np.load(self._folder / file, allow_pickle=False) as arrays:
                features, boxes = (arrays[str(key)] for key in (self._feature.key, self._feature.boxes))
        except KeyError as error:
            raise FaultError("key", f"{file}: {error}") from None
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise FaultError("unreadable", f"{file}: {error}") from None
        return features, boxes


def _shape(feature: Feature, values: tuple[int, ...], boxes: tuple[int, ...] | None) -> tuple[int, int, int, int]:
    """(entries, parts, rows, channels) as stored, of an array of shape `values`."""
    if boxes is not None:
        frames, objects = feature.grid
        width = values[-1] + (5 if feature.relative_boxes else 4)
        if len(values) != 5 or boxes != (*values[:4], 4):
            raise FaultError("shape", f"{values} and boxes {boxes}, expected (N, C, F, B, D) and (N, C, F, B, 4)")
        if (found := len(range(0, values[1], feature.every)) * values[2]) != frames:
            raise FaultError(
                "shape", f"{values}: every {feature.every} of {values[1]} clips gives {found} frames, grid says {frames}"
            )
        if values[3] < objects:
            raise FaultError("shape", f"{values}: {values[3]} boxes per frame, grid asks for {objects}")
        shape = (values[0], 1, frames * objects, width)
    elif len(values) == 3:
        shape = (values[0], 1, *values[1:])
    elif len(values) == 4 and feature.aligned:
        shape = (values[0], values[1], values[2], values[3])
    else:
        expected = "(Q, L, D) or (Q, M, L, D)" if feature.aligned else "(N, T, D)"
        raise FaultError("shape", f"{values}, expected {expected}")
    if shape[3] != feature.width:
        raise FaultError("width", f"{shape[3]} channels, expected {feature.width}")
    return shape


def _with_boxes(values: NDArray[Any], boxes: NDArray[Any], feature: Feature, sizes: Sizes, video: str) -> NDArray[Any]:
    """(C, F, O, D) and (C, F, O, 4) -> (C * F * O, D + 4 or 5)."""
    if feature.relative_boxes:
        if video not in sizes:
            raise FaultError("size", f"{video!r}: no width and height")
        boxes = relative(boxes, *sizes[video])
    joined = np.concatenate([values, boxes.astype(values.dtype, copy=False)], axis=-1)
    return joined.reshape(-1, joined.shape[-1])


def relative(boxes: NDArray[Any], width: float, height: float) -> NDArray[np.float64]:
    """Corners (..., 4) in pixels -> (..., 5): corners as shares of the picture, and the share of its area; a pixel has area 1."""
    x1, y1, x2, y2 = np.moveaxis(boxes.astype(np.float64), -1, 0)
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    return np.stack([x1 / width, y1 / height, x2 / width, y2 / height, area / (width * height)], axis=-1)


def _dataset(file: Any, key: str) -> Any:
    link = file.get(key, getlink=True)
    if link is None:
        raise FaultError("key", f"no {key!r} in it, it has {', '.join(sorted(file)) or 'nothing'}")
    if not isinstance(link, h5py.HardLink):
        raise FaultError("unsafe member", f"{key!r} is a link to another place")
    node = file[key]
    if not isinstance(node, h5py.Dataset):
        raise FaultError("key", f"{key!r} is a group, it has {', '.join(sorted(node)) or 'nothing'}")
    if node.external or node.is_virtual:
        raise FaultError("unsafe member", f"the values of {key!r} lie in other files")
    return node


def _float_type(dtype: np.dtype[Any], key: str) -> str:
    if dtype.name not in FLOATS:
        raise FaultError("not an array", f"{key!r} holds values of type {dtype.name}, expected {', '.join(FLOATS)}")
    return dtype.name


def _ids(dataset: Any, entries: int) -> list[str]:
    """The ids as text, whole numbers in decimal digits."""
    text = h5py.check_string_dtype(dataset.dtype)
    if text is None and dataset.dtype.kind not in "iuS":
        raise FaultError("ids", f"values of type {dataset.dtype.name}, expected text or whole numbers")
    if dataset.size != entries:
        raise FaultError("ids", f"{dataset.size} ids for {entries} entries")
    values = dataset[()].reshape(-1).tolist()
    try:
        return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
    except UnicodeDecodeError:
        raise FaultError("ids", "an id is not UTF-8") from None
