"""Clusters of many frames, or of question graphs: the confounders of CRA (CVPR 2025).

scikit-learn's mini-batch k-means with its default batches, three initialisations (what its releases did by themselves when the
reference was written) and a fixed seed. A graph is clustered as one long row: all its nodes together.

V rows, K clusters, N nodes, D channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from stages.confounders.kmeans import ClusteringError, Floats

INITIALISATIONS = 3


@dataclass(frozen=True, kw_only=True)
class MiniBatchClusters:
    """centres and means of the members, both (K, ...) as the rows; means are NaN for a cluster without members.

    labels    (V,) int64: the cluster of each row
    """

    centres: Floats
    means: Floats
    labels: NDArray[np.int64]


def clusters(rows: Floats, *, k: int, seed: int, initialisations: int = INITIALISATIONS) -> MiniBatchClusters:
    """rows (V, D), or graphs (V, N, D), float32 -> K clusters, in one thread: the same bytes on any number of cores.

    Raises ClusteringError if there are fewer than K rows.
    """
    if len(rows) < k:
        raise ClusteringError(f"{len(rows)} rows cannot make {k} clusters; set a smaller k")
    flat = rows.reshape(len(rows), -1)
    with threadpool_limits(1):
        fitted = MiniBatchKMeans(n_clusters=k, random_state=seed, n_init=initialisations).fit(flat)
    means = np.full((k, flat.shape[1]), np.nan, dtype=np.float32)
    for label in range(k):
        if (own := fitted.labels_ == label).any():
            means[label] = flat[own].mean(axis=0)
    shape = (k, *rows.shape[1:])
    centres = fitted.cluster_centers_.astype(np.float32)
    return MiniBatchClusters(
        centres=centres.reshape(shape),
        means=means.reshape(shape),
        labels=fitted.labels_.astype(np.int64),
    )
