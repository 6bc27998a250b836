"""From what a model says about a query to the windows that are published: clamp, round, suppress.

Everything is computed in 32-bit floats, because the published windows are: (start s, end s, score).
Source: the post-processing of CausalVTG (NeurIPS 2025); greedy suppression of overlapping windows.

B queries, P windows of a query before suppression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]
Rounding = Literal["corrected", "released"]


def postprocess(
    windows: Sequence[ArrayLike],
    durations: Sequence[float],
    *,
    rounding: Rounding,
    unit: float | None,
    nms_threshold: float,
    top: int | None = None,
) -> list[Float]:
    """Windows as decoded, one (P_i, 3) array per query -> windows as published, (K_i, 3) float32 by descending score.

    `durations` (seconds, one per query) bound the windows; `unit` (seconds) is what their ends are rounded to, None: not at all.
    "released" keeps the rows that end at or after the duration unrounded, as the reference does; "corrected" rounds all rows,
    clamps them again, and drops those of zero length unless nothing else is left.
    """
    if not windows:
        return []
    rows, real = _stacked(windows)  # (B, P, 3), (B, P)
    limits = np.asarray(durations, dtype=np.float32)[:, None]  # (B, 1)
    rows, real = (_released if rounding == "released" else _corrected)(rows, real, limits, unit)
    order = np.argsort(np.where(real, -rows[..., 2], np.inf), axis=1, kind="stable")  # (B, P)
    rows, real = np.take_along_axis(rows, order[..., None], axis=1), np.take_along_axis(real, order, axis=1)
    kept = suppress(rows, real, nms_threshold)
    return [query[keep][:top] for query, keep in zip(rows, kept, strict=True)]


def suppress(rows: Float, real: Bool, threshold: float) -> Bool:
    """Greedy suppression: windows (B, P, 3) by descending score, real (B, P) -> survivors (B, P).

    A window survives if its IoU with every better survivor is below `threshold`. Two windows of zero length have the IoU 0/0,
    which is not below anything: the later one goes.
    """
    start, end = rows[..., 0], rows[..., 1]
    length = end - start
    kept = real.copy()
    limit = np.float32(threshold)
    for k in range(rows.shape[1] - 1):
        later = slice(k + 1, None)
        inter = np.minimum(end[:, later], end[:, k, None]) - np.maximum(start[:, later], start[:, k, None])
        np.maximum(inter, np.float32(0), out=inter)
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = inter / (length[:, later] + length[:, k, None] - inter)
        kept[:, later] &= (overlap < limit) | ~kept[:, k, None]
    return kept


def submission_record(
    *, vid: str, qid: Any, windows: ArrayLike, saliency: ArrayLike | None, answerable: float | None
) -> dict[str, Any]:
    """One line of the submission format, keys in the published order (and spelling).

    `saliency` has one score per clip. `answerable` is the probability that the query can be answered; a method without an opinion
    gives None and the key is absent.
    """
    record: dict[str, Any] = {"vid": vid, "qid": qid, "pred_relevant_windows": np.asarray(windows).tolist()}
    if saliency is not None:
        record["pred_saliency_scores"] = np.asarray(saliency).tolist()
    if answerable is not None:
        record["relavent_score"] = float(answerable)
    return record


def _stacked(windows: Sequence[ArrayLike]) -> tuple[Float, Bool]:
    """Ragged windows -> (B, P, 3) padded with zeros, (B, P) True = real."""
    arrays = [np.asarray(one, dtype=np.float32).reshape(-1, 3) for one in windows]
    rows = np.zeros((len(arrays), max(map(len, arrays)), 3), np.float32)
    real = np.zeros(rows.shape[:2], np.bool_)
    for index, array in enumerate(arrays):
        rows[index, : len(array)] = array
        real[index, : len(array)] = True
    return rows, real


def _released(rows: Float, real: Bool, limits: Float, unit: float | None) -> tuple[Float, Bool]:
    inside = rows[..., 1] < limits  # before clamping: a window cut at the end of the video is not rounded
    rows[..., :2] = np.clip(rows[..., :2], np.float32(0), limits[..., None])
    rows[..., :2] = np.where(inside[..., None], _rounded(rows[..., :2], unit), rows[..., :2])
    return rows, real


def _corrected(rows: Float, real: Bool, limits: Float, unit: float | None) -> tuple[Float, Bool]:
    rows[..., :2] = np.clip(rows[..., :2], np.float32(0), limits[..., None])
    rows[..., :2] = np.clip(_rounded(rows[..., :2], unit), np.float32(0), limits[..., None])
    long = real & (rows[..., 1] > rows[..., 0])
    return rows, np.where(long.any(axis=1, keepdims=True), long, real)


def _rounded(seconds: Float, unit: float | None) -> Float:
    if unit is None:
        return seconds
    step = np.float32(unit)
    return np.asarray(np.rint(seconds / step) * step, dtype=np.float32)  # rint: halves go to the even multiple
