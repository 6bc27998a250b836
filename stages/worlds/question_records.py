"""Annotation files of the question data sets, in the layouts of their hosts.

NExT-GQA    <split>.csv: video_id, frame_count, width, height, question, answer (text), qid, type, a0..a4
            gsub_<split>.json: video -> duration (whole s), location: qid -> spans (s), fps
            frame2time_<split>.json: video -> times (s)
NExT-QA     <split>.csv: video, frame_count, width, height, question, answer (0-4), qid, type, a0..a4
MSVD-QA     <split>.csv, separated by tabs: row number without a name, answer, id, question (with "?"), video_id

A video's id is a number, unlike in every split; a question's counts within its video, but over the whole of MSVD-QA.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stages.worlds.grammar import Asked, Content, phrase, spelled, word
from stages.worlds.question_truth import evidence_spans
from stages.worlds.scm import Video
from stages.worlds.settings import KINDS, OPTIONS, Planted

FPS = 30.0
SIZE = (640, 480)
CHOICES = tuple(f"a{index}" for index in range(OPTIONS))
GROUNDED = ("video_id", "frame_count", "width", "height", "question", "answer", "qid", "type", *CHOICES)
CHOICE = ("video", *GROUNDED[1:])
OPEN = ("", "answer", "id", "question", "video_id")


def number(settings: Planted, video: Video) -> int:
    """The published id of a video."""
    return settings.splits[video.split].first_qid + video.index + 1


def question_number(settings: Planted, asked: Asked) -> int:
    """The id of an open-ended question, unique over all videos of all splits."""
    return number(settings, asked.video) * len(KINDS) * settings.max_events + asked.qid


def choice_row(settings: Planted, asked: Asked, offered: tuple[Content, ...]) -> dict[str, object]:
    """Everything of a multiple-choice record but the answer, with the video's id under both names."""
    video = asked.video
    texts = [spelled(phrase(asked.form, option)) for option in offered]
    return {
        "video_id": number(settings, video),
        "video": number(settings, video),
        "frame_count": round(video.duration * FPS),
        "width": SIZE[0],
        "height": SIZE[1],
        "question": asked.text,
        "qid": asked.qid,
        "type": asked.type,
        **dict(zip(CHOICES, texts, strict=True)),
    }


def open_row(settings: Planted, asked: Asked, row: int) -> dict[str, object]:
    """An open-ended record."""
    return {
        "": row,
        "answer": word(asked.form, asked.answer),
        "id": question_number(settings, asked),
        "question": f"{asked.text}?",
        "video_id": number(settings, asked.video),
    }


def grounding(settings: Planted, questions: Iterable[Asked], videos: Sequence[Video]) -> dict[str, Any]:
    """gsub: every video, with and without questions, as published."""
    found: dict[str, Any] = {
        str(number(settings, video)): {"duration": round(video.duration), "location": {}, "fps": FPS} for video in videos
    }
    for asked in questions:
        found[str(number(settings, asked.video))]["location"][str(asked.qid)] = evidence_spans(asked)
    return found


def frame_times(settings: Planted, videos: Sequence[Video]) -> dict[str, list[float]]:
    """frame2time: the middle of every clip, in seconds to one decimal."""
    return {
        str(number(settings, video)): [round((t + 0.5) * video.duration / video.clips, 1) for t in range(video.clips)]
        for video in videos
    }


def write_json(path: Path, value: Any) -> None:
    """One line of JSON, keys in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value) + "\n", encoding="utf-8", newline="\n")


class Table:
    """A CSV file under way; use as a context manager."""

    def __init__(self, path: Path, columns: Sequence[str], delimiter: str = ",") -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.DictWriter(self._file, columns, delimiter=delimiter, lineterminator="\n", extrasaction="ignore")
        self._writer.writeheader()

    def add(self, row: dict[str, object]) -> None:
        """One record; keys that are no columns are left out."""
        self._writer.writerow(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
