import hashlib
import shutil

import numpy as np
import pytest
import zarr

from stages.features import zarr_format
from stages.features.archive import archive_path, pack, unpack
from stages.features.store import FeatureStore, StoreError, StoreInfo, StoreWriter

ITEMS = {f"v{number}": np.repeat(np.arange(number, number + 8, dtype=np.float16)[None], number + 1, 0) for number in range(30)}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_format, "CHUNK_BYTES", 2000)
    with StoreWriter(tmp_path / "clip.zarr") as writer:
        for item in sorted(ITEMS):
            writer.add(item, ITEMS[item])
        writer.finish(StoreInfo(dataset="demo", feature="clip", kind="clip", recipe="r1"))
    return FeatureStore.open(tmp_path / "clip.zarr")


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def test_packed_and_unpacked_a_store_has_the_same_bytes(store):
    before = digest(store.path)
    archive = pack(store)
    assert archive == archive_path(store.path)
    assert archive.name == "clip.archive.zarr"
    packed = digest(archive)
    shutil.rmtree(store.path)
    assert unpack(store.path, "r1")
    assert digest(store.path) == before
    shutil.rmtree(archive)
    pack(FeatureStore.open(store.path))
    assert digest(archive) == packed


def test_any_zarr_reader_reads_the_archive(store):
    group = zarr.open_group(pack(store), mode="r")
    assert group["values"].shards is not None
    np.testing.assert_array_equal(group["values"][:], np.concatenate([ITEMS[item] for item in sorted(ITEMS)]))
    assert list(group["ids"][:]) == sorted(ITEMS)


def test_an_archive_of_the_same_store_is_kept(store):
    written = (pack(store) / "zarr.json").stat().st_mtime_ns
    assert (pack(store) / "zarr.json").stat().st_mtime_ns == written


def test_an_archive_of_another_recipe_is_not_unpacked(store, tmp_path):
    pack(store)
    assert not unpack(store.path, "r2")
    assert not unpack(tmp_path / "other.zarr", "r1")


def test_an_archive_is_not_mistaken_for_a_store(store):
    with pytest.raises(StoreError, match=r"another layout .*archive: true"):
        FeatureStore.open(pack(store))


def test_a_damaged_archive_is_reported_and_gives_no_store(store):
    archive = pack(store)
    shard = archive / "values" / "c" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:-40] + bytes(40))
    shutil.rmtree(store.path)
    with pytest.raises(StoreError, match="cannot be unpacked"):
        unpack(store.path, "r1")
    assert not store.path.exists()
