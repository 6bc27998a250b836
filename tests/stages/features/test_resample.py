"""Videos of any length as equally many clips."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.features.info import StoreInfo
from stages.features.resample import Resampled, cuts, resample
from stages.features.store import FeatureStore, StoreError, StoreWriter


@given(st.integers(1, 700), st.integers(1, 220))
def test_every_clip_is_the_mean_between_its_cuts_or_the_row_where_it_begins(rows, clips):
    values = np.random.default_rng(rows).normal(size=(rows, 2)).astype(np.float32)
    at = cuts(rows, clips)
    expected = [values[a] if a == b else values[a:b].mean(axis=0) for a, b in pairwise(at)]
    np.testing.assert_allclose(resample(values, clips), expected, atol=1e-6)


def test_halves_are_rounded_to_even_cuts():
    assert cuts(2, 4).tolist() == [0, 0, 1, 1, 1]  # 0, 0.5, 1, 1.5, 2, and none beyond the last row


def store(folder, **items):
    with StoreWriter(folder / "i3d.zarr") as writer:
        for name in sorted(items):
            writer.add(name, items[name])
        writer.finish(StoreInfo(dataset="d", feature="i3d", kind="clip"))
    return FeatureStore.open(folder / "i3d.zarr")


def test_resident_and_mapped_videos_are_the_same(tmp_path):
    found = store(tmp_path, a=np.ones((3, 2), np.float32), b=np.arange(80, dtype=np.float32).reshape(40, 2))
    resident, mapped = (Resampled([found], clips=10, budget_bytes=budget, ids=["b", "a"]) for budget in (10**6, 0))
    assert (resident.resident_bytes, mapped.resident_bytes) == (2 * 10 * 2 * 4, 0)
    for asked in (["a", "b"], ["b"]):
        np.testing.assert_array_equal(resident.batch(asked), mapped.batch(asked))


def test_video_with_a_broken_row_is_named(tmp_path):
    found = store(tmp_path, a=np.array([[1, 2], [np.nan, 2]], np.float32))
    with pytest.raises(StoreError, match=r"'a': row 1 is not finite"):
        Resampled([found], clips=4, budget_bytes=0, ids=["a"])
