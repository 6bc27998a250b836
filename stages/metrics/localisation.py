"""Weakly supervised localisation: proposals ranked by how badly they reconstruct the sentence, with and without a vote.

    IoU = max(0, (min of ends - max of starts + 1e-10) / (max of ends - min of starts + 1e-10))
    votes_i = sum_j IoU(i, j) c_j, i itself among the j;   c_j = 1 (plain), or IoU(j, best ranked) (weighted)

R@1 is the first proposal, or the one with most votes; R@k the best of the first k = min(K, 5) in the order of rank, vote or not.
Source: the evaluation that CPL and CCR share.   Q queries, K proposals.  Spans are fractions of the duration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]

TINY = 1e-10
BACKWARDS = -1e-5  # a hull shorter than this is no hull: the IoU is 0
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
MOST = 5
PROFILES = ("no_vote", "vote_weighted", "vote_plain")


def overlap(first: Float, second: Float) -> Float:
    """IoU of spans (..., 2) and (..., 2) -> (...), in the wider of both precisions. Two equal points have 1."""
    inter = np.minimum(first[..., 1], second[..., 1]) - np.maximum(first[..., 0], second[..., 0])
    hull = np.maximum(first[..., 1], second[..., 1]) - np.minimum(first[..., 0], second[..., 0])
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (inter + TINY) / (hull + TINY)
    return np.where(hull < BACKWARDS, 0.0, np.maximum(ratio, 0.0)).astype(ratio.dtype)


def spans_of(center: Float, width: Float) -> Float:
    """center, width (Q, K) -> spans (Q, K, 2), clipped to 0..1, in 32 bits as the reference's."""
    center, width = center.astype(np.float32), width.astype(np.float32)
    return np.stack([np.maximum(center - width / 2, 0), np.minimum(center + width / 2, 1)], axis=-1)


def ranked(center: Float, width: Float, nll: Float) -> Float:
    """Spans (Q, K, 2), best reconstruction first; of equal ones the first proposal."""
    order = np.argsort(nll.astype(np.float32), axis=1, kind="stable")
    return np.take_along_axis(spans_of(center, width), order[..., None], axis=1)


def elected(spans: Float, profile: str) -> Float:
    """The answer (Q, 2) among ranked spans (Q, K, 2) under one profile; the first in rank on ties."""
    if profile == "no_vote":
        return spans[:, 0]
    votes = np.zeros(spans.shape[:2])  # 64 bits, added up in the order of rank
    agreement = overlap(spans[:, :, None], spans[:, None])  # (Q, K, K), 32 bits
    for other in range(spans.shape[1]):
        weight = agreement[:, 0, other] if profile == "vote_weighted" else np.float32(1)
        votes += agreement[:, :, other].astype(np.float64) * np.asarray(weight, np.float64)[..., None]
    return np.take_along_axis(spans, votes.argmax(axis=1)[:, None, None], axis=1)[:, 0]


def localisation(spans: Float, truth: Float, profile: str) -> dict[str, float]:
    """Values of one profile: ranked spans (Q, K, 2), truth (Q, 2) in 64 bits and not clipped."""
    most = min(spans.shape[1], MOST)
    first = overlap(elected(spans, profile), truth)  # (Q,)
    best = overlap(spans[:, :most], truth[:, None]).max(axis=1)
    values: dict[str, float] = {}
    for name, reached in (("R@1", first), (f"R@{most}", best)):
        values[f"{name},mIoU"] = float(np.mean(reached))
        values |= {f"{name},IoU@{threshold}": float(np.mean(reached >= threshold)) for threshold in THRESHOLDS}
    return values
