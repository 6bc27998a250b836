"""The lists of CPL and CCR: one JSON array of [video, duration, [start, end], sentence], without query ids.

Another selection of the same sentences than the JSON lines of the other repositories: on Charades-STA the records whose window
ended after the video are missing (10,602 of 12,408 and 3,158 of 3,720 are left), and scores on the two are not comparable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from stages.datasets.json_records import json_array, shown
from stages.datasets.moment_records import Layout, Record, samples_of
from stages.datasets.schema import DatasetError, MomentSample, Quality

FIELDS = 4


def read_caption_list(path: Path, layout: Layout, quality: Quality) -> Iterator[MomentSample]:
    """The records in file order, numbered from 0: that number is the query id.

    Raises DatasetError: another structure, and whatever a moment record may not be.
    """
    return samples_of(_records(path, quality), path, layout, quality, unit="record")


def _records(path: Path, quality: Quality) -> Iterator[Record]:
    for number, row in enumerate(json_array(path)):
        if not isinstance(row, list) or len(row) != FIELDS:
            raise DatasetError(
                f"{path}: record {number}: expected [video, duration, [start, end], sentence], got {shown(row)}; "
                "fetch the file again"
            )
        video, duration, window, sentence = row
        record = {"qid": number, "query": sentence, "duration": duration, "vid": video, "relevant_windows": [window]}
        quality.note("query_id_counted", str(number))
        yield number + 1, json.dumps(record, ensure_ascii=False), record
