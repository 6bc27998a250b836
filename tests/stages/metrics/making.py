"""Prediction and ground-truth records for the tests of the metrics, written as they stand in files."""

from __future__ import annotations

import random
from typing import Any

from stages.metrics.queries import predictions_of, truth_of
from stages.metrics.records import Records


def predicted(qid, *windows, **more):
    """A prediction record: windows are (start, end, score)."""
    return {"qid": qid, "vid": f"v{qid}", "pred_relevant_windows": [list(window) for window in windows], **more}


def true(qid, *windows, duration=150, **more):
    """A ground-truth record: windows are (start, end)."""
    return {"qid": qid, "vid": f"v{qid}", "duration": duration, "relevant_windows": [list(window) for window in windows], **more}


def columns(predictions, truth):
    """Both sides as the scorers take them."""
    return (
        predictions_of(Records("p.jsonl", predictions, range(1, len(predictions) + 1))),
        truth_of(Records("t.jsonl", truth, range(1, len(truth) + 1))),
    )


def awkward(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], bool]:
    """A small made-up split full of what real files have seldom: ties, repeats, zero lengths, reversed windows, repeated ids.

    The third value says whether queries may be unanswerable.
    """
    rng = random.Random(seed)
    count, repeats, relevance, rated = rng.randint(1, 25), rng.random() < 0.4, rng.random() < 0.4, rng.random() < 0.6
    step = rng.choice([1, 2, 0.5, 0.1])

    def window():
        start = rng.randint(0, int(150 / step)) * step
        return [start, start + rng.choice([0, 1, 2, 5, 20, 50, 100, -3]) * step]

    predictions, truth = [], []
    for number in range(count):
        duration = rng.choice([150, 20.5, 60, 7, 3.9])
        labels = [window() for _ in range(rng.choice([1, 1, 1, 2, 3, 8]))]
        no_answer = relevance and rng.random() < 0.5
        names = {"qid": rng.randint(0, count // 2 + 1) if repeats else number, "vid": f"v{number}"}
        guesses = []
        for _ in range(rng.choice([1, 2, 5, 9, 10, 11, 14])):
            guess = list(rng.choice(labels)) if rng.random() < 0.5 else window()
            guesses.append([guess[0], guess[1] + rng.choice([0, 0, 1, 3]) * step, rng.choice([0.1, 0.5, 0.5, 0.9, -1])])
        one = {**names, "pred_relevant_windows": guesses}
        other = {**names, "duration": duration, "relevant_windows": [[0, 0.001]] if no_answer else labels}
        if relevance:
            one["relavent_score"], other["no_answer"] = rng.choice([0.5, 0.4, 0.6, 0.51]), no_answer
        if rated:
            clips = int(duration / 2)
            chosen = sorted(rng.sample(range(clips), rng.randint(0, clips)))
            least = rng.choice([0, 1, 4])
            other |= {
                "relevant_clip_ids": chosen,
                "saliency_scores": [[rng.randint(least, 4) for _ in range(3)] for _ in chosen],
            }
            length = rng.choice([clips, clips, max(1, clips - 2), clips + 3, 1])
            one["pred_saliency_scores"] = [rng.choice([0, -1, 1, 0.5, round(rng.random(), 1) - 0.5]) for _ in range(length)]
        predictions.append(one)
        truth.append(other)
    left, right = {one["qid"] for one in predictions}, {one["qid"] for one in truth}
    assert left == right
    if not relevance:
        rng.shuffle(predictions)
    return predictions, truth, relevance
