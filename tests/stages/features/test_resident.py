import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.features import resident, zarr_format
from stages.features.resident import Fused
from stages.features.store import FeatureStore, StoreError, StoreInfo, StoreWriter

BUDGETS = {"fused": 10**9, "mapped": 0}
LENGTHS = {"a": (3, 4), "b": (7, 7), "c": (1, 2), "d": (12, 9), "e": (5, 5)}  # clip, slowfast


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch):
    monkeypatch.setattr(zarr_format, "CHUNK_BYTES", 200)
    monkeypatch.setattr(resident, "BUILD_BYTES", 100)
    monkeypatch.setattr(resident, "FINISH_ROWS", 3)


def store(path, items):
    with StoreWriter(path) as writer:
        for item in sorted(items):
            writer.add(item, items[item])
        writer.finish(StoreInfo(dataset="demo", feature=path.stem, kind="clip", fps=1.0))
    return FeatureStore.open(path)


def two_stores(folder, dtypes=(np.float16, np.float32), seed=0):
    random = np.random.default_rng(seed)
    clip = {item: random.standard_normal((one, 5)).astype(dtypes[0]) for item, (one, _) in LENGTHS.items()}
    slowfast = {item: random.standard_normal((other, 8)).astype(dtypes[1]) for item, (_, other) in LENGTHS.items()}
    return clip, slowfast, [store(folder / "clip.zarr", clip), store(folder / "slowfast.zarr", slowfast)]


def fuse(stores, budget, **more):
    return Fused(stores, budget_bytes=budget, **{"normalise": True, "ids": sorted(LENGTHS), **more})


def by_hand(parts, item):
    """The formula, row by row in NumPy: each part over its norm + 1e-5, cut to the shortest, side by side."""
    rows = [part[item].astype(np.float32) for part in parts]
    rows = [
        part / (np.sqrt((part.astype(np.float64) ** 2).sum(1, keepdims=True)).astype(np.float32) + np.float32(1e-5))
        for part in rows
    ]
    shortest = min(map(len, rows))
    return np.concatenate([part[:shortest] for part in rows], axis=1)


@pytest.mark.parametrize("budget", [10**9, 450, 0], ids=["fused", "published", "mapped"])
@pytest.mark.parametrize("dtypes", [(np.float16, np.float16), (np.float32, np.float64)], ids=["half", "wide"])
def test_rows_are_normalised_cut_to_the_shortest_and_concatenated(budget, dtypes, tmp_path):
    clip, slowfast, stores = two_stores(tmp_path, dtypes)
    fused = fuse(stores, budget * np.dtype(dtypes[1]).itemsize)
    values, mask = fused.batch(["d", "a", "d"])
    assert values.shape == (3, 9, 13)
    assert fused.lengths(["d", "a", "d"]).tolist() == [9, 3, 9]
    for row, item in enumerate(["d", "a", "d"]):
        expected = by_hand([clip, slowfast], item)
        np.testing.assert_allclose(values[row, : len(expected)].numpy(), expected, rtol=3e-7)
        assert not values[row, len(expected) :].any()
        assert mask[row].tolist() == [step < len(expected) for step in range(9)]


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_a_batch_can_be_padded_to_a_multiple(budget, tmp_path):
    *_, stores = two_stores(tmp_path)
    values, mask = fuse(stores, budget).batch(["d", "a"], multiple=8)
    assert values.shape == (2, 16, 13)
    assert mask.sum(1).tolist() == [9, 3]
    assert not values[~mask].any()


def test_the_budget_decides_where_rows_live(tmp_path):
    *_, stores = two_stores(tmp_path, (np.float16, np.float16))
    rows = sum(min(pair) for pair in LENGTHS.values()) + 1  # one row of padding
    assert fuse(stores, 4 * 13 * rows).residence == "fused"
    assert fuse(stores, 4 * 13 * rows - 1).residence == "published"
    assert fuse(stores, 2 * 13 * rows).residence == "published"
    assert fuse(stores, 2 * 13 * rows - 1).residence == "mapped"
    assert [fuse(stores, budget).resident_bytes for budget in (10**9, 2 * 13 * rows, 0)] == [4 * 13 * rows, 2 * 13 * rows, 0]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(st.sampled_from(sorted(LENGTHS)), min_size=1, max_size=9), normalise=st.booleans())
def test_every_home_gives_the_same_bits_and_a_batch_equals_its_items(ids, normalise, tmp_path):
    *_, stores = two_stores(tmp_path, (np.float16, np.float16))
    homes = [fuse(stores, budget, normalise=normalise) for budget in (10**9, 1000, 0)]
    assert [home.residence for home in homes] == ["fused", "published", "mapped"]
    batches = [home.batch(ids) for home in homes]
    for values, mask in batches[1:]:
        assert torch.equal(values, batches[0][0])
        assert torch.equal(mask, batches[0][1])
    for row, item in enumerate(ids):
        alone, _ = homes[0].batch([item])
        length = alone.shape[1]
        assert torch.equal(batches[2][0][row, :length], alone[0])


