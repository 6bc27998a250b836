"""What a trained model answers to every question of a split, and the moment that it points at, by three rules.

    pre_hoc    what the network itself sees (None for a network without such an opinion), to a tenth of a second
    post_hoc   around the frame with the largest weight
    merge      what both have in common, or what the settings make of them

One record per question, in the order of the samples: sample_id, video_id, qid, type, prediction, answer, prediction_text,
answer_text, correct, scores, weights (of the frames), chosen (frames within the post-hoc moment), span (the post-hoc moment: what
papers report), and the three moments, [start, end] in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from models.batch import GroundedAnswer
from models.method import Method
from stages.datasets.schema import QuestionSample
from stages.predictions.inference import PredictionError, decode_all
from stages.predictions.pages import spread
from stages.predictions.questions import Feed, example

DIGITS = 6
Record = dict[str, Any]


def predict(
    model: Method, feed: Feed, *, batch_size: int, device: torch.device | str = "cpu", label: str = ""
) -> list[GroundedAnswer]:
    """One answer per sample of the feed.

    Raises PredictionError, naming the sample, if a score or a weight is not finite.
    """
    out = []
    for place, one in decode_all(model, feed, batch_size=batch_size, device=device, label=label):
        if not bool(torch.isfinite(one.scores).all() and torch.isfinite(one.weights).all()):
            raise PredictionError(
                f"sample {feed.samples[place].sample_id}: the model gives a score or a weight that is not finite; "
                "its weights or the features of this sample are damaged"
            )
        out.append(one)
    return out


def frame_times(sample: QuestionSample, frames: int) -> list[float]:
    """Seconds of the frames: as published, or evenly spread over the video; of a video of unknown length their numbers."""
    if sample.frame_times is not None and len(sample.frame_times) == frames:
        return list(sample.frame_times)
    step = (sample.duration or float(frames)) / frames
    return [(frame + 0.5) * step for frame in range(frames)]


def record(sample: QuestionSample, one: GroundedAnswer, moments: Mapping[str, Sequence[float] | None]) -> Record:
    """One line of predictions.jsonl. `moments`: pre_hoc, post_hoc, merge in seconds."""
    post_hoc = moments["post_hoc"]
    assert post_hoc is not None
    times = np.array(frame_times(sample, len(one.weights)))
    answer = -1 if sample.answer_index is None else sample.answer_index
    return {
        "sample_id": sample.sample_id,
        "video_id": sample.video_id,
        "qid": sample.question_id,
        "type": sample.type,
        "prediction": one.answer,
        "answer": answer,
        "prediction_text": sample.options[one.answer],
        "answer_text": sample.answer,
        "correct": None if sample.answer is None else sample.options[one.answer] == sample.answer,
        "scores": [round(value, DIGITS) for value in one.scores.tolist()],
        "weights": [round(value, DIGITS) for value in one.weights.tolist()],
        "chosen": np.flatnonzero((times >= post_hoc[0]) & (times <= post_hoc[1])).tolist(),
        "span": list(post_hoc),
        **{name: None if moment is None else list(moment) for name, moment in moments.items()},
    }


def examples(
    samples: Sequence[QuestionSample], predictions: Sequence[Mapping[str, Any]], *, split: str, chosen: int
) -> list[Record]:
    """Some questions with answer, evidence, and the three moments as windows; their scores fall with the order."""
    out = []
    for place in spread(len(samples), chosen):
        sample, row = samples[place], predictions[place]
        moments = [row[name] for name in ("post_hoc", "pre_hoc", "merge") if row[name] is not None]
        windows = [[*moment, 1 / (rank + 1)] for rank, moment in enumerate(moments)]
        duration = sample.duration or float(len(row["weights"]))
        out.append(example(sample, row, split, windows=windows, duration=duration))
    return out


def published(samples: Sequence[QuestionSample], predictions: Sequence[Mapping[str, Any]]) -> dict[str, bytes]:
    """The files that the scorers of NExT-GQA and STAR read, by the end of their names."""
    rows = [row for _, row in zip(samples, predictions, strict=True)]
    files: dict[str, dict[str, Any]] = {
        ".qa.json": {row["sample_id"]: {"prediction": row["prediction"], "answer": row["answer"]} for row in rows},
        ".frame_weights.json": {row["sample_id"]: row["weights"] for row in rows},
        ".segments_seconds.json": {row["sample_id"]: row["span"] for row in rows},
    }
    if all(row["pre_hoc"] is not None and sample.duration for sample, row in zip(samples, rows, strict=True)):
        files[".segments_normalised.json"] = {
            row["sample_id"]: [value / (sample.duration or 1.0) for value in row["pre_hoc"]]
            for sample, row in zip(samples, rows, strict=True)
        }
    return {end: (json.dumps(content, indent=0) + "\n").encode() for end, content in files.items()}
