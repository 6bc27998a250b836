"""From weights of a video's frames to the segment that they point at, and what to do with two segments.

Source: the scorers of NExT-GQA (CVPR 2024) and CRA (CVPR 2025).  Segments are [start, end]; T frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

Segment = tuple[float, float]
Merge = Literal["itsc", "uni", "itsc_refine", "itsc_swap", "itsc_mean"]

THRESHOLD_WEIGHT = 0.3  # a frame joins from 1.3 times the mean weight on
DISTANCE = 10.0  # seconds: this far away a frame has to weigh twice as much; no gap reaches further
WINDOWS = (3, 5, 7)  # frames


def around_the_largest(
    weights: ArrayLike,
    times: Sequence[float],
    *,
    threshold_weight: float = THRESHOLD_WEIGHT,
    distance: float = DISTANCE,
    first_frame: bool = False,
) -> Segment:
    """weights (T,), times (T,) in seconds -> the segment around the first largest weight, in seconds.

    Weights are stretched to 0..1. From the largest one, first to the left and then to the right, frames join whose weight,
    damped by their distance, reaches the threshold; gaps are passed over within `distance`. The references never visit the first
    frame; `first_frame` does.
    """
    w = np.asarray(weights, dtype=np.float64)
    w = (w - w.min()) / (w.max() - w.min() + 1e-12)
    top, mean = int(w.argmax()), w.mean()
    threshold = mean + threshold_weight * mean
    ends = [top, top]
    for side, places in enumerate((range(top - 1, -1 if first_frame else 0, -1), range(top + 1, len(w)))):
        for place in places:
            away = abs(times[top] - times[place])
            if w[place] / (1 + away / distance) >= threshold:
                ends[side] = place
            elif away > distance:
                break
    return float(times[ends[0]]), float(times[ends[1]])


def best_window(weights: ArrayLike, sizes: Sequence[int] = WINDOWS) -> Segment:
    """weights (T,) -> first and last frame over T - 1: the window of largest sum that holds the first largest weight.

    Among equal sums the first in the order of `sizes` and from left to right; (0, 0) if no sum is positive.
    """
    w = np.asarray(weights, dtype=np.float64)
    top, best, window = int(w.argmax()), 0.0, (0, 0)
    for size in sizes:
        for start in range(max(0, top - size + 1), min(top, len(w) - size) + 1):
            if (total := float(w[start : start + size].sum())) > best:
                best, window = total, (start, start + size - 1)
    return window[0] / (len(w) - 1), window[1] / (len(w) - 1)


def in_seconds(segment: Sequence[float], duration: float) -> Segment:
    """Fractions of a video -> seconds, rounded to a tenth as the array library rounds."""
    start, end = np.round(np.asarray(segment, dtype=np.float64) * duration, 1).tolist()
    return start, end


def merged(a: Sequence[float], b: Sequence[float], how: Merge = "itsc") -> Segment:
    """Pre-hoc a and post-hoc b, both in seconds.

    uni            from the smallest to the largest of the four numbers
    itsc           what both have; where they have nothing in common: b
    itsc_refine    ... a;   itsc_swap ... the gap between them;   itsc_mean ... the mean of both, rounded down
    """
    if how == "uni":
        return min(*a, *b), max(*a, *b)
    start = a[0] if a[0] > b[0] else b[0]
    end = a[1] if a[1] < b[1] else b[1]
    if start <= end:
        return start, end
    if how == "itsc_swap":
        return end, start
    if how == "itsc_mean":
        return float(math.floor((a[0] + b[0]) / 2)), float(math.floor((a[1] + b[1]) / 2))
    return (a[0], a[1]) if how == "itsc_refine" else (b[0], b[1])
