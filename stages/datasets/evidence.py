"""Where the evidence of a question is in its video, and when the video's frames were shown: the files of NExT-GQA (CVPR 2024).

    gsub_<split>.json         {video: {"duration": seconds, "fps": frames per second, "location": {qid: [[start, end], ...]}}}
    frame2time_<split>.json   {video: [seconds of each of the 32 frames]}

Durations are whole seconds, and windows and frames may lie a little outside them. STAR is given the same form.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.datasets.frame_times import DECODED_FPS, nextgqa_times
from stages.datasets.json_records import json_object, shown
from stages.datasets.schema import DatasetError, Quality, is_published, published_file

LONGEST = 1_000_000  # seconds of a video; more than eleven days are no video, and their frames would fill the memory

Windows = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class VideoEvidence:
    """One video: seconds, frames per second, windows by question id as published, seconds of its frames (None: not known)."""

    duration: float
    fps: float
    windows: Mapping[str, Windows] = field(default_factory=dict)
    frame_times: tuple[float, ...] | None = None


def read_evidence(
    raw: Path, windows: str, frame_times: str | None, quality: Quality, *, computed: Callable[[int], list[float]] = nextgqa_times
) -> dict[str, VideoEvidence]:
    """Evidence of every video of `raw/windows`, with the times in `raw/frame_times` where that file is there.

    Times of a video without published ones are computed from the frames that decoding would give (`computed`).

    Raises DatasetError: `windows` is not there; another structure; numbers that are not finite; lists of different length; a
    video too long for its frames to be counted.
    """
    path = published_file(raw, windows)
    times = _frame_times(raw, frame_times)
    evidence = {}
    for video, entry in json_object(path).items():
        place = f"{path}: video {video}"
        if not isinstance(entry, dict) or not all(key in entry for key in ("duration", "fps", "location")):
            raise DatasetError(f"{place}: expected duration, fps and location, got {shown(entry)}; fetch the file again")
        if not isinstance(entry["location"], dict):
            raise DatasetError(f"{place}: location: expected windows by question id, got {shown(entry['location'])}")
        duration, fps = (_positive(entry[key], f"{place}: {key}") for key in ("duration", "fps"))
        shown_at = times.get(video)
        if shown_at is None:
            if duration > LONGEST:
                raise DatasetError(
                    f"{place}: duration: expected at most {LONGEST} seconds, got {duration:g}; fetch the file again"
                )
            quality.note("frame_times_computed", video)
            shown_at = tuple(computed(max(1, round(duration * DECODED_FPS))))
        found = {qid: _windows(listed, f"{place}: question {qid}") for qid, listed in entry["location"].items()}
        evidence[video] = VideoEvidence(duration=duration, fps=fps, windows=found, frame_times=shown_at)
    return evidence


def note_frame_times(video: str, evidence: VideoEvidence, quality: Quality) -> None:
    """Note what is odd about the frames of one video."""
    times = evidence.frame_times or ()
    if len(set(times)) < len(times):
        quality.note("frame_times_repeat", video)
    if times and times[-1] > evidence.duration:
        quality.note("frame_times_after_duration", video)


def _frame_times(raw: Path, name: str | None) -> dict[str, tuple[float, ...]]:
    if name is None or not is_published(raw, name):
        return {}
    path = published_file(raw, name)
    times: dict[str, tuple[float, ...]] = {}
    for video, listed in json_object(path).items():
        place = f"{path}: video {video}"
        if not isinstance(listed, list) or not listed:
            raise DatasetError(f"{place}: expected a list of seconds, got {shown(listed)}; fetch the file again")
        times[video] = tuple(_number(second, place) for second in listed)
        if any(later < earlier for earlier, later in zip(times[video], times[video][1:], strict=False)):
            raise DatasetError(f"{place}: the times of the frames do not rise; correct the record")
    if len(counts := {len(listed) for listed in times.values()}) > 1:
        raise DatasetError(f"{path}: {sorted(counts)} times per video; every video has the same number of frames")
    return times


def _windows(listed: Any, place: str) -> Windows:
    if not isinstance(listed, list) or not listed:
        raise DatasetError(f"{place}: expected at least one window, got {shown(listed)}; correct the record")
    for window in listed:
        if not isinstance(window, list) or len(window) != 2:
            raise DatasetError(f"{place}: expected windows of the form [start, end], got {shown(window)}; correct the record")
    return tuple((_number(start, place), _number(end, place)) for start, end in listed)


def _number(value: Any, place: str) -> float:
    # beyond the doubles an integer has no place either
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise DatasetError(f"{place}: expected a finite number of seconds, got {shown(value)}; correct the record")
    return float(value)


def _positive(value: Any, place: str) -> float:
    if (number := _number(value, place)) <= 0:
        raise DatasetError(f"{place}: expected a number above 0, got {shown(value)}; correct the record")
    return number
