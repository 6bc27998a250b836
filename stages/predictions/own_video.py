"""One video of the user's own: feature files as published extractors write them, and queries as text features.

Files are npz (key `features` for clips, `last_hidden_state` for tokens, or the only array in it), npy, or pt with a bare tensor.
Nothing is unpickled. Rows are fed as in training: each file's rows divided by their L2 norm + 1e-5, cut to the shortest file,
side by side.

T clips, L tokens, D channels of all files.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.batch import Grounding, Moments
from models.method import Method
from stages.features.torch_files import load_restricted
from stages.predictions.inference import PredictionError

Rows = NDArray[np.float32]
EPSILON = np.float32(1e-5)
KEYS = ("features", "last_hidden_state")


@dataclass(frozen=True, kw_only=True)
class OwnVideo:
    """clips (T, D) as a method is fed them; fps clips per second; duration in seconds."""

    name: str
    clips: Rows
    fps: float
    duration: float


def read_video(
    files: Sequence[Path], *, width: int, fps: float, duration: float | None = None, name: str | None = None
) -> OwnVideo:
    """The files of one video, in the order in which the run fuses its features; the duration is that of the clips unless given.

    Raises PredictionError as read_clips does.
    """
    clips = read_clips(files, width=width, normalise=True)
    seconds = len(clips) / fps if duration is None else duration
    return OwnVideo(name=name or files[0].stem, clips=clips, fps=fps, duration=seconds)


def read_clips(files: Sequence[Path], *, width: int, normalise: bool) -> Rows:
    """(T, width) of the files of one video side by side, each file's rows divided by their norms or as they are.

    Raises PredictionError for a file that is no feature file, if the channels of all files do not add up to `width`, or if files
    differ in length.
    """
    parts = [normalised(rows) if normalise else rows for rows in map(read_rows, files)]
    if (found := sum(part.shape[1] for part in parts)) != width:
        shown = ", ".join(f"{file} has {part.shape[1]}" for file, part in zip(files, parts, strict=True))
        raise PredictionError(
            f"{shown} channels, {found} in all; the run takes {width}: give its features, all of them, in its order"
        )
    shortest = min(map(len, parts))
    if max(map(len, parts)) - shortest > max(2, shortest // 10):
        shown = ", ".join(f"{file} has {len(part)}" for file, part in zip(files, parts, strict=True))
        raise PredictionError(f"{shown} clips: these are not features of one video, clip by clip")
    return np.concatenate([part[:shortest] for part in parts], axis=1)


def read_query(file: Path, *, width: int, normalise: bool = True) -> Rows:
    """Token features (L, width) of one text, normalised or as they are.

    Raises PredictionError as read_clips does.
    """
    tokens = normalised(read_rows(file)) if normalise else read_rows(file)
    if tokens.shape[1] != width:
        raise PredictionError(f"{file}: {tokens.shape[1]} channels; the run takes text features of {width}")
    return tokens


def read_rows(file: Path) -> Rows:
    """(T, D) of one feature file as float32.

    Raises PredictionError naming the file: not there, another format, no rows, or a value that is not finite.
    """
    return _checked(file, "clips, channels")


def read_objects(file: Path, *, width: int) -> Rows:
    """(T, O, width) regions of every frame with their boxes, as float32; a region of zeros is no object.

    Raises PredictionError as read_rows does, or for another width.
    """
    regions = _checked(file, "frames, objects, channels")
    if regions.shape[2] != width:
        raise PredictionError(f"{file}: {regions.shape[2]} channels; the run takes objects of {width}, boxes included")
    return regions


def _checked(file: Path, axes: str) -> Rows:
    try:
        values = _read(file)
    except FileNotFoundError:
        raise PredictionError(f"{file}: no such file") from None
    except PredictionError:
        raise
    except Exception as error:  # numpy, zipfile and torch each have their own ways to say "broken"
        raise PredictionError(
            f"{file}: not a readable feature file ({error}); expected npz, npy or a pt with a bare tensor"
        ) from error
    if values.ndim != len(axes.split(",")) or not values.size or not np.issubdtype(values.dtype, np.floating):
        raise PredictionError(f"{file}: expected rows of floats ({axes}), got {values.dtype} of shape {values.shape}")
    out = values.astype(np.float32)
    if (bad := np.flatnonzero(~np.isfinite(out).reshape(len(out), -1).all(axis=1))).size:
        raise PredictionError(f"{file}: row {bad[0]} has a value that is not finite ({bad.size} such rows); extract it again")
    return out


def _read(file: Path) -> NDArray[np.generic]:
    if file.suffix in (".pt", ".pth"):
        tensor = load_restricted(file)
        if not isinstance(tensor, torch.Tensor):
            raise PredictionError(f"{file}: expected a bare tensor, got {type(tensor).__name__}")
        return tensor.float().numpy()
    if file.suffix == ".npy":
        return np.asarray(np.load(file, allow_pickle=False))
    if file.suffix == ".npz" or zipfile.is_zipfile(file):
        with np.load(file, allow_pickle=False) as archive:
            key = next((key for key in KEYS if key in archive), archive.files[0] if len(archive.files) == 1 else None)
            if key is None:
                raise PredictionError(
                    f"{file}: expected an array named {' or '.join(KEYS)}, it has {', '.join(archive.files) or 'none'}"
                )
            return np.asarray(archive[key])
    raise PredictionError(f"{file}: expected a file that ends in .npz, .npy or .pt")


def normalised(rows: Rows) -> Rows:
    """Each row divided by its L2 norm + 1e-5."""
    norms = np.sqrt(np.square(rows.astype(np.float64)).sum(axis=1, keepdims=True)).astype(np.float32)
    return np.asarray(rows / (norms + EPSILON), dtype=np.float32)


def ground(model: Method, video: OwnVideo, tokens: Rows, device: torch.device | str = "cpu") -> Moments:
    """What the model says about one query (L, D) on the video."""
    batch = Grounding(
        video=torch.from_numpy(video.clips)[None],
        video_mask=torch.ones(1, len(video.clips), dtype=torch.bool),
        query=torch.from_numpy(tokens)[None],
        query_mask=torch.ones(1, len(tokens), dtype=torch.bool),
        fps=torch.tensor([video.fps]),
        duration=torch.tensor([video.duration]),
        video_group=torch.zeros(1, dtype=torch.int64),
    ).to(device)
    with torch.inference_mode():
        (moments,) = model.decode(model(batch, None), batch)
    assert isinstance(moments, Moments)
    return moments
