"""How well the clips or objects that an answer rests on are those that show it.

    precision = |chosen & true| / |chosen|,   recall = |chosen & true| / |true|,   IoU = |chosen & true| / |chosen | true|

each per question, then averaged over the questions whose evidence is known; percent. Nothing chosen has precision 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Span = tuple[float, float]


def evidence_clips(spans: Sequence[Span], duration: float, clips: int, times: Sequence[float] | None = None) -> Bool:
    """(T,) the clips that show the evidence.

    With times (s) of single frames: those inside. Otherwise clips divide the video evenly, and one counts if the evidence covers
    at least half of it. Where that is none, the nearest frame, or the clip that has most of it.
    """
    if times is not None:
        at = np.asarray(times, dtype=np.float64)
        inside: Bool = np.any([(at >= start) & (at <= end) for start, end in spans], axis=0)
        distance = np.min([np.maximum(start - at, at - end) for start, end in spans], axis=0)
        return inside if inside.any() else _only(int(distance.argmin()), len(at))
    edges = np.linspace(0, duration, clips + 1)
    parts = [np.minimum(edges[1:], end) - np.maximum(edges[:-1], start) for start, end in spans]
    covered = np.clip(parts, 0, None).sum(axis=0)
    inside = np.asarray(covered >= (edges[1:] - edges[:-1]) / 2, dtype=np.bool_)
    return inside if inside.any() else _only(int(covered.argmax()), clips)


def _only(place: int, length: int) -> Bool:
    return np.asarray(np.arange(length) == place, dtype=np.bool_)


def quality(chosen: Sequence[Bool], true: Sequence[Bool], what: str) -> dict[str, float]:
    """Means over questions, pairwise of one shape each; `what` ("clip") names the numbers: "clip precision", "clips chosen"."""
    rows = np.array([agreement(one.ravel(), other.ravel()) for one, other in zip(chosen, true, strict=True)]).mean(axis=0)
    names = (f"{what} precision", f"{what} recall", f"{what} IoU", f"{what}s chosen")
    return dict(zip(names, (100 * rows).tolist(), strict=True))


def random_choice(chosen: Sequence[Bool], seed: int) -> list[Bool]:
    """As many per question, anywhere."""
    random = np.random.default_rng(seed)
    return [random.permutation(one.ravel()).reshape(one.shape) for one in chosen]


def agreement(chosen: Bool, true: Bool) -> tuple[float, float, float, float]:
    """Precision, recall, IoU of one question, 0..1, and the share that is chosen."""
    both, picked, right = (int(one.sum()) for one in (chosen & true, chosen, true))
    return both / max(picked, 1), both / max(right, 1), both / max(picked + right - both, 1), float(chosen.mean())
