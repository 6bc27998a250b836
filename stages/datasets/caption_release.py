"""The original release of ActivityNet Captions, grouped by video and without query ids.

{vid: {"duration": seconds, "timestamps": [[start, end], ...], "sentences": [text, ...]}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from stages.datasets.json_records import json_object, shown
from stages.datasets.moment_records import Layout, Record, samples_of
from stages.datasets.schema import DatasetError, MomentSample, Quality


def read_caption_release(path: Path, layout: Layout, quality: Quality) -> Iterator[MomentSample]:
    """The sentences in file order, numbered from 0: that number is the query id.

    Raises DatasetError: another structure, lists of different length, and whatever a moment record may not be.
    """
    return samples_of(_records(path, quality), path, layout, quality, unit="sentence")


def _records(path: Path, quality: Quality) -> Iterator[Record]:
    number = 0
    for video, entry in json_object(path).items():
        place = f"{path}: video {video}"
        if not isinstance(entry, dict) or not all(key in entry for key in ("duration", "timestamps", "sentences")):
            raise DatasetError(f"{place}: expected duration, timestamps and sentences, got {shown(entry)}; fetch the file again")
        windows, sentences = entry["timestamps"], entry["sentences"]
        if not isinstance(windows, list) or not isinstance(sentences, list) or len(windows) != len(sentences):
            raise DatasetError(f"{place}: timestamps and sentences are not two lists of one length; correct the record")
        for window, sentence in zip(windows, sentences, strict=True):
            record = {"qid": number, "query": sentence, "duration": entry["duration"], "vid": video, "relevant_windows": [window]}
            number += 1
            quality.note("query_id_counted", str(record["qid"]))
            yield number, json.dumps(record, ensure_ascii=False), record
