"""What only a planted world can tell about its questions: the file truth/<split>.parquet beside its published files.

sample_id, causal_objects: [[frame, object], ...] that show the answer, and more (stages/worlds)
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

FOLDER = "truth"


def evidence(raw: Path | None) -> dict[str, tuple[list[tuple[float, float]], float]]:
    """Sample id -> the spans that show its answer and the seconds of its video, of all splits; empty where there is no truth."""
    found: dict[str, tuple[list[tuple[float, float]], float]] = {}
    for path in sorted((raw / FOLDER).glob("*.parquet")) if raw is not None else ():
        if {"duration", "spans"} <= set(pq.read_schema(path).names):
            rows = pq.read_table(path, columns=["sample_id", "duration", "spans"]).to_pylist()
            found |= {row["sample_id"]: ([(start, end) for start, end in row["spans"]], row["duration"]) for row in rows}
    return found


def shortcut_answers(raw: Path | None, split: str) -> dict[str, str]:
    """Sample id -> the answer that the scene of the video prefers; empty where there is no truth, or none about that."""
    path = None if raw is None else raw / FOLDER / f"{split}.parquet"
    if path is None or not path.is_file() or "shortcut_answer" not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=["sample_id", "shortcut_answer"]).to_pylist()
    return {row["sample_id"]: row["shortcut_answer"] for row in table if row["shortcut_answer"]}


def causal_objects(raw: Path | None, split: str) -> dict[str, set[tuple[int, int]]]:
    """Sample id -> (frame, object) pairs that show its answer; empty where there is no truth, or none about objects."""
    path = None if raw is None else raw / FOLDER / f"{split}.parquet"
    if path is None or not path.is_file() or "causal_objects" not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=["sample_id", "causal_objects"]).to_pylist()
    return {
        row["sample_id"]: {(int(frame), int(one)) for frame, one in row["causal_objects"]}
        for row in table
        if row["causal_objects"]
    }


def object_counts(raw: Path | None, split: str) -> dict[str, int]:
    """Sample id -> objects in a frame of its video; empty where there is no truth, or none about that."""
    path = None if raw is None else raw / FOLDER / f"{split}.parquet"
    if path is None or not path.is_file() or "objects" not in pq.read_schema(path).names:
        return {}
    table = pq.read_table(path, columns=["sample_id", "objects"])
    return dict(zip(table["sample_id"].to_pylist(), table["objects"].to_pylist(), strict=True))
