"""What the stores of one data set say about each other and about the annotations: counted, not found out by training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from stages.features.store import FeatureStore

TOLERANCE = 2  # rows by which a video may be longer or shorter than its annotated duration before it is counted
EXAMPLES = 5


def quality_of_features(
    stores: Mapping[str, FeatureStore], wanted: Mapping[str, Sequence[str]], durations: Mapping[str, float]
) -> dict[str, Any]:
    """The section `features` of quality.json.

    wanted      per store, the annotated ids, sorted
    durations   seconds per video id

    Per store: items, rows, what was left out or repaired, ids without a file, videos whose rows do not fit their duration.
    Per pair of clip features: videos whose numbers of rows differ (the feed uses the shortest).
    """
    report: dict[str, Any] = {}
    for name, store in sorted(stores.items()):
        report[name] = {"items": len(store), "rows": store.info.rows, **store.info.quality}
        missing = [item for item in wanted[name] if item not in store]
        report[name] |= {"without_file": _counted(missing)} if missing else {}
        if store.info.kind == "clip" and store.info.fps is not None:
            report[name] |= _against_durations(store, durations)
    clips = {name: store for name, store in sorted(stores.items()) if store.info.kind == "clip"}
    report["different_lengths"] = {
        f"{one} and {other}": found
        for one, other in combinations(clips, 2)
        if (found := _different_lengths(clips[one], clips[other]))
    }
    return report


def _against_durations(store: FeatureStore, durations: Mapping[str, float]) -> dict[str, Any]:
    ids = [item for item in store.ids if item in durations]
    expected = np.array([math.ceil(durations[item] * (store.info.fps or 1.0)) for item in ids], np.int64)
    difference = store.lengths(ids) - expected
    report = {}
    for rule, wrong in (("longer_than_duration", difference > TOLERANCE), ("shorter_than_duration", difference < -TOLERANCE)):
        if wrong.any():
            report[rule] = {
                **_counted([ids[at] for at in np.flatnonzero(wrong)]),
                "rows_at_most": int(abs(difference[wrong]).max()),
            }
    return report


def _different_lengths(one: FeatureStore, other: FeatureStore) -> dict[str, Any]:
    both = [item for item in one.ids if item in other]
    difference = one.lengths(both) - other.lengths(both)
    wrong = np.flatnonzero(difference)
    if not len(wrong):
        return {}
    return {**_counted([both[at] for at in wrong]), "rows_at_most": int(abs(difference).max())}


def _counted(ids: Sequence[str]) -> dict[str, Any]:
    return {"count": len(ids), "examples": list(ids[:EXAMPLES])}
