"""Causal-VidQA (Li et al., CVPR 2022): description, explanation, prediction, counterfactual; five options, six questions a video.

raw     data/raw/<dataset>/annotations/{train,val,test}.csv in TranSTR's layout: video_id, type, question, answer (text), a0..a4,
        and width, height of the video, by which boxes are made relative; or as released: annotations/QA/<video>/text.json and
        answer.json, and the ids of a split as a JSON list in annotations/split/{train,valid,test}.json (released as a pickle)
kinds   predictions and counterfactuals ask for an answer (p, c) and for its reason (pr, cr)
ids     type is one of d, e, p, pr, c, cr and names the question within its video: a sample is "<video>_<type>"; video ids contain
        underscores
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.datasets.csv_records import Row
from stages.datasets.json_records import json_array, json_object, shown
from stages.datasets.question_records import Choices, choice_samples, read_choices
from stages.datasets.schema import DatasetError, Quality, QuestionSample, Source, split_file

KINDS = {  # type -> part of a video's files, and the key in it
    "d": ("descriptive", "answer"),
    "e": ("explanatory", "answer"),
    "p": ("predictive", "answer"),
    "pr": ("predictive", "reason"),
    "c": ("counterfactual", "answer"),
    "cr": ("counterfactual", "reason"),
}
OPTIONS = 5
SOURCE = Source(
    name="causal_vidqa",
    task="questions",
    files={split: f"annotations/{split}.csv" for split in ("train", "val", "test")},
    alternatives={
        "train": "annotations/split/train.json",
        "val": "annotations/split/valid.json",
        "test": "annotations/split/test.json",
    },
    samples={"train": None, "val": None, "test": None},
    validation="val",
)


def read(raw: Path, split: str, quality: Quality) -> Iterator[QuestionSample]:
    """Yield the samples of one split in file order.

    Raises DatasetError for a type of question that there is not, and whatever a question may not be.
    """
    path = split_file(SOURCE, raw, split)
    if path.name.removesuffix(".gz").endswith(".csv"):
        samples = read_choices(path, Choices(options=OPTIONS, question="type"), quality)
    else:
        samples = choice_samples(_released(raw, path), path, Choices(options=OPTIONS, question="type"), quality)
    for sample in samples:
        if sample.type not in KINDS:
            where = f"{path}: record {sample.record} (video {sample.video_id})"
            raise DatasetError(f"{where}: type: expected one of {', '.join(KINDS)}, got {sample.type!r}; correct the record")
        yield sample


def _released(raw: Path, path: Path) -> Iterator[tuple[int, Row]]:
    """The six questions of every video of a split as rows of TranSTR's table."""
    number = 0
    for video in json_array(path):
        if not isinstance(video, str) or "/" in video or video in (".", ".."):
            raise DatasetError(f"{path}: expected ids of videos, got {shown(video)}; fetch the file again")
        folder = raw / "annotations" / "QA" / video
        if not all((folder / name).is_file() for name in ("text.json", "answer.json")):
            raise DatasetError(f"{folder}: no text.json and answer.json; unpack the annotations there")
        text, answer = (json_object(folder / name) for name in ("text.json", "answer.json"))
        for kind, (part, key) in KINDS.items():
            number += 1
            yield number, _row(video, kind, text.get(part), answer.get(part), key, f"{folder}: {part}")


def _row(video: str, kind: str, text: Any, answer: Any, key: str, place: str) -> Row:
    match text, answer:
        case {"question": str(question)}, dict() if isinstance(text.get(key), list) and len(text[key]) == OPTIONS:
            options, right = text[key], answer.get(key)
            if all(isinstance(option, str) for option in options) and type(right) is int and 0 <= right < OPTIONS:
                row = {"video_id": video, "type": kind, "question": question, "answer": options[right]}
                return row | {f"a{index}": option for index, option in enumerate(options)}
    raise DatasetError(f"{place}: expected a question, {OPTIONS} texts under {key!r} and the place of the right one; correct it")
