"""Accuracy by how complex a video is: its length and the number of objects in a frame.

Limits: 80 s and 10 objects, the first at which adaptive selection is said to pay (TranSTR, ICCV 2023).   Q questions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stages.metrics.question_report import LONG_SECONDS

CROWDED = 10  # objects in a frame
LIMITS = ((LONG_SECONDS, "s"), (CROWDED, "objects"))
SIDES = ("up to", "above")
Floats = NDArray[np.float64]


def group_names(name: str) -> tuple[str, ...]:
    """What the groups of an accuracy of that name are called."""
    return tuple(_group(name, side, limit, unit) for limit, unit in LIMITS for side in SIDES)


def _group(name: str, side: str, limit: float, unit: str) -> str:
    return f"{name}, {side} {limit:g} {unit}"


def by_complexity(
    accuracy: Floats, durations: Sequence[float | None], objects: Sequence[int | None], name: str = "Acc"
) -> dict[str, Floats]:
    """accuracy (Q,), seconds and objects per frame of its videos -> the same by group, (Q,) each, NaN outside the group.

    A property that does not tell the questions apart gives no groups.
    """
    out: dict[str, Floats] = {}
    for values, (limit, unit) in zip((durations, objects), LIMITS, strict=True):
        known = np.array([np.nan if value is None else value for value in values], np.float64)
        above = known > limit
        if above.any() and (known <= limit).any():
            for side, inside in zip(SIDES, (known <= limit, above), strict=True):
                out[_group(name, side, limit, unit)] = np.where(inside, accuracy, np.nan)
    return out
