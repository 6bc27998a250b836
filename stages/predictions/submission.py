"""Submission files: JSON lines that the benchmarks' scorers and evaluation servers take, written whole or not at all.

    {"vid", "qid", "pred_relevant_windows": [[start s, end s, score], ...], "pred_saliency_scores": [...], "relavent_score"}

The QVHighlights server wants a zip with hl_val_submission.jsonl and hl_test_submission.jsonl in it.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from stages.predictions.inference import PredictionError

VAL, TEST = "hl_val_submission.jsonl", "hl_test_submission.jsonl"
CLIP_SECONDS = 2
CLIPS_SHORT = 4  # published features of some videos end this much early; scorers fill up with zeros


def submission_name(split: str) -> str:
    """The file name that the benchmark gives to predictions of a split."""
    return VAL if "val" in split else TEST


def lines(records: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines in the reference's spelling: keys in the order given, spaces behind commas and colons."""
    return "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)


def write_jsonl(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write beside and rename."""
    write_beside(path, lines(records).encode())


def write_json(path: Path, value: Any) -> None:
    """One JSON value, written beside and renamed."""
    write_beside(path, (json.dumps(value, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode())


def write_beside(path: Path, data: bytes) -> None:
    """Bytes that are there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


def check(records: Sequence[Mapping[str, Any]], durations: Mapping[Any, float], name: str) -> None:
    """Whether a submission has what the QVHighlights server asks for: each query once, ordered windows in it, a score per clip.

    `durations` has the duration (s) of every query of the split by qid.

    Raises PredictionError naming the file, its line and the query.
    """
    seen: set[Any] = set()
    for number, record in enumerate(records, start=1):
        qid = record["qid"]
        place = f"{name}: line {number}: qid {qid}"
        if qid in seen:
            raise PredictionError(f"{place}: occurs before; one record per query is taken")
        seen.add(qid)
        if qid not in durations:
            raise PredictionError(f"{place}: not a query of this split")
        windows, saliency = record["pred_relevant_windows"], record["pred_saliency_scores"]
        if not windows or any(not 0 <= start <= end <= durations[qid] + 1e-3 for start, end, _ in windows):
            raise PredictionError(f"{place}: pred_relevant_windows: expected windows within 0 and {durations[qid]:g} s")
        if any(first[2] < second[2] for first, second in pairwise(windows)):
            raise PredictionError(f"{place}: pred_relevant_windows: expected falling scores")
        if len(saliency) < max(1, (clips := math.floor(durations[qid] / CLIP_SECONDS)) - CLIPS_SHORT):
            raise PredictionError(
                f"{place}: pred_saliency_scores: {len(saliency)} scores for {clips} clips; are its features cut short?"
            )
    if missing := [qid for qid in durations if qid not in seen]:
        raise PredictionError(f"{name}: {len(missing)} queries have no prediction, the first is qid {missing[0]}")


def write_zip(path: Path, files: Mapping[str, str]) -> None:
    """A zip of text files by name, the same bytes for the same contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(member, files[name])
    partial.replace(path)
