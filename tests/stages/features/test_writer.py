import hashlib
import random

import numpy as np
import pytest

from stages.features import zarr_format
from stages.features.store import ChunkFiles, FeatureStore, StoreDraft, StoreError, StoreInfo, StoreWriter
from stages.features.writer import PartialFolder
from tests.killed import killed_before

INFO = StoreInfo(dataset="demo", feature="clip", kind="clip")
ITEMS = {f"v{number:02d}": np.full((number % 5 + 1, 4), number, np.float32) for number in range(20)}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(zarr_format, "CHUNK_BYTES", 256)


def write(path, items=None):
    with StoreWriter(path) as writer:
        for item, rows in items or ITEMS.items():
            writer.add(item, rows)
        writer.finish(INFO)


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def test_the_same_items_give_the_same_bytes(tmp_path):
    write(tmp_path / "one.zarr")
    write(tmp_path / "two.zarr")
    assert digest(tmp_path / "one.zarr") == digest(tmp_path / "two.zarr")


def test_rows_placed_in_any_order_give_the_same_bytes(tmp_path):
    write(tmp_path / "one.zarr")
    with StoreDraft(tmp_path / "two.zarr", list(ITEMS), [len(rows) for rows in ITEMS.values()], 4, "float32") as draft:
        with ChunkFiles(draft.values) as chunks:
            places = list(zip(draft.offsets, ITEMS.values(), strict=False))
            random.Random(0).shuffle(places)
            for row, rows in places:
                chunks.place(int(row), rows.tobytes())
        draft.finish(INFO)
    assert digest(tmp_path / "one.zarr") == digest(tmp_path / "two.zarr")


def test_a_store_replaces_an_older_one_when_it_is_complete(tmp_path):
    write(tmp_path / "x.zarr", [("old", np.zeros((2, 4), np.float32))])
    with StoreWriter(tmp_path / "x.zarr") as writer:
        for item, rows in ITEMS.items():
            writer.add(item, rows)
        assert FeatureStore.open(tmp_path / "x.zarr").ids == ["old"]
        writer.finish(INFO)
    assert FeatureStore.open(tmp_path / "x.zarr").ids == list(ITEMS)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]


def test_leaving_without_finishing_leaves_nothing(tmp_path):
    with StoreWriter(tmp_path / "x.zarr") as writer:
        writer.add("a", ITEMS["v03"])
        assert [path.name for path in tmp_path.iterdir()] == [".x.zarr.rows.partial"]
    assert list(tmp_path.iterdir()) == []


def opens(path):
    try:
        return bool(FeatureStore.open(path))
    except StoreError:
        return False


def test_a_writer_killed_at_any_step_leaves_no_half_store_and_the_next_one_succeeds(tmp_path):
    write(tmp_path / "whole" / "x.zarr")
    whole = digest(tmp_path / "whole" / "x.zarr")
    path = tmp_path / "y" / "x.zarr"
    step = 1
    while killed_before(step, lambda: write(path), path.parent):
        for left in path.parent.glob("*"):  # under its hidden name, a store killed just before its renaming is whole
            assert digest(left) == whole or not opens(left)
        if step % 7 == 0:  # with, and without, an older store in place
            write(path)
            assert digest(path) == whole
            assert [entry.name for entry in path.parent.iterdir()] == ["x.zarr"]
        step += 1
    assert step > 40
    assert digest(path) == whole
    assert [entry.name for entry in path.parent.iterdir()] == ["x.zarr"]


def test_two_writers_of_one_store_do_not_mix(tmp_path):
    with StoreWriter(tmp_path / "x.zarr") as first:
        first.add("a", ITEMS["v03"])
        with pytest.raises(StoreError, match="another process is writing"):
            StoreWriter(tmp_path / "x.zarr")
        first.finish(INFO)
    assert FeatureStore.open(tmp_path / "x.zarr").ids == ["a"]


def test_a_dead_writers_folder_is_taken_over(tmp_path):
    left = tmp_path / ".x.zarr.partial"
    left.mkdir()
    (left / "rubbish").write_text("from a killed writer")
    partial = PartialFolder(tmp_path / "x.zarr")
    assert list(partial.path.iterdir()) == []
    partial.discard()


@pytest.mark.parametrize(
    ("ids", "rows", "message"),
    [
        (["b", "a"], np.ones((1, 4)), "'a' after 'b'"),
        (["a", "a"], np.ones((1, 4)), "'a' after 'a'"),
        ([""], np.ones((1, 4)), "non-empty"),
        (["\udcff"], np.ones((1, 4)), "UTF-8"),
        (["a"], np.ones((0, 4)), r"got shape \(0, 4\)"),
        (["a"], np.ones(4), r"got shape \(4,\)"),
        (["a"], np.ones((2, 4), np.int64), "expected one of float16"),
    ],
)
def test_items_that_do_not_belong_in_a_store_are_refused(ids, rows, message, tmp_path):
    with pytest.raises(StoreError, match=message):
        write(tmp_path / "x.zarr", [(item, rows) for item in ids])
    assert list(tmp_path.iterdir()) == []


def test_width_and_type_must_not_change_between_items(tmp_path):
    with StoreWriter(tmp_path / "x.zarr") as writer:
        writer.add("a", np.ones((1, 4), np.float16))
        with pytest.raises(StoreError, match="width 5 of float16, the items before have 4"):
            writer.add("b", np.ones((1, 5), np.float16))
        with pytest.raises(StoreError, match="width 4 of float32"):
            writer.add("b", np.ones((1, 4), np.float32))


def test_a_store_that_does_not_fit_on_the_disk_is_not_begun(tmp_path):
    with pytest.raises(StoreError, match=r"needs 4000000000000 MB, \d+ MB are free"):
        StoreDraft(tmp_path / "x.zarr", ["a"], [10**18], 1, "float32")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="at least one item"), StoreWriter(tmp_path / "x.zarr") as writer:
        writer.finish(INFO)


def test_sealing_reports_non_finite_rows_and_zeroes_them_where_asked(tmp_path):
    rows = np.ones((40, 4), np.float16)
    rows[3, 1], rows[25, 0], rows[25, 2] = np.nan, np.inf, -np.inf
    for zero in (False, True):
        with StoreDraft(tmp_path / "x.zarr", ["a", "b"], [10, 30], 4, "float16") as draft:
            with ChunkFiles(draft.values) as chunks:
                chunks.place(0, rows.tobytes())
            assert draft.seal_up_to(40, zero_non_finite=zero) == {3: 1, 25: 2}
            assert draft.item_of_row(25) == ("b", 15)
            draft.finish(INFO)
    store = FeatureStore.open(tmp_path / "x.zarr")
    assert store.rows("b")[15].tolist() == [0, 1, 0, 1]
    assert store.row_norms[25] == np.float32(np.sqrt(2))