def test_without_normalising_values_are_as_published(tmp_path):
    clip, _, stores = two_stores(tmp_path)
    values, _ = fuse(stores[:1], 10**9, normalise=False).batch(["b"])
    np.testing.assert_array_equal(values[0].numpy(), clip["b"].astype(np.float32))


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_positions_and_ids_ask_for_the_same(budget, tmp_path):
    *_, stores = two_stores(tmp_path)
    fused = fuse(stores, budget, ids=["d", "a", "c"])
    expected = fused.batch(["c", "d"])[0].clone()
    for asked in ([2, 0], np.array([2, 0]), torch.tensor([2, 0])):
        assert torch.equal(fused.batch(asked)[0], expected)
    assert len(fused) == 3


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_a_batch_stays_valid_until_the_second_call_after_it(budget, tmp_path):
    *_, stores = two_stores(tmp_path)
    fused = fuse(stores, budget)
    first, _ = fused.batch(["d"])
    kept = first.clone()
    second, _ = fused.batch(["b", "a"])
    assert torch.equal(first, kept)
    assert first.data_ptr() != second.data_ptr()
    third, _ = fused.batch(["e"])
    assert third.data_ptr() == first.data_ptr()


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_a_zero_row_stays_zero(budget, tmp_path):
    one = store(tmp_path / "z.zarr", {"a": np.zeros((2, 3), np.float16)})
    values, mask = Fused([one], normalise=True, budget_bytes=budget, ids=["a"]).batch(["a"])
    assert not values.any()
    assert mask.all()


@pytest.mark.parametrize("budget", BUDGETS.values(), ids=BUDGETS)
def test_a_non_finite_row_is_named(budget, tmp_path):
    rows = np.ones((6, 4), np.float16)
    rows[4, 2] = np.inf
    spoilt = store(tmp_path / "s.zarr", {"a": rows, "b": rows, "good": rows[:4]})
    with pytest.raises(StoreError, match=r"s\.zarr: 'b': row 4: NaN or Inf \(1 such rows"):
        Fused([spoilt], normalise=True, budget_bytes=budget, ids=["good", "b"])
    assert Fused([spoilt], normalise=True, budget_bytes=budget, ids=["good"]).rows == 4


def test_an_id_that_one_store_lacks_is_named_with_the_store(tmp_path):
    *_, stores = two_stores(tmp_path)
    other = store(tmp_path / "other.zarr", {"a": np.ones((1, 2), np.float32)})
    with pytest.raises(StoreError, match=r"other\.zarr: 4 of 5 ids are not in the store"):
        fuse([*stores, other], 0)
    with pytest.raises(StoreError, match="id 'e' was not among the 1 ids fused"):
        fuse(stores, 0, ids=["a"]).batch(["e"])


def test_a_spawned_worker_gets_the_mapped_form_with_the_same_values(tmp_path):
    *_, stores = two_stores(tmp_path)
    fused = fuse(stores, 10**9)
    assert len(pickle.dumps(fused)) < 2000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        residence, values = pool.apply(batch_in_worker, (fused, ["d", "a"]))
    assert residence == "mapped"
    np.testing.assert_array_equal(values, fused.batch(["d", "a"])[0].numpy())


def batch_in_worker(fused, ids):
    return fused.residence, fused.batch(ids)[0].numpy()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("budget", [10**9, 450, 0], ids=["fused", "published", "mapped"])
def test_a_gpu_holds_the_same_values(budget, tmp_path):
    *_, stores = two_stores(tmp_path)
    there, here = fuse(stores, budget, device="cuda"), fuse(stores, 0)
    for ids in (["d", "a", "b"], ["c"], ["e", "e"]):
        values, mask = there.batch(ids)
        assert values.is_cuda
        assert torch.equal(values.cpu(), here.batch(ids)[0])
        assert torch.equal(mask.cpu(), here.batch(ids)[1])


@pytest.mark.parametrize("budget", [10**9, 450 * 4, 0], ids=["fused", "published", "mapped"])
def test_single_rows_are_those_of_the_items(budget, tmp_path):
    _, _, stores = two_stores(tmp_path, (np.float16, np.float32))
    fused = fuse(stores, budget, ids=["d", "a", "e"])
    everything = torch.cat([fused.batch([item])[0][0].clone() for item in fused.ids])
    rows = torch.tensor([[0, len(fused.starts)], [fused.rows - 1, 0]])
    assert torch.equal(fused.take(rows), everything[rows])
