"""Rows of a confounder dictionary: one real item per k-means cluster of pooled features.

corrected   V items, sorted by id; k-means++ seeds among a seeded draw of the items, Lloyd to the end over all of them;
            row k = the member nearest to centre k, the first id among equals
released    the extraction script of CausalVTG (NeurIPS 2025): full k-means++, row k = a random member of cluster k, one generator
            for everything in the order: fit on max-pooled, fit on mean-pooled, members of the max, members of the mean clusters

Clustering is scikit-learn's. Lloyd runs at the speed of its matrix product there; what costs is seeding, hence the draw.

V items, K rows, D channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans, kmeans_plusplus
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

Floats: TypeAlias = NDArray[np.float32]
Indices: TypeAlias = NDArray[np.int64]

BLOCK_ROWS = 2048  # items whose distances are computed in float64 at a time


class ClusteringError(ValueError):
    """The items cannot be clustered as asked. The message says how many there are and what to change."""


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """Centres (K, D), the cluster of each item (V,), members that stand for the clusters (K,), sum of squared distances."""

    centres: Floats
    labels: Indices
    members: Indices
    inertia: float

    @property
    def counts(self) -> Indices:
        """Items per cluster (K,)."""
        return np.bincount(self.labels, minlength=len(self.centres)).astype(np.int64)


def pool(rows: NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Mean and maximum over time of one item (T, D), each (D,) float32."""
    values = rows.astype(np.float32, copy=False)
    return values.mean(axis=0), values.max(axis=0)


def corrected(points: Floats, *, k: int, seed: int, iterations: int, seeding_rows: int) -> Clusters:
    """Clusters of points (V, D), each with its nearest member. One thread: the same bytes whatever the machine's number of cores.

    Raises ClusteringError if there are fewer than K different items.
    """
    if len(points) < k:
        raise ClusteringError(f"{len(points)} items cannot make {k} clusters; set a smaller k")
    random = np.random.RandomState(seed)
    drawn = points if len(points) <= seeding_rows else points[np.sort(random.permutation(len(points))[:seeding_rows])]
    with threadpool_limits(1):
        seeds, _ = kmeans_plusplus(drawn, k, random_state=random)
        fitted = KMeans(k, init=seeds, n_init=1, max_iter=iterations, random_state=random).fit(points)
    clusters = _clusters(fitted, np.zeros(0, dtype=np.int64))
    if (empty := int((clusters.counts == 0).sum())) > 0:
        raise ClusteringError(
            f"{empty} of {k} clusters stay empty: too many of the {len(points)} items are equal; set a smaller k"
        )
    return _clusters(fitted, _nearest_members(points, clusters))


def released(mean: Floats, maximum: Floats, *, k: int, seed: int, iterations: int) -> dict[Literal["mean", "max"], Clusters]:
    """Clusters of mean-pooled and of max-pooled items (V, D) in reading order, a random member for each that is not empty."""
    random = np.random.RandomState(seed)
    with threadpool_limits(1):
        of_max = KMeans(k, init="k-means++", n_init=1, max_iter=iterations, random_state=random).fit(maximum)
        of_mean = KMeans(k, init="k-means++", n_init=1, max_iter=iterations, random_state=random).fit(mean)
    max_members = _random_members(of_max, random)
    return {"max": _clusters(of_max, max_members), "mean": _clusters(of_mean, _random_members(of_mean, random))}


def _clusters(fitted: KMeans, members: Indices) -> Clusters:
    return Clusters(
        centres=fitted.cluster_centers_.astype(np.float32),
        labels=fitted.labels_.astype(np.int64),
        members=members,
        inertia=float(fitted.inertia_),
    )


def _random_members(fitted: KMeans, random: np.random.RandomState) -> Indices:
    members = [np.flatnonzero(fitted.labels_ == label) for label in range(fitted.n_clusters)]
    return np.array([random.choice(places) for places in members if len(places)], dtype=np.int64)


def _nearest_members(points: Floats, clusters: Clusters) -> Indices:
    """Per cluster the first of the members nearest to its centre. In float64, so that ties are ties of the data."""
    distance = np.empty(len(points))
    for begin in range(0, len(points), BLOCK_ROWS):
        block = slice(begin, begin + BLOCK_ROWS)
        offset = points[block].astype(np.float64) - clusters.centres[clusters.labels[block]]
        distance[block] = (offset * offset).sum(axis=1)
    order = np.lexsort((np.arange(len(points)), distance, clusters.labels))
    return order[np.searchsorted(clusters.labels[order], np.arange(len(clusters.centres)))].astype(np.int64)
