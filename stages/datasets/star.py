"""STAR (Wu et al., NeurIPS 2021): situated reasoning on Charades videos, four options, and the segment that a question is about.

raw     data/raw/<dataset>/annotations/STAR_{train,val,test}.json (test has no answers), Video_Segments.csv, and the lengths of
        the videos (video_lengths.py). As CRA prepares it, the whole video is shown and the segment is the evidence
ids     the question id, "Interaction_T1_13": the text before the first underscore is the category, the second part the template,
        which is the type; a sample is "<video>_<question id>"
select  val is the split that is reported (test has no public answers), so training videos are held out for selection
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.datasets.csv_records import Row, number, table_rows
from stages.datasets.evidence import VideoEvidence, Windows
from stages.datasets.frame_times import star_times
from stages.datasets.json_records import shown
from stages.datasets.json_stream import stream_array
from stages.datasets.question_records import Choices, choice_samples
from stages.datasets.schema import DatasetError, Quality, QuestionSample, Source, published_file, split_file
from stages.datasets.video_lengths import video_lengths

SEGMENTS = "annotations/Video_Segments.csv"
OPTIONS = 4
CATEGORIES = ("Interaction", "Sequence", "Prediction", "Feasibility")
TOLERANCE = 0.01  # seconds; segments are published with different rounding
SOURCE = Source(
    name="star",
    task="questions",
    files={split: f"annotations/STAR_{split}.json" for split in ("train", "val", "test")},
    samples={"train": None, "val": None, "test": None},
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order.

    Raises DatasetError: a record that is no question of STAR, a video whose length is not known.
    """
    path = split_file(SOURCE, raw, split)
    labelled = split != "test"
    segments = _segments(raw, quality)
    rows: list[tuple[int, Row]] = []  # without the situation graphs, which are all of the file's size
    windows: dict[str, dict[str, Windows]] = defaultdict(dict)
    for record, content in stream_array(path):
        row, window = _row(content, f"{path}: record {record}", segments, labelled, quality)
        windows[row["video_id"]][row["qid"]] = (window,)
        rows.append((record, row))
    lengths = video_lengths(raw, windows, quality)
    evidence = {}
    for video, found in windows.items():
        frames, fps = lengths[video]
        times = tuple(star_times(frames, fps))
        evidence[video] = VideoEvidence(duration=frames / fps, fps=fps, windows=found, frame_times=times)
    yield from choice_samples(rows, path, Choices(options=OPTIONS, labelled=labelled), quality, evidence)


def _row(
    content: dict[str, Any], place: str, segments: dict[str, tuple[float, float]], labelled: bool, quality: Quality
) -> tuple[Row, tuple[float, float]]:
    """The columns of CRA's table, and the segment."""
    texts = ("question_id", "question", "video_id", *(("answer",) if labelled else ()))
    for key in texts:
        if not isinstance(content.get(key), str):
            raise DatasetError(f"{place}: {key}: expected a text, got {shown(content.get(key))}; is this the file of this split?")
    qid = content["question_id"]
    parts = qid.split("_")
    if len(parts) != 3 or parts[0] not in CATEGORIES:
        raise DatasetError(f"{place}: question_id: expected <category>_<template>_<number>, got {shown(qid)}; correct the record")
    choices = content.get("choices")
    if not isinstance(choices, list) or len(choices) != OPTIONS:
        raise DatasetError(f"{place} ({qid}): choices: expected {OPTIONS}, got {shown(choices)}; correct the record")
    row = {"video_id": content["video_id"], "qid": qid, "question": content["question"], "type": parts[1]}
    for index, choice in enumerate(choices):
        if not isinstance(choice, dict) or not isinstance(choice.get("choice"), str):
            raise DatasetError(
                f"{place} ({qid}): choices: expected a text under 'choice', got {shown(choice)}; correct the record"
            )
        row[f"a{index}"] = choice["choice"]
    if labelled:
        row["answer"] = content["answer"]
    return row, _segment(content, f"{place} ({qid})", segments, quality)


def _segment(
    content: dict[str, Any], place: str, segments: dict[str, tuple[float, float]], quality: Quality
) -> tuple[float, float]:
    qid, own = content["question_id"], []
    for key in ("start", "end"):
        value = content.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
            raise DatasetError(f"{place}: {key}: expected seconds, got {shown(value)}; correct the record")
        own.append(float(value))
    if qid not in segments:
        quality.note("segment_from_question", qid)
        return own[0], own[1]
    if max(abs(segments[qid][0] - own[0]), abs(segments[qid][1] - own[1])) > TOLERANCE:
        quality.note("segment_differs_from_question", qid)
    return segments[qid]


def _segments(raw: Path, quality: Quality) -> dict[str, tuple[float, float]]:
    """Question id -> (start, end) in seconds."""
    path = published_file(raw, SEGMENTS)
    found: dict[str, tuple[float, float]] = {}
    for line, row in table_rows(path, ("question_id", "video_id", "start", "end"), quality):
        place = f"{path}: line {line} (question {row['question_id']})"
        window = number(row, "start", place), number(row, "end", place)
        if found.setdefault(row["question_id"], window) != window:
            raise DatasetError(f"{place}: the question has another segment before; drop one of them")
    return found
