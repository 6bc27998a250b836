"""What a trained model answers to every question of a split, and what it looked at.

One record per question, in the order of the samples:

    sample_id, video_id, qid, type
    prediction, answer            option or class; answer -1: no class is right, or nobody knows
    prediction_text, answer_text, correct
    scores                        of the options; of an open-ended question instead best: [[text, probability], ...]
    chosen                        clips that the answer rests on, from 0
    weights                       of the clips, sum 1
    objects                       [[clip, object], ...] that it rests on, for methods that see objects
    span                          [start s, end s] of the run of chosen clips with the largest weight, if the duration is known
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.batch import Answer
from models.method import Method
from stages.datasets.schema import QuestionSample
from stages.predictions.inference import AnyFeed, PredictionError, decode_all
from stages.predictions.pages import spread

BEST = 5  # answers of an open-ended question that are kept
DIGITS = 6
Record = dict[str, Any]
Segment = tuple[float, float, float]


class Feed(AnyFeed, Protocol):
    """What inference needs of stages.training.questions.QuestionFeed."""

    answers: NDArray[np.int64]

    def answer_text(self, place: int, number: int) -> str:
        """The words of an answer."""


def predict(model: Method, feed: Feed, *, batch_size: int, device: torch.device | str = "cpu", label: str = "") -> list[Record]:
    """One record per sample of the feed.

    Raises PredictionError, naming the sample, if a score is not finite.
    """
    out = []
    for place, one in decode_all(model, feed, batch_size=batch_size, device=device, label=label):
        sample = feed.samples[place]
        if not bool(torch.isfinite(one.scores).all()):
            raise PredictionError(
                f"sample {sample.sample_id}: the model gives a score that is not finite; "
                "its weights or the features of this sample are damaged"
            )
        out.append(_record(feed, place, one))
    return out


def accuracy(model: Method, feed: Feed, *, batch_size: int, device: torch.device | str = "cpu") -> float:
    """Percent of the feed's questions that are answered rightly."""
    found = decode_all(model, feed, batch_size=batch_size, device=device, label="validation")
    return 100 * float(np.mean([one.answer == feed.answers[place] for place, one in found]))


def _record(feed: Feed, place: int, one: Answer) -> Record:
    sample: QuestionSample = feed.samples[place]
    answer = int(feed.answers[place])
    weights = one.weights.double() / one.weights.double().sum().clamp(min=1e-12)
    out: Record = {
        "sample_id": sample.sample_id,
        "video_id": sample.video_id,
        "qid": sample.question_id,
        "type": sample.type,
        "prediction": one.answer,
        "answer": answer,
        "prediction_text": feed.answer_text(place, one.answer),
        "answer_text": sample.answer,
        "correct": one.answer == answer if sample.answer is not None else None,
    }
    if sample.options:
        out["scores"] = _rounded(one.scores)
    else:
        probable, classes = one.scores.softmax(dim=0).topk(min(BEST, len(one.scores)))
        out["best"] = [
            [feed.answer_text(place, number), value] for number, value in zip(classes.tolist(), _rounded(probable), strict=True)
        ]
    out |= {"chosen": one.chosen.nonzero()[:, 0].tolist(), "weights": _rounded(weights)}
    if one.objects is not None:
        out["objects"] = one.objects.nonzero().tolist()
    runs = segments(one.chosen.numpy(), weights.numpy(), sample.duration) if sample.duration is not None else []
    return out | {"span": list(runs[0][:2]) if runs else None}


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, DIGITS) for value in values.tolist()]


def segments(chosen: NDArray[np.bool_], weights: NDArray[np.floating[Any]], duration: float) -> list[Segment]:
    """Unbroken runs of the chosen clips, (start s, end s, sum of their weights) by falling weight.

    Clips divide the video evenly.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]]).astype(np.int8))).reshape(-1, 2)
    step = duration / max(len(chosen), 1)
    runs = [
        (round(begin * step, DIGITS), round(end * step, DIGITS), float(weights[begin:end].sum())) for begin, end in edges.tolist()
    ]
    return sorted(runs, key=lambda run: (-run[2], run[0]))


def examples(
    samples: Sequence[QuestionSample],
    predictions: Sequence[Mapping[str, Any]],
    *,
    split: str,
    chosen: int,
    objects: Mapping[str, set[tuple[int, int]]] | None = None,
) -> list[Record]:
    """Some questions with their answers, the evidence and the chosen clips as windows, times in seconds.

    objects    sample id -> (clip, object) pairs that show the answer, where a planted world tells them

    Of a video of unknown length a clip counts as a second.
    """
    known = objects or {}
    return [
        _example(samples[place], predictions[place], split, known.get(samples[place].sample_id))
        for place in spread(len(samples), chosen)
    ]


def _example(sample: QuestionSample, prediction: Mapping[str, Any], split: str, objects: set[tuple[int, int]] | None) -> Record:
    clips = len(prediction["weights"])
    duration = sample.duration or float(clips)
    chosen = np.isin(np.arange(clips), prediction["chosen"])
    windows = segments(chosen, np.array(prediction["weights"]), duration)
    truth = None if objects is None else [list(pair) for pair in sorted(objects)]
    return example(sample, prediction, split, windows=windows, duration=duration, objects_truth=truth)


def example(
    sample: QuestionSample,
    prediction: Mapping[str, Any],
    split: str,
    *,
    windows: Sequence[Sequence[float]],
    duration: float,
    objects_truth: list[list[int]] | None = None,
) -> Record:
    """One question of the page; windows (start s, end s, score), the best first; (clip, object) pairs that show the answer."""
    return {
        "split": split,
        "sample_id": sample.sample_id,
        "query": sample.question,
        "video_id": sample.video_id,
        "duration": duration,
        "truth": [list(span) for span in sample.spans],
        "windows": [list(window) for window in windows[:BEST]],
        "saliency": prediction["weights"],
        "seconds_per_clip": duration / len(prediction["weights"]),
        "answerable_probability": None,
        "saliency_truth": None,
        "unit": "s" if sample.duration else "clip",
        "answer": {
            "given": prediction["prediction_text"],
            "right": sample.answer,
            "options": list(sample.options),
            "correct": prediction["correct"],
            "scores": prediction.get("scores", []),
            "best": prediction.get("best", []),
        },
        "chosen": prediction["chosen"],
        "objects": prediction.get("objects", []),
        "objects_truth": objects_truth,
        "span": prediction["span"],
    }


def published(predictions: Sequence[Mapping[str, Any]]) -> bytes:
    """The file that the scorers of NExT-QA, MSVD-QA and others read: sample id -> {"prediction", "answer"}."""
    content = {row["sample_id"]: {"prediction": row["prediction"], "answer": row["answer"]} for row in predictions}
    return (json.dumps(content, indent=0) + "\n").encode()


def by_rank(predictions: Sequence[Record]) -> list[dict[str, float]]:
    """Percentage of questions whose right answer is among the k best, k = 1..5: `threshold` is k, `R1` the percentage."""
    places = np.array([_place(row) for row in predictions])
    most = max((len(row["scores"] if "scores" in row else row["best"]) for row in predictions), default=0)
    return [{"threshold": float(k), "R1": 100 * float(np.mean(places < k))} for k in range(1, min(most, BEST) + 1)]


def _place(row: Record) -> int:
    """How many answers the method prefers to the right one; BEST if it is not among those that are known."""
    if "scores" in row:
        right = row["answer"]
        return BEST if right < 0 else sum(score > row["scores"][right] for score in row["scores"])
    texts = [text for text, _ in row["best"]]
    return texts.index(row["answer_text"]) if row["answer_text"] in texts else BEST
