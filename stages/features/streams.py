"""The stores that a run reads, by stream: `video` from one or several kinds of features, `query` from another.

streams = Streams(Path("features/charades"), {"video": ("clip", "slowfast"), "query": ("clip_text",)})
streams.fused("video", ids, budget_bytes=2**30)      what training, evaluation and prediction feed
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from stages.features.resident import Fused
from stages.features.store import FeatureStore, StoreError


class Streams:
    """Stores below `folder` by stream, opened with their checksums verified.

    needed    streams that cannot be without a store

    Raises StoreError for a needed stream without stores, or a store that is missing or damaged.
    """

    def __init__(self, folder: Path, names: Mapping[str, Sequence[str]], *, needed: Sequence[str] = ("video", "query")) -> None:
        for stream in needed:
            if not names.get(stream):
                raise StoreError(f"{folder}: no store is named for the {stream} stream; name them under features of the run")
        self.stores = {stream: [FeatureStore.open(folder / f"{name}.zarr") for name in found] for stream, found in names.items()}

    def has(self, stream: str, item: str) -> bool:
        """Whether every store of the stream has this item."""
        return all(item in store for store in self.stores[stream])

    def fused(
        self,
        stream: str,
        ids: Iterable[str],
        *,
        budget_bytes: int,
        device: torch.device | str = "cpu",
        normalise: bool = True,
    ) -> Fused:
        """The stores of a stream as one, for these items; rows divided by their norm, or as published."""
        return Fused(self.stores[stream], normalise=normalise, budget_bytes=budget_bytes, device=device, ids=list(ids))

    def recipes(self) -> dict[str, str]:
        """Store name -> recipe, the digest of everything its bytes depend on."""
        return {store.path.stem: store.info.recipe for stores in self.stores.values() for store in stores}
