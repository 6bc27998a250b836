"""The archive copy of a store: compressed and sharded, a few large files for a remote. Not for reading: unpack it first.

    <feature>.archive.zarr       the arrays and attributes of <feature>.zarr; `values` in shards of compressed chunks

Any Zarr v3 reader opens it. Unpacking gives the very bytes of the store it was packed from.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from stages.features import zarr_format
from stages.features.info import StoreError, StoreInfo
from stages.features.store import FeatureStore
from stages.features.writer import ChunkFiles, PartialFolder, StoreDraft

INNER_BYTES = 4_000_000  # unpacked, of a compressed chunk inside a shard
LEVEL = 3
ARCHIVED = "archive_of"  # attribute: sha256 of the store's zarr.json


def archive_path(store: Path) -> Path:
    """Where the archive copy of a store lies."""
    return store.with_name(f"{store.name.removesuffix('.zarr')}.archive.zarr")


def pack(store: FeatureStore) -> Path:
    """Write the archive copy beside the store, unless there is one of just this store."""
    import zarr

    path = archive_path(store.path)
    if _attributes(path).get(ARCHIVED) == store.mark:
        return path
    partial = PartialFolder(path)
    try:
        rows = max(1, INNER_BYTES // store.values.row_bytes)
        rows = min(rows, store.values.rows)
        per_shard = rows * max(1, store.values.rows_per_chunk // rows)
        group = zarr.open_group(partial.path, mode="w", zarr_format=3)
        values = group.create_array(
            "values",
            shape=(store.values.rows, store.values.width),
            chunks=(rows, store.values.width),
            shards=(per_shard, store.values.width),
            dtype=store.values.dtype,
            compressors=zarr.codecs.ZstdCodec(level=LEVEL, checksum=True),
            dimension_names=("row", "channel"),
        )
        for start in range(0, store.values.rows, per_shard):
            stop = min(start + per_shard, store.values.rows)
            values[start:stop] = store.span(start, stop)
            store.unmap()
        for name in ("row_norms", "offsets", "ids"):
            shutil.copytree(store.path / name, partial.path / name)
        # Last: without attributes it is no archive.
        attributes = {**store.info.attributes(), ARCHIVED: store.mark}
        zarr_format.write_document(partial.path, zarr_format.group_document(attributes))
        partial.publish()
    finally:
        partial.discard()
    return path


def unpack(path: Path, recipe: str) -> bool:
    """Make the store at `path` from its archive copy, if there is one of this recipe. Returns whether it did.

    Raises StoreError if the archive is damaged.
    """
    import zarr

    archive = archive_path(path)
    attributes = _attributes(archive)
    if attributes.get("recipe") != recipe:
        return False
    info = StoreInfo.of_attributes(attributes)
    ids = zarr_format.read_ids(archive / "ids", info.items)
    offsets = zarr_format.read_vector(archive / "offsets", "int64", info.items + 1)
    values = zarr.open_group(archive, mode="r")["values"]
    with StoreDraft(path, ids, (offsets[1:] - offsets[:-1]).tolist(), info.width, info.dtype) as draft:
        step = values.shards[0]
        with ChunkFiles(draft.values) as chunks:
            for start in range(0, info.rows, step):
                try:
                    block = values[start : start + step]
                except (ValueError, RuntimeError, OSError) as error:
                    raise StoreError(f"{archive}: rows from {start} on cannot be unpacked ({error}); delete it") from None
                chunks.place(start, block.data.cast("B"))
        draft.finish(info)
    if FeatureStore.open(path).mark != attributes[ARCHIVED]:
        shutil.rmtree(path)
        raise StoreError(f"{archive}: what it unpacks to is not the store it was made from; delete it")
    return True


def _attributes(path: Path) -> dict[str, Any]:
    try:
        attributes = zarr_format.read_document(path).get("attributes", {})
    except StoreError:
        return {}
    return attributes if isinstance(attributes, dict) else {}
