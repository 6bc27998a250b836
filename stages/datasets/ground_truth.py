"""The ground truth that a benchmark's scorers read, made again from samples.

Scorers compare with the records as published: windows neither clamped nor swapped, placeholders of unanswerable pairs included.
So these records are the published ones, not the repaired spans.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.datasets.schema import DatasetError, MomentSample, QuestionSample


def is_labelled(samples: Iterable[MomentSample]) -> bool:
    """Whether every record says what is right: a window, or that there is none."""
    return all(sample.spans or sample.answerable is False for sample in samples)


def ground_truth(samples: Iterable[MomentSample]) -> list[dict[str, Any]]:
    """The published records, parsed, in the order of the samples.

    Raises DatasetError for a record without labels.
    """
    return [json.loads(_labelled(sample).published) for sample in samples]


def published_windows(sample: QuestionSample) -> tuple[tuple[float, float], ...]:
    """Evidence in seconds as it was published, where the record has it: neither clamped nor swapped. Else the sample's spans."""
    location = json.loads(sample.published).get("location")
    return tuple((start, end) for start, end in location) if location else sample.spans


def fractions(samples: Sequence[MomentSample]) -> NDArray[np.float64]:
    """The one published window of each sample as fractions of its duration, (Q, 2): as it is published, not clipped.

    Raises DatasetError for a record without labels, or with several windows.
    """
    out = np.empty((len(samples), 2))
    for row, sample in enumerate(samples):
        record = json.loads(_labelled(sample).published)
        if len(found := record["relevant_windows"]) != 1:
            where = f"{sample.source}: record {sample.record} ({sample.sample_id})"
            raise DatasetError(f"{where}: {len(found)} windows; localisation without times is scored against exactly one")
        out[row] = np.array(found[0], dtype=np.float64) / record["duration"]
    return out


def _labelled(sample: MomentSample) -> MomentSample:
    if not is_labelled([sample]):
        raise DatasetError(
            f"{sample.source}: record {sample.record} ({sample.sample_id}) has no labels, so it cannot be scored; "
            "score a labelled split, or put the published labels beside it and run consolidate again"
        )
    return sample
