"""Mini-batch clusters of frames and graphs."""

from __future__ import annotations

import numpy as np
import pytest

from stages.confounders.kmeans import ClusteringError
from stages.confounders.minibatch import clusters


def piles(count: int, *shape: int) -> np.ndarray:
    """Three tight piles of rows far from each other."""
    random = np.random.default_rng(0)
    middle = 10 * np.arange(3).repeat(count).reshape(-1, *(1 for _ in shape))
    return (middle + 0.1 * random.standard_normal((3 * count, *shape))).astype(np.float32)


@pytest.mark.parametrize("shape", [(4,), (8, 3)], ids=["frames", "graphs"])
def test_piles_are_found_and_keep_their_shape(shape):
    found = clusters(piles(50, *shape), k=3, seed=43)
    assert found.centres.shape == found.means.shape == (3, *shape)
    assert sorted(np.round(found.means.reshape(3, -1).mean(axis=1)).tolist()) == [0, 10, 20]
    np.testing.assert_allclose(found.centres, found.means, atol=0.1)


def test_same_seed_same_bytes():
    rows = piles(40, 6)
    one, other = (clusters(rows, k=5, seed=7) for _ in range(2))
    assert one.centres.tobytes() == other.centres.tobytes()


def test_fewer_rows_than_clusters_are_refused():
    with pytest.raises(ClusteringError, match="6 rows cannot make 7 clusters"):
        clusters(piles(2, 3), k=7, seed=0)
