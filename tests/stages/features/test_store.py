import multiprocessing
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stages.features import zarr_format
from stages.features.store import FeatureStore, StoreError, StoreInfo, StoreWriter

INFO = StoreInfo(
    dataset="demo", feature="clip", kind="clip", fps=0.5, extractor="made up", source={"repository": "r", "revision": "1" * 40}
)
ODD_IDS = ["-Oc6gSWB_HA_60.0_210.0", "--x", " leading blank", "S1Xq6MbAao0_210.0_360.0", "a/b/c", "v_ü日本", "x" * 3000, "."]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """A few rows per chunk, so that tiny stores have many chunks and items lie across them."""
    monkeypatch.setattr(zarr_format, "CHUNK_BYTES", 256)


def write(path, items, info=INFO):
    with StoreWriter(path) as writer:
        for item in sorted(items):
            writer.add(item, items[item])
        writer.finish(info)
    return path


def some_items(ids=("a", "b", "c", "d"), width=6, dtype=np.float16, seed=0):
    random = np.random.default_rng(seed)
    return {item: random.standard_normal((1 + 3 * number, width)).astype(dtype) for number, item in enumerate(ids)}


stores_of_items = st.integers(1, 5).flatmap(
    lambda width: st.sampled_from([np.float16, np.float32, np.float64]).flatmap(
        lambda dtype: st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
            npst.arrays(dtype, st.tuples(st.integers(1, 40), st.just(width))),
            min_size=1,
            max_size=8,
        )
    )
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=stores_of_items)
def test_what_is_written_is_read_back_bit_by_bit(items, tmp_path):
    store = FeatureStore.open(write(tmp_path / "x.zarr", items))
    assert store.ids == sorted(items, key=str.encode)
    for item, rows in items.items():
        read = store.rows(item)
        assert read.dtype == rows.dtype
        assert read.tobytes() == rows.tobytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=stores_of_items, data=st.data())
def test_a_batch_equals_its_single_items(items, data, tmp_path):
    store = FeatureStore.open(write(tmp_path / "x.zarr", items))
    ids = data.draw(st.lists(st.sampled_from(sorted(items)), max_size=6))
    values, mask = store.batch(ids)
    assert mask.sum(axis=1).tolist() == store.lengths(ids).tolist()
    for row, item in enumerate(ids):
        length = len(items[item])
        np.testing.assert_array_equal(values[row, :length], items[item])
        assert not values[row, length:].any()
        assert mask[row, :length].all()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=stores_of_items)
def test_any_zarr_reader_sees_the_same_arrays(items, tmp_path):
    group = zarr.open_group(write(tmp_path / "x.zarr", items), mode="r")
    ids = sorted(items)
    rows = np.concatenate([items[item] for item in ids])
    assert group["values"][:].tobytes() == rows.tobytes()
    assert list(group["ids"][:]) == ids
    assert np.diff(group["offsets"][:]).tolist() == [len(items[item]) for item in ids]
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(rows.astype(np.float64), axis=1).astype(np.float32)
    np.testing.assert_allclose(group["row_norms"][:], norms, rtol=1e-6, equal_nan=True)


def test_zarr_finds_whole_row_chunks_without_compression_and_with_checksums(tmp_path):
    group = zarr.open_group(write(tmp_path / "x.zarr", some_items()), mode="r")
    values = group["values"]
    assert values.chunks[1] == values.shape[1]
    assert values.shards is None
    assert [type(codec).__name__ for codec in values.metadata.codecs] == ["BytesCodec", "Crc32cCodec"]
    assert group.attrs["items"] == 4
    assert group.attrs["seconds_per_row"] == 2.0
    assert group.attrs["source"] == {"repository": "r", "revision": "1" * 40}


def test_chunks_are_padded_by_fewer_rows_than_there_are_chunks():
    for rows in (1, 7, 1000, 12_345, 296_821):
        for width in (1, 512, 2304, 4096):
            values = zarr_format.Values.planned(Path("x"), rows, width, "float16")
            assert values.chunks * values.rows_per_chunk - rows < values.chunks
            assert values.rows_per_chunk == 1 or values.chunk_bytes <= zarr_format.CHUNK_BYTES


def test_odd_ids_are_only_ever_text(tmp_path):
    items = some_items(ODD_IDS)
    store = FeatureStore.open(write(tmp_path / "x.zarr", items))
    assert store.ids == sorted(ODD_IDS)
    np.testing.assert_array_equal(store.rows("a/b/c"), items["a/b/c"])
    assert {path.name for path in (tmp_path / "x.zarr").iterdir()} == {"zarr.json", "values", "row_norms", "offsets", "ids"}


