"""Predictors that look at nothing: what a method has to beat.

random    a window of a training moment's share of the video, placed anywhere; ten of them, with random scores
centre    the middle of the video, as long as the average training moment
never     only where queries may be unanswerable: "not in this video", always
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.datasets.schema import MomentSample
from stages.predictions.inference import published_ids
from stages.predictions.moments import submission_record

WINDOWS = 10
CLIP_SECONDS = 2


def shares(training: Sequence[MomentSample]) -> NDArray[np.float64]:
    """(N,) length of every training moment as a share of its video."""
    return np.array([(end - start) / sample.duration for sample in training for start, end in sample.spans], dtype=np.float64)


def baselines(
    samples: Sequence[MomentSample], lengths: NDArray[np.float64], *, seed: int, unanswerable: bool
) -> dict[str, list[dict[str, Any]]]:
    """Submission records per baseline. `lengths` are `shares` of the training moments.

    Saliency, one score per 2-second clip, is random, or falls off from the middle.
    """
    out = {
        "random": random_windows(samples, lengths, seed),
        "centre": [_centre(sample, float(lengths.mean())) for sample in samples],
    }
    if unanswerable:
        out["never"] = [{**record, "relavent_score": 0.0} for record in out["centre"]]
    return out


def random_windows(samples: Sequence[MomentSample], lengths: NDArray[np.float64], seed: int) -> list[dict[str, Any]]:
    """Ten windows per sample. One seed gives the same windows whatever is scored beside them."""
    generator = np.random.default_rng(seed)
    out = []
    for sample in samples:
        length = generator.choice(lengths, WINDOWS) * sample.duration
        start = generator.random(WINDOWS) * (sample.duration - length)
        scores = np.sort(generator.random(WINDOWS))[::-1]
        windows = np.stack([start, start + length, scores], axis=1)
        out.append(_record(sample, windows, generator.random(_clips(sample))))
    return out


def _centre(sample: MomentSample, share: float) -> dict[str, Any]:
    middle, half = sample.duration / 2, share * sample.duration / 2
    clips = _clips(sample)
    saliency = 1 - np.abs(np.arange(clips) - (clips - 1) / 2) / max(clips, 1)
    return _record(sample, np.array([[middle - half, middle + half, 1.0]]), saliency)


def _clips(sample: MomentSample) -> int:
    return max(1, math.floor(sample.duration / CLIP_SECONDS))


def _record(sample: MomentSample, windows: NDArray[np.float64], saliency: NDArray[np.float64]) -> dict[str, Any]:
    vid, qid = published_ids(sample)
    return submission_record(vid=vid, qid=qid, windows=windows, saliency=saliency, answerable=1.0)
