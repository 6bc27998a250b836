"""Which frames of a video stand for it, and when they were shown.

A video is cut into 32 clips; the frame in the middle of each stands for it. Sources: the sampling of NExT-GQA (CVPR 2024) and CRA
(CVPR 2025); the rule for NExT-GQA reproduces its published frame2time files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FRAMES = 32
CLIP = 4  # frames of a clip, of which the third counts
DECODED_FPS = 6  # of NExT-GQA's frames, of which every third is kept
KEPT = 3


def clip_centres(count: int, frames: int = FRAMES) -> NDArray[np.int64]:
    """Indices (frames,) of the middle frames, of `count` frames there are.

    Clips that stick out at the start are filled up in front with the first frame, those at the end behind with the last one.
    """
    place = np.linspace(0, count, frames + 2).astype(np.int64)[1 : frames + 1]
    begin, end = np.maximum(place - CLIP // 2, 0), np.minimum(place + CLIP // 2, count)
    filled_in_front = np.where(begin == 0, CLIP - (end - begin), 0)
    centres: NDArray[np.int64] = np.clip(begin + CLIP // 2 - filled_in_front, 0, count - 1)
    return centres


def nextgqa_times(decoded: int) -> list[float]:
    """Seconds, to one decimal, of the 32 frames of a video with `decoded` frames at 6 per second."""
    return [round((KEPT * k + 1) / DECODED_FPS, 1) for k in clip_centres(nextgqa_kept(decoded)).tolist()]


def nextgqa_kept(decoded: int) -> int:
    """Frames that are kept: every third, beginning with the first."""
    return -(-decoded // KEPT)


def star_times(count: int, fps: float) -> list[float]:
    """Seconds, to two decimals, of the 32 frames of a STAR video with `count` frames."""
    return [round(k / fps, 2) for k in clip_centres(count).tolist()]
