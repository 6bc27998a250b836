"""Annotation files of VidVRD and VidOR: one JSON object per video (Shang et al., 2017-2019), one folder per split.

    video_id, frame_count, fps, width, height
    subject/objects       [{tid, category}]
    trajectories          per frame a list of {tid, bbox {xmin, ymin, xmax, ymax}, generated}; inclusive pixels
    relation_instances    [{subject_tid, object_tid, predicate, begin_fid, end_fid}]; frames [begin, end)

An object may be missing in frames outside its relations. Within a relation both objects must have a box in every frame: the
published loader refuses such files, so do we. VidOR adds "version" and "video_path".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stages.datasets.json_records import json_object, shown
from stages.datasets.relation_schema import RelationSample
from stages.datasets.schema import DatasetError, Quality, Source, split_file

SIDES = ("xmin", "ymin", "xmax", "ymax")
BEYOND = 1 << 31  # whole numbers are ids, frames and pixels
KNOWN = {"video_id", "frame_count", "fps", "width", "height", "subject/objects", "trajectories", "relation_instances"}
ALSO = {"version", "video_path", "video_hash"}


def read_relation_files(source: Source, raw: Path, split: str, quality: Quality) -> Iterator[RelationSample]:
    """Every JSON file below the split's folder, by path, whatever folders lie in between."""
    folder = split_file(source, raw, split)
    for number, path in enumerate(sorted(folder.rglob("*.json*")), start=1):
        yield read_relation_file(path, path.relative_to(folder).as_posix(), number, quality)


def read_relation_file(path: Path, source: str, record: int, quality: Quality) -> RelationSample:
    """One video.

    Raises DatasetError: a key that is missing or of another type, an unknown object id, a box or a duration that cannot be, a
    relation during which an object has no box.
    """
    content = json_object(path)
    fields = _Fields(content, str(path))
    video = fields.take(content, "video_id", str, "text")
    if video != path.name.split(".")[0]:
        raise DatasetError(f"{path}: video_id {video!r} is not the file's name; put the right file there")
    for key in sorted(set(content) - KNOWN - ALSO):
        quality.note("unknown_key", f"{video}: {key}")
    frames = fields.count(content, "frame_count")
    size = fields.count(content, "width"), fields.count(content, "height")
    fps = fields.take(content, "fps", (int, float), "frames per second above 0")
    if fps <= 0:
        raise DatasetError(f"{path}: fps: expected frames per second above 0, got {shown(fps)}")
    objects = _objects(content, fields)
    tracks = _tracks(content, fields, objects, frames, size, quality, video)
    relations = _relations(content, fields, objects, frames, tracks)
    if len(set(relations)) < len(relations):
        quality.note("relation_repeated", video)
    if not relations:
        quality.note("video_without_relation", video)
    return RelationSample(
        sample_id=video,
        video_id=video,
        frame_count=frames,
        fps=float(fps),
        duration=frames / fps,
        width=size[0],
        height=size[1],
        tids=tuple(objects),
        categories=tuple(objects.values()),
        relations=tuple(row[:4] for row in relations),
        predicates=tuple(row[4] for row in relations),
        track_tids=tracks["tid"].astype("<i4").tobytes(),
        track_frames=tracks["frame"].astype("<i4").tobytes(),
        track_boxes=tracks["box"].astype("<f4").tobytes(),
        source=source,
        record=record,
    )


class _Fields:
    """Typed access to a record; every complaint names the file and the field."""

    def __init__(self, content: dict[str, Any], place: str) -> None:
        self.content, self.place = content, place

    def take(self, record: Any, key: str, kind: type | tuple[type, ...], expected: str, where: str = "") -> Any:
        """record[key], of this type; true and false are no numbers."""
        at = f"{self.place}: {where}{key}"
        if not isinstance(record, dict):
            raise DatasetError(f"{self.place}: {where.rstrip(': ')}: expected a JSON object, got {shown(record)}")
        if key not in record:
            raise DatasetError(f"{at}: missing; expected {expected}; fetch the file again")
        value = record[key]
        far = isinstance(value, int | float) and not abs(value) < BEYOND  # NaN and infinities are not below anything
        if not isinstance(value, kind) or isinstance(value, bool) or far:
            raise DatasetError(f"{at}: expected {expected}, got {shown(value)}; correct the record")
        return value

    def count(self, record: Any, key: str, where: str = "") -> int:
        """A whole number above 0."""
        value: int = self.take(record, key, int, "a whole number above 0", where)
        if value < 1:
            raise DatasetError(f"{self.place}: {where}{key}: expected a whole number above 0, got {value}; correct the record")
        return value


def _objects(content: dict[str, Any], fields: _Fields) -> dict[int, str]:
    """tid -> category, by tid."""
    found: dict[int, str] = {}
    for number, one in enumerate(fields.take(content, "subject/objects", list, "a list of objects")):
        where = f"subject/objects[{number}]: "
        tid = fields.take(one, "tid", int, "a whole number", where)
        if tid in found:
            raise DatasetError(f"{fields.place}: {where}tid {tid} is given twice; correct the record")
        found[tid] = fields.take(one, "category", str, "text", where)
    return dict(sorted(found.items()))


