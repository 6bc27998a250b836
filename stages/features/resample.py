"""Videos of any length as the same number of clips: means between rounded cut points, as the loader of CPL and CCR makes them.

    e_j = min(round(j / K * T), T - 1), j = 0..K (halves to even);   clip j = mean of rows e_j..e_{j+1} - 1, or row e_j if none

The last row of the source therefore counts only where a clip begins with it.   T rows of a video, K clips, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.features.store import FeatureStore, StoreError


def cuts(rows: int, clips: int) -> NDArray[np.int64]:
    """e_0..e_K of a video of `rows` rows, (clips + 1,)."""
    places = np.round(np.arange(clips + 1) / clips * rows).astype(np.int64)
    return np.minimum(places, rows - 1)


def resample(rows: NDArray[np.floating], clips: int) -> NDArray[np.float32]:
    """(T, D) -> (K, D) float32. T must be at least 1."""
    at = cuts(len(rows), clips)
    counts = np.diff(at)
    used = rows[: max(at[-1], at[-2] + 1)]  # up to the last cut, and at least the row the last clip begins with
    # of two equal cuts reduceat takes the row itself, which is what an empty interval means here
    sums = np.add.reduceat(used.astype(np.float32, copy=False), at[:-1], axis=0)
    return np.asarray(sums / np.maximum(counts, 1).astype(np.float32)[:, None], dtype=np.float32)


class Resampled:
    """Videos, K clips each; several stores are joined along the channels.

    Resident as one table within the byte budget, else read batch by batch.

    Raises StoreError: an id that a store lacks, or a row that is not finite (names store, id and row).
    """

    def __init__(self, stores: Sequence[FeatureStore], *, clips: int, budget_bytes: int, ids: Sequence[str]) -> None:
        self.stores, self.clips, self.width = tuple(stores), clips, sum(store.info.width for store in stores)
        self.ids = list(dict.fromkeys(ids))
        self._position = {item: position for position, item in enumerate(self.ids)}
        for store in self.stores:
            _check_finite(store, self.ids)
        size = len(self.ids) * clips * self.width * 4
        self._table: Tensor | None = None
        self.resident_bytes = size if size <= budget_bytes else 0
        if self.resident_bytes:
            self._table = torch.empty(len(self.ids), clips, self.width)
            for position, item in enumerate(self.ids):
                self._table[position] = torch.from_numpy(self._made(item))
            for store in self.stores:
                store.unmap()

    def _made(self, item: str) -> NDArray[np.float32]:
        parts = [resample(store.rows(item), self.clips) for store in self.stores]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def batch(self, ids: Sequence[str]) -> Tensor:
        """(B, K, D) float32; no video is shorter, so there is no mask."""
        if self._table is not None:
            return self._table[torch.tensor([self._position[item] for item in ids], dtype=torch.int64)]
        return torch.from_numpy(np.stack([self._made(item) for item in ids]))


def _check_finite(store: FeatureStore, ids: Sequence[str]) -> None:
    for item, position in zip(ids, store.index(ids).tolist(), strict=True):
        good = np.isfinite(store.row_norms[store.offsets[position] : store.offsets[position + 1]])
        if not good.all():
            raise StoreError(f"{store.path}: {item!r}: row {int(np.argmin(good))} is not finite")
