"""The relevance-feedback pairs as RaTSG publishes them (NeurIPS 2024), grouped by video and without query ids.

    {vid: {"duration": seconds, "sts": [{"sentence", "id", "timestamp": [start, end] or [], "no_answer"}]}}

The CausalVTG repository has the same pairs as JSON lines, each with the qid of the last test query of the same text: that is
where its text feature lies. Here the same qid is found the same way, so both forms give the same samples.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.datasets.json_records import json_lines, json_object, shown
from stages.datasets.moment_records import PLACEHOLDER, Layout, Record, samples_of
from stages.datasets.schema import DatasetError, MomentSample, Quality

KEYS = ("sentence", "timestamp", "no_answer")


def read_relevance_feedback(path: Path, queries: Path, layout: Layout, quality: Quality) -> Iterator[MomentSample]:
    """The pairs of `path` in file order; `queries` is the JSON-lines file of the test queries, which names them.

    Raises DatasetError: another structure, a sentence that is no test query, and whatever a moment record may not be.
    """
    return samples_of(_records(path, queries, quality), path, layout, quality, unit="pair")


def _records(path: Path, queries: Path, quality: Quality) -> Iterator[Record]:
    ids = {record.get("query"): record.get("qid") for _, _, record in json_lines(queries, Quality())}
    number = 0
    for video, entry in json_object(path).items():
        if not isinstance(entry, dict) or not isinstance(entry.get("sts"), list) or "duration" not in entry:
            raise DatasetError(
                f"{path}: video {video}: expected duration and a list sts, got {shown(entry)}; fetch the file again"
            )
        for pair in entry["sts"]:
            number += 1
            place = f"{path}: pair {number} (video {video})"
            if not isinstance(pair, dict) or not all(key in pair for key in KEYS):
                raise DatasetError(f"{place}: expected the keys {', '.join(KEYS)}, got {shown(pair)}; fetch the file again")
            if not isinstance(pair["sentence"], str) or pair["sentence"] not in ids:
                raise DatasetError(
                    f"{place}: {shown(pair['sentence'])} is no query of {queries}, so it has no text feature; "
                    "use the JSON-lines form of these pairs, or the test file that belongs to them"
                )
            quality.note("query_id_by_text", f"{video}_{ids[pair['sentence']]}")
            record = {
                "qid": ids[pair["sentence"]],
                "query": pair["sentence"],
                "duration": entry["duration"],
                "vid": video,
                "relevant_windows": [_window(pair["timestamp"], pair["no_answer"])],
                "no_answer": pair["no_answer"],
            }
            yield number, json.dumps(record, ensure_ascii=False), record


def _window(timestamp: Any, no_answer: Any) -> Any:
    """An empty time stamp becomes the placeholder, so that scorers find what they expect."""
    return list(PLACEHOLDER) if no_answer is True and timestamp == [] else timestamp