def _tracks(
    content: dict[str, Any],
    fields: _Fields,
    objects: dict[int, str],
    frames: int,
    size: tuple[int, int],
    quality: Quality,
    video: str,
) -> dict[str, np.ndarray]:
    """tid (n,), frame (n,), box (n, 4) of every box, sorted by object, then frame."""
    listed = fields.take(content, "trajectories", list, "a list of boxes per frame")
    if len(listed) != frames:
        raise DatasetError(f"{fields.place}: trajectories: {len(listed)} frames, but frame_count is {frames}; correct the record")
    tids, places, boxes = _plain_rows(listed, objects) or _checked_rows(listed, fields, objects)
    tid_row, frame_row = np.array(tids, dtype=np.int64), np.array(places, dtype=np.int64)
    box_rows = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    if (box_rows[:, :2] < 0).any() or (box_rows[:, 2] >= size[0]).any() or (box_rows[:, 3] >= size[1]).any():
        quality.note("box_outside_frame", video)
    order = np.lexsort((frame_row, tid_row))
    return {"tid": tid_row[order], "frame": frame_row[order], "box": box_rows[order]}


Rows = tuple[list[int], list[int], list[list[float]]]  # of every box: tid, frame, four sides


def _plain_rows(listed: list[Any], objects: dict[int, str]) -> Rows | None:
    """The rows of a file without faults, quickly; None where `_checked_rows` has to say what is wrong."""
    try:
        found = [(one["tid"], frame, one["bbox"]) for frame, several in enumerate(listed) for one in several]
        boxes = [[box[side] for side in SIDES] for _, _, box in found]
    except (KeyError, TypeError):
        return None
    tids, places = [tid for tid, _, _ in found], [frame for _, frame, _ in found]
    plain = set(map(type, tids)) <= {int} and {type(side) for box in boxes for side in box} <= {int, float}
    known = plain and set(tids) <= objects.keys() and len(set(zip(tids, places, strict=True))) == len(tids)
    near = known and all(-BEYOND < low <= high < BEYOND for box in boxes for low, high in (box[::2], box[1::2]))
    return (tids, places, boxes) if near else None


def _checked_rows(listed: list[Any], fields: _Fields, objects: dict[int, str]) -> Rows:
    """The same, box by box. Raises DatasetError for the first that cannot be."""
    tids: list[int] = []
    places: list[int] = []
    boxes: list[list[float]] = []
    for frame, several in enumerate(listed):
        seen: set[int] = set()
        if not isinstance(several, list):
            raise DatasetError(f"{fields.place}: trajectories[{frame}]: expected a list of boxes, got {shown(several)}")
        for one in several:
            where = f"trajectories[{frame}]: "
            tid = fields.take(one, "tid", int, "a whole number", where)
            if tid not in objects or tid in seen:
                what = "occurs twice in this frame" if tid in seen else "is none of subject/objects"
                raise DatasetError(f"{fields.place}: {where}tid {tid} {what}; correct the record")
            seen.add(tid)
            box = fields.take(one, "bbox", dict, "a box {xmin, ymin, xmax, ymax}", where)
            sides = [fields.take(box, side, (int, float), "pixels", f"{where}tid {tid}: bbox: ") for side in SIDES]
            if sides[0] > sides[2] or sides[1] > sides[3]:
                raise DatasetError(f"{fields.place}: {where}tid {tid}: bbox: its sides are the wrong way round: {sides}")
            tids.append(tid)
            places.append(frame)
            boxes.append(sides)
    return tids, places, boxes


def _relations(
    content: dict[str, Any], fields: _Fields, objects: dict[int, str], frames: int, tracks: dict[str, np.ndarray]
) -> list[tuple[int, int, int, int, str]]:
    """(subject, object, begin, end, predicate) as published, each checked against the boxes."""
    shown_in = {tid: tracks["frame"][tracks["tid"] == tid] for tid in objects}
    found = []
    for number, one in enumerate(fields.take(content, "relation_instances", list, "a list of relations")):
        where = f"relation_instances[{number}]: "
        names = ("subject_tid", "object_tid", "begin_fid", "end_fid")
        subject, other, begin, end = (fields.take(one, name, int, "a whole number", where) for name in names)
        predicate = fields.take(one, "predicate", str, "text", where)
        if not 0 <= begin < end <= frames:
            raise DatasetError(
                f"{fields.place}: {where}expected 0 <= begin_fid < end_fid <= {frames}, got {begin} and {end}; correct the record"
            )
        for name, tid in (("subject_tid", subject), ("object_tid", other)):
            if tid not in objects:
                raise DatasetError(f"{fields.place}: {where}{name} {tid} is none of subject/objects; correct the record")
            first, last = np.searchsorted(shown_in[tid], [begin, end])
            if last - first != end - begin:
                missing = sorted(set(range(begin, end)) - set(shown_in[tid][first:last].tolist()))
                raise DatasetError(
                    f"{fields.place}: {where}{name} {tid} has no box in {len(missing)} of its frames {begin} to {end - 1}, "
                    f"the first is {missing[0]}; correct the record"
                )
        found.append((subject, other, begin, end, predicate))
    return found
