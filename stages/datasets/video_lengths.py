"""How many frames a video has, and how many per second: from a table, or from the videos themselves.

annotations/video_frames.csv     video_id, frame_count, and fps where video_fps.json does not have it
annotations/video_fps.json       {"<video_id>.mp4": frames per second}, as STAR publishes it
videos/<video_id>.mp4            read where there is no table, by PyAV or OpenCV if one of them is installed
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from pathlib import Path

from stages.datasets.csv_records import number, table_rows, whole_number
from stages.datasets.json_records import json_object, shown
from stages.datasets.schema import DatasetError, Quality, is_published, published_file

TABLE = "annotations/video_frames.csv"
RATES = "annotations/video_fps.json"
VIDEOS = "videos"
Length = tuple[int, float]  # frames, frames per second


def video_lengths(raw: Path, videos: Iterable[str], quality: Quality) -> dict[str, Length]:
    """(frames, frames per second) of every one of `videos`.

    Raises DatasetError: neither table nor videos, a video that is in neither, a video without frames.
    """
    wanted = sorted(set(videos))
    if is_published(raw, TABLE):
        found = _of_table(published_file(raw, TABLE), _rates(raw), quality)
        source = str(raw / TABLE)
    elif (raw / VIDEOS).is_dir():
        read = _reader()
        found = {video: read(path) for video in wanted if (path := raw / VIDEOS / f"{video}.mp4").is_file()}
        source = str(raw / VIDEOS)
    else:
        raise DatasetError(
            f"{raw}: the lengths of the videos are not known: put a table {TABLE} (video_id,frame_count,fps) there, or the "
            f"videos as {VIDEOS}/<video_id>.mp4 and run `pip install av`"
        )
    if missing := [video for video in wanted if video not in found]:
        raise DatasetError(f"{source}: {len(missing)} videos of the questions are missing, first {', '.join(missing[:5])}")
    for video in wanted:
        frames, fps = found[video]
        if frames < 1 or not 0 < fps < math.inf:
            raise DatasetError(f"{source}: video {video}: {frames} frames at {fps} per second; correct the record")
    return found


def _of_table(path: Path, rates: dict[str, float], quality: Quality) -> dict[str, Length]:
    found = {}
    for line, row in table_rows(path, ("video_id", "frame_count"), quality):
        place = f"{path}: line {line} (video {row['video_id']})"
        if row.get("fps"):
            fps = number(row, "fps", place)
        elif row["video_id"] in rates:
            fps = rates[row["video_id"]]
        else:
            raise DatasetError(f"{place}: no fps, here or in {RATES}; add a column fps")
        found[row["video_id"]] = whole_number(row, "frame_count", place), fps
    return found


def _rates(raw: Path) -> dict[str, float]:
    if not is_published(raw, RATES):
        return {}
    path = published_file(raw, RATES)
    rates = {}
    for name, fps in json_object(path).items():
        if isinstance(fps, bool) or not isinstance(fps, int | float):
            raise DatasetError(f"{path}: {name}: expected frames per second, got {shown(fps)}; correct the record")
        rates[name.removesuffix(".mp4")] = float(fps)
    return rates


def _reader() -> Callable[[Path], Length]:
    """The first of PyAV and OpenCV that is installed, as path -> length."""
    for name, read in (("av", _by_av), ("cv2", _by_opencv)):
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        return lambda path, library=library, read=read: read(library, path)  # type: ignore[misc]
    raise DatasetError(f"reading videos needs PyAV or OpenCV: run `pip install av`, or write the table {TABLE}")


def _by_av(av: object, path: Path) -> Length:
    try:
        with av.open(str(path)) as container:  # type: ignore[attr-defined]
            stream = container.streams.video[0]
            frames = stream.frames or sum(1 for _ in container.decode(stream))
            return int(frames), float(stream.average_rate)
    except Exception as fault:  # each library has errors of its own
        raise DatasetError(f"{path}: not a readable video ({fault}); fetch it again") from fault


def _by_opencv(cv2: object, path: Path) -> Length:
    video = cv2.VideoCapture(str(path))  # type: ignore[attr-defined]
    frames, fps = (video.get(fact) for fact in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS))  # type: ignore[attr-defined]
    video.release()
    if not frames or not fps:
        raise DatasetError(f"{path}: not a readable video; fetch it again")
    return int(frames), float(fps)
