"""Published windows of time, put in order and cut to their video; repairs and oddities noted by rule. Times are seconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from stages.datasets.schema import Quality

Window = tuple[float, float]
ROUNDING = 1e-6  # seconds; some durations are published with the noise of binary fractions


def inside(window: Window, duration: float, quality: Quality, sample_id: str) -> Window | None:
    """One window, put in order and cut to the video; None if it does not touch the video."""
    start, end = window
    if end < start:
        quality.note("window_reversed_swapped", sample_id)
        start, end = end, start
    if start > duration or end < 0:
        return None
    if start < 0:
        quality.note("window_start_clamped", sample_id)
        start = 0.0
    if end > duration:
        quality.note("window_end_clamped" if end - duration > ROUNDING else "window_end_rounded", sample_id)
        end = duration
    return start, end


def note_windows(windows: Sequence[Window], duration: float, clip: float, quality: Quality, sample_id: str) -> None:
    """Note what is odd about the windows of one record; `clip` is the length of a clip in seconds."""
    for start, end in windows:
        if start == end:
            quality.note("window_zero_length", sample_id)
        elif end - start < clip:
            quality.note("window_shorter_than_clip", sample_id)
        if start == 0 and duration - end < ROUNDING:
            quality.note("window_whole_video", sample_id)
    ordered = sorted(set(windows))
    if len(ordered) < len(windows):
        quality.note("window_repeated", sample_id)
    if any(later[0] < earlier[1] for earlier, later in pairwise(ordered)):
        quality.note("windows_overlap", sample_id)
