import numpy as np

from stages.consolidation.agreement import quality_of_features
from stages.features.store import FeatureStore, StoreInfo, StoreWriter


def store(folder, name, lengths, **info):
    with StoreWriter(folder / f"{name}.zarr") as writer:
        for item in sorted(lengths):
            writer.add(item, np.ones((lengths[item], 2), np.float16))
        writer.finish(StoreInfo(**{"dataset": "d", "feature": name, "kind": "clip", "fps": 0.5, **info}))
    return FeatureStore.open(folder / f"{name}.zarr")


def test_lengths_are_compared_between_clip_features_and_with_durations(tmp_path):
    durations = {"a": 20.0, "b": 20.0, "c": 20.0}
    stores = {
        "clip": store(tmp_path, "clip", {"a": 10, "b": 12, "c": 20}),
        "slowfast": store(tmp_path, "slowfast", {"a": 10, "b": 9}),
        "text": store(tmp_path, "text", {"1": 5}, kind="query", fps=None),
    }
    report = quality_of_features(stores, {"clip": ["a", "b", "c"], "slowfast": ["a", "b", "c"], "text": ["1"]}, durations)
    assert report["clip"] == {
        "items": 3,
        "rows": 42,
        "longer_than_duration": {"count": 1, "examples": ["c"], "rows_at_most": 10},
    }
    assert report["slowfast"]["without_file"] == {"count": 1, "examples": ["c"]}
    assert report["different_lengths"] == {"clip and slowfast": {"count": 1, "examples": ["b"], "rows_at_most": 3}}
    assert report["text"] == {"items": 1, "rows": 5}
