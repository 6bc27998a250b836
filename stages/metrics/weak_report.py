"""The flat numbers of one split of weakly supervised localisation, in percent.

"R@1,IoU@0.5" is the run's headline: of the answer that its evaluation is set to, with a vote or without. The same with
"no_vote.", "vote_weighted." or "vote_plain." in front is the answer of that profile; "R@5,..." is the best of the first five,
which a vote does not change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.metrics.localisation import MOST, PROFILES, elected, localisation, overlap, ranked

Floats = NDArray[np.floating[Any]]
Rows = Sequence[Mapping[str, Any]]
LENGTHS = ((0.0, 0.1), (0.1, 0.3), (0.3, 1.0))  # of the true window, as a share of the video
LIMITS = (0.1, 0.3, 0.5, 0.7, 0.9)


def ranked_spans(predictions: Rows) -> Floats:
    """(Q, K, 2) of prediction records, best first."""
    center, width, nll = (np.array([row[name] for row in predictions]) for name in ("center", "width", "nll"))
    return ranked(center, width, nll)


def numbers(spans: Floats, truth: Floats, headline: str) -> dict[str, float]:
    """All profiles of ranked spans (Q, K, 2) against truth (Q, 2), fractions."""
    out: dict[str, float] = {}
    for profile in PROFILES:
        values = {name: 100 * value for name, value in localisation(spans, truth, profile).items()}
        out |= {f"{profile}.{name}": value for name, value in values.items() if name.startswith("R@1,")}
        if profile == headline:
            out = {**values, **out}
    return out


def recall(spans: Floats, truth: Floats, headline: str) -> list[dict[str, float]]:
    """R@1 and R@5 at each threshold, percent."""
    first, best = _reached(spans, truth, headline)
    return [
        {"threshold": limit, "R1": 100 * float(np.mean(first >= limit)), "R5": 100 * float(np.mean(best >= limit))}
        for limit in LIMITS
    ]


def groups(spans: Floats, truth: Floats, headline: str) -> list[dict[str, Any]]:
    """By the length of the true window."""
    first, best = _reached(spans, truth, headline)
    share = truth[:, 1] - truth[:, 0]
    out: list[dict[str, Any]] = []
    for low, high in LENGTHS:
        inside = (share > low) & (share <= high)
        if inside.any():
            out.append(
                {
                    "group": f"window of {100 * low:g} to {100 * high:g} % of the video",
                    "count": int(inside.sum()),
                    "R@1,mIoU": 100 * float(first[inside].mean()),
                    "R@1,IoU@0.5": 100 * float(np.mean(first[inside] >= 0.5)),
                    "R@5,IoU@0.5": 100 * float(np.mean(best[inside] >= 0.5)),
                }
            )
    return out


def baselines(training: Floats, truth: Floats, seed: int) -> dict[str, dict[str, float]]:
    """A window of a training window's length at a random place, and one in the middle: (n, 2) and (Q, 2) fractions."""
    generator = np.random.default_rng(seed)
    length = np.clip(generator.choice(training[:, 1] - training[:, 0], len(truth)), 0, 1)
    start = generator.random(len(truth)) * (1 - length)
    middle = np.full(len(truth), float(np.clip(np.mean(training[:, 1] - training[:, 0]), 0, 1)))
    guesses = {
        "random window": np.stack([start, start + length], axis=1),
        "centre window": np.stack([0.5 - middle / 2, 0.5 + middle / 2], axis=1),
    }
    return {
        name: {key: 100 * value for key, value in localisation(spans[:, None], truth, "no_vote").items() if "R@1," in key}
        for name, spans in guesses.items()
    }


def _reached(spans: Floats, truth: Floats, headline: str) -> tuple[Floats, Floats]:
    return overlap(elected(spans, headline), truth), overlap(spans[:, :MOST], truth[:, None]).max(axis=1)
