import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.confounders.kmeans import ClusteringError, corrected, pool, released
from tests.shared import SHARED, needs

CASE = SHARED / "parity/causalvtg/kmeans"


def blobs(seed=0, groups=5, each=40, width=6):
    """Groups of points around far apart centres, shuffled: (points, group of each)."""
    random = np.random.default_rng(seed)
    centres = 20 * random.normal(size=(groups, width))
    group = random.permutation(np.repeat(np.arange(groups), each))
    return (centres[group] + random.normal(size=(groups * each, width))).astype(np.float32), group


def cluster(points, **changes):
    return corrected(points, **({"k": 5, "seed": 0, "iterations": 300, "seeding_rows": 1000} | changes))


def test_an_item_is_pooled_over_time_in_float32():
    mean, maximum = pool(np.array([[1, 4], [3, 2]], dtype=np.float16))
    assert mean.tolist() == [2, 3]
    assert maximum.tolist() == [3, 4]
    assert mean.dtype == maximum.dtype == np.float32


@pytest.mark.parametrize("seeding_rows", [1000, 50])
def test_groups_that_lie_apart_become_the_clusters(seeding_rows):
    points, group = blobs()
    found = cluster(points, seeding_rows=seeding_rows)
    assert sorted(found.counts.tolist()) == [40] * 5
    assert all(len(set(group[found.labels == label])) == 1 for label in range(5))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 8))
def test_a_row_is_the_member_nearest_to_its_centre(seed, k):
    points = np.random.default_rng(seed).normal(size=(40, 3)).astype(np.float32)
    found = cluster(points, k=k, seed=seed)
    assert found.labels[found.members].tolist() == list(range(k))
    for label in range(k):
        distance = np.linalg.norm(points[found.labels == label] - found.centres[label], axis=1)
        own = np.linalg.norm(points[found.members[label]] - found.centres[label])
        assert own <= distance.min() + 1e-5


def test_the_first_of_equally_near_members_stands_for_the_cluster():
    points = np.repeat(np.array([0.0, 100.0], dtype=np.float32), 3)[:, None] @ np.ones((1, 2), dtype=np.float32)
    assert sorted(cluster(points, k=2).members.tolist()) == [0, 3]


def test_one_seed_gives_one_result():
    points, _ = blobs()
    first, again = cluster(points, seeding_rows=60), cluster(points, seeding_rows=60)
    assert np.array_equal(first.centres, again.centres)
    assert np.array_equal(first.members, again.members)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_too_few_items_are_refused():
    with pytest.raises(ClusteringError, match="4 items cannot make 5 clusters; set a smaller k"):
        cluster(blobs()[0][:4])
    with pytest.raises(ClusteringError, match="clusters stay empty: too many of the 20 items are equal"):
        cluster(np.ones((20, 2), dtype=np.float32))


def test_released_rows_are_members_of_their_clusters_but_not_always_the_nearest():
    points, _ = blobs()
    found = released(points, -points, k=5, seed=1, iterations=300)
    for clusters in found.values():
        assert sorted(clusters.labels[clusters.members].tolist()) == list(range(5))
    assert found["mean"].members.tolist() != cluster(points).members.tolist()


@pytest.mark.shared
@needs(CASE)
def test_the_stored_extraction_of_the_reference_is_repeated_exactly():
    config = json.loads((CASE / "config.json").read_text())
    with np.load(CASE / "inputs.npz") as inputs:
        pooled = [pool(inputs[name]) for name in sorted(inputs)]
    mean, maximum = (np.stack(values) for values in zip(*pooled, strict=True))
    found = released(mean, maximum, k=config["n_clusters"], seed=config["numpy_seed"], iterations=300)
    with np.load(CASE / "outputs.npz") as expected:
        for name, values in (("mean", mean), ("max", maximum)):
            clusters = found["mean" if name == "mean" else "max"]
            assert np.array_equal(values, expected[f"pooled_{name}"])
            assert np.array_equal(clusters.labels, expected[f"labels_{name}"])
            assert np.array_equal(clusters.members, expected[f"picked_{name}"])
            assert np.array_equal(values[clusters.members], expected[f"{name}_pool_c"])
