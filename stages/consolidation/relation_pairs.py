"""Relation features of the VidVRD baseline (Shang et al., 2017): one HDF5 file per segment -> one store, one row per pair.

    <folder>/<video id>/<video id>-<first frame>-<end frame>-relation.h5        frames of four digits
    trackid (n,)       -1: a proposal, else the annotated object's id
    pairs (m, 2)       places among the n trajectories: subject, object
    feats (m, D)       features of each pair, iou (m,) viou of its two trajectories

A row of the store: first frame, end frame, places of subject and object, their track ids, iou, then the D features: width 7 + D.
Rows of a video are sorted by segment; pairs keep their order. Memory holds one video at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from stages.consolidation.faults import ConsolidationError, Fault, FaultError, Faults
from stages.features.store import Feature, StoreInfo, StoreWriter

TOLD = 7  # columns in front of the features
NAME = re.compile(r"(?P<video>.+)-(?P<begin>\d{4,})-(?P<end>\d{4,})-relation\.h5")
KEYS = {"trackid": 1, "pairs": 2, "feats": 2, "iou": 1}  # dimensions


def read_segment(path: Path, video: str, width: int | None = None) -> NDArray[np.float32]:
    """(m, 7 + D) rows of one file.

    Raises FaultError: a name that is none, a key that is missing or of another shape, a pair of trajectories that are not there,
    another width, values that are not finite.
    """
    found = NAME.fullmatch(path.name)
    if found is None or found["video"] != video:
        raise FaultError("name", f"expected {video}-<first frame>-<end frame>-relation.h5, frames of four digits")
    begin, end = int(found["begin"]), int(found["end"])
    if begin >= end:
        raise FaultError("name", f"its frames {begin} to {end} are no segment")
    try:
        with h5py.File(path, "r") as file:
            arrays = {key: _array(file, key, dimensions) for key, dimensions in KEYS.items()}
    except OSError as error:
        raise FaultError("unreadable", f"not a readable HDF5 file ({error})") from None
    tracks, pairs, features, iou = (arrays[key] for key in KEYS)
    if pairs.shape[1] != 2 or not len(pairs) == len(features) == len(iou):
        raise FaultError(
            "dimensions", f"pairs {pairs.shape}, feats {features.shape}, iou {iou.shape}: expected a row per pair each"
        )
    if len(pairs) and (pairs.min() < 0 or pairs.max() >= len(tracks)):
        raise FaultError("not an array", f"pairs name trajectory {int(pairs.max())}, there are {len(tracks)}")
    if width is not None and features.shape[1] + TOLD != width:
        raise FaultError("width", f"{features.shape[1]} features, expected {width - TOLD} (width {width} with {TOLD} in front)")
    pairs = pairs.astype(np.int64)
    frames = np.broadcast_to(np.array([begin, end]), (len(pairs), 2))
    rows = np.concatenate((frames, pairs, tracks[pairs].reshape(-1, 2), iou[:, None], features), axis=1).astype(np.float32)
    if not np.isfinite(rows).all():
        place = int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
        raise FaultError("non-finite", f"pair {place}: NaN or Inf")
    return rows


def _array(file: Any, key: str, dimensions: int) -> NDArray[Any]:
    if key not in file:
        raise FaultError("key", f"no {key!r} in it, it has {', '.join(sorted(file)) or 'nothing'}")
    if not isinstance(file.get(key, getlink=True), h5py.HardLink) or not isinstance(file[key], h5py.Dataset):
        raise FaultError("unsafe member", f"{key!r} is no data set of this file")
    dataset = file[key]
    if dataset.external or dataset.is_virtual:
        raise FaultError("unsafe member", f"the values of {key!r} lie in other files")
    if dataset.ndim != dimensions or dataset.dtype.kind not in "iuf":
        raise FaultError("dimensions", f"{key!r} has shape {dataset.shape} of {dataset.dtype}, expected {dimensions} dimensions")
    values: NDArray[Any] = dataset[()]
    return values


def segments_of(folder: Path, video: str) -> list[Path]:
    """The files of one video, by first frame, then by end."""
    found = [(NAME.fullmatch(path.name), path) for path in sorted((folder / video).glob("*.h5"))]
    return [path for _, path in sorted(found, key=lambda one: (int(one[0]["begin"]), int(one[0]["end"])) if one[0] else (-1, -1))]


def build_pairs(
    path: Path, feature: Feature, raw: Path, wanted: Sequence[str], info: StoreInfo, *, listed: Mapping[str, int] | None = None
) -> StoreInfo:
    """Make the store at `path`; as stages.consolidation.build.build does for single arrays.

    Raises ConsolidationError with every fault of the files. Then there is no new store.
    """
    folder, faults, missing = raw / feature.files, Faults(), 0
    dtype = "float32" if feature.dtype == "keep" else feature.dtype
    with StoreWriter(path, width=feature.width, dtype=dtype) as writer:
        for video in tqdm(sorted(wanted), desc="  videos", unit="video", leave=False, mininterval=0.5):
            files = segments_of(folder, video)
            if not files:
                missing += 1
                if feature.missing == "error":
                    faults.add(Fault("missing", f"{feature.files}/{video}", "no relation features of this annotated video"))
                continue
            rows = list(_rows(files, video, feature, raw, listed, faults))
            if not faults and not sum(map(len, rows)):
                faults.add(Fault("empty", f"{feature.files}/{video}", "no pair in any of its segments"))
            if not faults:
                writer.add(video, np.concatenate(rows).astype(dtype))
        if faults or missing == len(wanted):
            raise ConsolidationError(faults.text(info.feature) if faults else f"{info.feature}: {folder}: no file of any video")
        quality = {**info.quality, **({"missing": missing} if missing else {})}
        return writer.finish(replace(info, quality=quality))


def _rows(
    files: Sequence[Path], video: str, feature: Feature, raw: Path, listed: Mapping[str, int] | None, faults: Faults
) -> Iterator[NDArray[np.float32]]:
    for file in files:
        name = file.relative_to(raw).as_posix()
        try:
            if listed is not None and listed.get(name) != file.stat().st_size:
                raise FaultError("not listed", f"{file.stat().st_size} bytes, manifest.json says {listed.get(name)}")
            yield read_segment(file, video, feature.width)
        except FaultError as error:
            faults.add(error.at(name))
