"""Example queries as the script of the page draws them: moments, answers with what they rest on, or relations, on one time axis.

Texts are made visible, times are kept inside the video. Numbers have four significant digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from stages.reporting import labels
from stages.reporting.pages import RunPage
from stages.reporting.queries import Answer, DictionaryAttention, Example, Relation
from stages.reporting.reading import Number, Window


def short(value: Number) -> Number:
    """Four significant digits, which no screen can tell from the rest and which keep a page small."""
    if value is None or value == 0:
        return value
    return round(value, 3 - math.floor(math.log10(abs(value))))


def examples(page: RunPage, per_split: int) -> list[dict[str, Any]]:
    """Up to `per_split` queries of each split, evenly spread over those that evaluation chose, in its order."""
    chosen: list[dict[str, Any]] = []
    for split in page.splits:
        members = [example for example in page.examples if example.split == split]
        count = min(per_split, len(members))
        chosen += [_timeline(members[n * len(members) // count]) for n in range(count)]
    return chosen


def _timeline(example: Example) -> dict[str, Any]:
    windows = [
        {"span": _span(window, example.duration), "score": short(window[2]), "iou": short(best_iou(window, example.truth))}
        for window in example.windows
    ]
    drawn: dict[str, Any] = {
        "split": example.split,
        "id": labels.visible(example.sample_id),
        "query": labels.visible(example.query),
        "video": labels.visible(example.video_id),
        "duration": short(example.duration),
        "unit": example.unit,
        "truth": [_span(window, example.duration) for window in example.truth],
        "windows": windows,
        "saliency": [short(value) for value in example.saliency],
        "rated": None if example.saliency_truth is None else [short(value) for value in example.saliency_truth],
        "step": example.seconds_per_clip,
        "answerable": short(example.answerable),
    }
    if example.answer is not None:
        drawn |= {"answer": _answer(example.answer), **_looked_at(example)}
    if example.dictionary is not None:
        drawn["dictionary"] = _dictionary(example.dictionary)
    if example.relations is not None:
        truth = [_relation(one, example.duration) for one in example.relations.truth]
        predicted = [_relation(one, example.duration) for one in example.relations.predicted]
        drawn["relations"] = {"truth": truth, "predicted": predicted}
    return drawn


def _answer(answer: Answer) -> dict[str, Any]:
    """Options with the given and the right one marked: by place where the texts of two options are equal."""
    return {
        "given": labels.visible(answer.given),
        "right": None if answer.right is None else labels.visible(answer.right),
        "correct": answer.correct,
        "options": [labels.visible(option) for option in answer.options],
        "scores": [short(value) for value in answer.scores],
        "best": [[labels.visible(text), short(value)] for text, value in answer.best],
    }


def _dictionary(read: DictionaryAttention) -> dict[str, Any]:
    return {
        "entries": list(read.entries),
        "weights": [[short(value) for value in row] for row in read.weights],
        "gate": None if read.gate is None else [short(value) for value in read.gate],
        "size": read.size,
    }


def _looked_at(example: Example) -> dict[str, Any]:
    return {
        "chosen": list(example.chosen),
        "objects": [[int(clip), int(one)] for clip, one in example.objects],
        "shown": None if example.objects_truth is None else [[int(clip), int(one)] for clip, one in example.objects_truth],
        "span": None if example.span is None else _span(example.span, example.duration),
    }


def _relation(one: Relation, duration: float) -> dict[str, Any]:
    return {
        "triplet": [labels.visible(word) for word in one.triplet],
        "span": _span(one.span, duration),
        "score": short(one.score),
        "hit": one.hit,
        "rank": one.rank,
    }


def _span(window: Window, duration: float) -> list[float]:
    """Start and end, kept inside the video: a method's windows are neither clamped nor rounded."""
    return [round(min(max(value, 0.0), duration), 2) for value in window[:2]]


def best_iou(window: Window, truth: Sequence[Window]) -> Number:
    """Largest intersection over union with a true window; None where there is nothing to find.

    For the eye only: the metrics of the tables come from evaluation.
    """
    start, end = window[:2]
    ious = []
    for true_start, true_end in truth:
        overlap = max(0.0, min(end, true_end) - max(start, true_start))
        union = (end - start) + (true_end - true_start) - overlap
        ious.append(overlap / union if union > 0 else 0.0)
    return max(ious, default=None)