def test_attributes_survive_the_disk(tmp_path):
    info = StoreInfo(dataset="d", feature="f", kind="query", concatenation=("a", "b"), quality={"missing": 2}, recipe="abc")
    read = FeatureStore.open(write(tmp_path / "x.zarr", some_items(), info)).info
    assert (read.concatenation, read.quality, read.recipe, read.fps) == (("a", "b"), {"missing": 2}, "abc", None)
    assert (read.items, read.rows, read.width, read.dtype) == (4, 1 + 4 + 7 + 10, 6, "float16")


def test_rows_cannot_be_changed(tmp_path):
    store = FeatureStore.open(write(tmp_path / "x.zarr", some_items()))
    for item in store.ids:  # some are views of a chunk, some lie across two
        with pytest.raises(ValueError, match="read-only"):
            store.rows(item)[0, 0] = 1


def test_a_batch_into_reused_memory_overwrites_what_was_there(tmp_path):
    items = some_items()
    store = FeatureStore.open(write(tmp_path / "x.zarr", items))
    buffer = np.full((3, 20, 6), 7, np.float16)
    values, mask = store.batch(["d", "a"], out=buffer)
    assert np.shares_memory(values, buffer)
    assert values.shape == (2, 10, 6)
    assert not values[~mask].any()
    with pytest.raises(StoreError, match=r"out is \(1, 20, 6\)"):
        store.batch(["d", "a"], out=buffer[:1])


def test_an_unknown_id_is_reported_with_count_and_first_names(tmp_path):
    store = FeatureStore.open(write(tmp_path / "x.zarr", some_items()))
    assert "a" in store
    assert "nope" not in store
    with pytest.raises(StoreError, match=r"x\.zarr: 2 of 3 ids are not in the store \('no', 'nope'\)"):
        store.lengths(["a", "nope", "no", "nope"])


def test_a_store_reaches_spawned_workers_as_a_path(tmp_path):
    store = FeatureStore.open(write(tmp_path / "x.zarr", some_items()))
    assert len(pickle.dumps(store)) < 1000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_in_worker, (store,)) == [row.sum() for row in map(store.rows, store.ids)]


def read_in_worker(store):
    return [store.rows(item).sum() for item in store.ids]


def test_a_worker_refuses_a_store_that_was_replaced_meanwhile(tmp_path):
    path = write(tmp_path / "x.zarr", some_items())
    sent = pickle.dumps(FeatureStore.open(path))
    write(path, some_items(seed=1), StoreInfo(dataset="other", feature="clip", kind="clip"))
    with pytest.raises(StoreError, match="was replaced"):
        pickle.loads(sent)


def test_checksums_are_read_once_per_process_and_again_after_a_change(tmp_path, monkeypatch):
    path = write(tmp_path / "x.zarr", some_items())
    reads = []
    check = zarr_format.check_checksums

    def counted(values):
        reads.append(values)
        check(values)

    monkeypatch.setattr(zarr_format, "check_checksums", counted)
    FeatureStore.open(path)
    FeatureStore.open(path)
    assert len(reads) == 1
    chunk = path / "values" / "c" / "0" / "0"
    damaged = bytearray(chunk.read_bytes())
    damaged[3] ^= 1
    chunk.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"values/c/0/0: the checksum differs.*delete the store"):
        FeatureStore.open(path)
    assert FeatureStore.open(path, verify=False).ids == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: shutil.rmtree(path), "no zarr.json"),
        (lambda path: (path / "zarr.json").unlink(), "no complete store"),
        (lambda path: (path / "zarr.json").write_text("{"), "not valid JSON"),
        (lambda path: (path / "zarr.json").write_text('{"attributes": {}}'), "schema version None"),
        (lambda path: (path / "values/c/1/0").unlink(), "chunk 1 of .* is missing"),
        (lambda path: (path / "values/c/1/0").write_bytes(b"x"), "1 bytes, expected"),
        (lambda path: (path / "ids/c/0").write_bytes(b"x" * 20), "checksum differs"),
        (lambda path: (path / "offsets/c/0").unlink(), "missing"),
        (lambda path: (path / "row_norms/zarr.json").write_text("{}"), "expected"),
        (lambda path: (path / "values/zarr.json").write_text('{"shape": [1]}'), "another layout"),
        (lambda path: shutil.copytree(path / "offsets", path / "row_norms", dirs_exist_ok=True), "expected"),
    ],
)
def test_an_incomplete_or_damaged_store_does_not_open(spoil, message, tmp_path):
    path = write(tmp_path / "x.zarr", some_items())
    spoil(path)
    with pytest.raises(StoreError, match=message):
        FeatureStore.open(path)
