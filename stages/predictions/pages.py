"""What evaluation hands to the results page of a report: example queries, and the plain parts of the page file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.datasets.schema import MomentSample, QuestionSample, Sample

CLIP_SECONDS = 2  # of the raters' clips
HIGHEST_RATING = 12  # three raters, 0..4 each
WINDOWS_SHOWN = 5


def spread(count: int, chosen: int) -> list[int]:
    """At most `chosen` of `count` places, evenly spread, first place first."""
    return [place * count // min(chosen, count) for place in range(min(chosen, count))]


def examples(
    samples: Sequence[MomentSample], predictions: Sequence[Mapping[str, Any]], *, split: str, fps: float, chosen: int
) -> list[dict[str, Any]]:
    """Some queries with what is true and what was predicted, times in seconds."""
    return [example(samples[place], predictions[place], split=split, fps=fps) for place in spread(len(samples), chosen)]


def example(sample: MomentSample, prediction: Mapping[str, Any], *, split: str, fps: float) -> dict[str, Any]:
    """One query of the page."""
    saliency = prediction.get("pred_saliency_scores", [])  # methods that propose windows have none
    return {
        "split": split,
        "sample_id": sample.sample_id,
        "query": sample.query,
        "video_id": sample.video_id,
        "duration": sample.duration,
        "truth": [list(span) for span in sample.spans],
        "windows": prediction["pred_relevant_windows"][:WINDOWS_SHOWN],
        "saliency": saliency,
        "seconds_per_clip": 1 / fps,
        "answerable_probability": prediction.get("relavent_score"),
        "saliency_truth": rated_saliency(sample, len(saliency)) if math.isclose(fps * CLIP_SECONDS, 1) else None,
    }


def rated_saliency(sample: MomentSample, clips: int) -> list[float] | None:
    """The raters' mean per clip as a share of the highest rating, or None where nobody rated."""
    if sample.relevant_clips is None or sample.saliency_scores is None:
        return None
    out = [0.0] * clips
    for clip, scores in zip(sample.relevant_clips, sample.saliency_scores, strict=True):
        if clip < clips:
            out[clip] = sum(scores) / HIGHEST_RATING
    return out


def query_numbers(
    ids: Sequence[str],
    values: Mapping[str, NDArray[np.float64]],
    samples: Sequence[Sample],
    further: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Numbers of every query of a split, for runs side by side: ids and texts (Q,), values (Q,) by measure, null for NaN.

    An id that is neither a sample's nor in `further` (id -> text) has no text.
    """
    texts = {sample.sample_id: asked(sample) for sample in samples} | dict(further or {})
    measures = {
        name: [round(value, 2) if math.isfinite(value) else None for value in found.tolist()] for name, found in values.items()
    }
    return {"ids": list(ids), "queries": [texts.get(one, "") for one in ids], "measures": measures}


def asked(sample: Sample) -> str:
    """The text of a query or question, empty where there is none."""
    match sample:
        case MomentSample():
            return sample.query
        case QuestionSample():
            return sample.question
        case _:
            return ""


def read_history(path: Path) -> list[dict[str, Any]]:
    """Rows of history.csv with numbers as numbers; none where the run was not trained here."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [{name: _number(cell) for name, cell in row.items() if cell} for row in csv.DictReader(stream)]


def _number(cell: str) -> float | str | None:
    try:
        value = float(cell)
    except ValueError:
        return cell
    return value if math.isfinite(value) else None


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, columns in the order of their first appearance."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows([columns, *([_cell(row.get(name)) for name in columns] for row in rows)])
    return out.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
