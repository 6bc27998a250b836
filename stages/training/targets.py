"""What a grounding model is trained towards: windows on the clip grid, and one saliency value per clip.

Rules as published with CausalVTG (and UniVTG before it), in float32 like theirs; both numerics share them. Times are seconds,
`fps` is clips per second.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

RATED_CLIP_SECONDS = 2.0  # raters saw clips of this length, whatever the frame rate of the features
MAX_RATING = 12  # three raters, 0 to 4 each
LENGTH_TOLERANCE = 5  # clips by which a video's features may fall short of its rated length


class TargetError(ValueError):
    """Annotation and features of a sample do not belong together."""


def boundary_target(windows: Sequence[Sequence[float]] | Floats, clips: int | NDArray[np.int64], fps: float) -> Floats:
    """Windows (M, 2) as the clip grid can express them: (M, 2) float32.

    Clamped to the video, reversed ones swapped, those shorter than one clip replaced by one clip around their middle, moved
    inside the video if need be.  `clips`: number of clips of the video, or (M,) one number per window.
    """
    ends = np.asarray(clips, dtype=np.float32) / np.float32(fps)
    half = np.float32(0.5 / fps)
    given = np.asarray(windows, dtype=np.float32).reshape(-1, 2)
    inside = np.clip(given, 0, ends[..., None] if ends.ndim else ends)
    inside = np.sort(inside, axis=1)
    middle = np.clip((inside[:, 0] + inside[:, 1]) / 2, half, ends - half)
    widened = np.stack([middle - half, middle + half], axis=1)
    short = inside[:, 1] - inside[:, 0] < np.float32(1 / fps)
    return np.where(short[:, None], widened, inside)


def saliency_from_windows(boundary: Floats, clips: int, fps: float) -> Floats:
    """(clips,) float32: 1 for clips ceil(start * fps) to ceil(end * fps) - 1 of every adjusted window, else 0."""
    target = np.zeros(clips, dtype=np.float32)
    for start, end in np.ceil(boundary * np.float32(fps)).astype(np.int64):
        target[start:end] = 1
    return target


def saliency_from_ratings(
    rated: Sequence[int], scores: Sequence[Sequence[int]], *, clips: int, duration: float, fps: float, where: str
) -> Floats:
    """(clips,) float32: sum of the three ratings of the 2-second clip that a clip lies in, over 12; clips nobody rated get 0.

    Raises TargetError (beginning with `where`): the features are longer than the rated video or shorter by five clips and more, a
    rated clip lies behind the end, the lists differ in length.
    """
    length = int(duration * fps)
    if not 0 <= length - clips < LENGTH_TOLERANCE:
        raise TargetError(
            f"{where}: {clips} clips of features, but {duration:g} s at {fps:g} clips per second are {length}: expected between "
            f"{length - LENGTH_TOLERANCE + 1} and {length}; check fps in params.yaml and the video's feature file"
        )
    if len(rated) != len(scores):
        raise TargetError(f"{where}: {len(rated)} rated clips but {len(scores)} ratings")
    of_clip = (np.arange(length) / (fps * RATED_CLIP_SECONDS)).astype(np.int64)
    ratings = np.zeros(int(of_clip[-1]) + 1 if length else 0, dtype=np.float32)
    if rated and not 0 <= min(rated) <= max(rated) < len(ratings):
        raise TargetError(f"{where}: rated clips {min(rated)} to {max(rated)} of a video of {len(ratings)} rated clips")
    ratings[list(rated)] = np.asarray(scores, dtype=np.float32).reshape(len(rated), -1).sum(axis=1) / np.float32(MAX_RATING)
    return ratings[of_clip][:clips]
