from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.causal.memory import Memory, average_in_order, average_together, nearest_entry


def one_after_the_other(rows: torch.Tensor, pooled: torch.Tensor, entry: torch.Tensor) -> torch.Tensor:
    rows = rows.clone()
    for observation, place in zip(pooled, entry.tolist(), strict=True):
        rows[place] = (rows[place] + observation) / 2
    return rows


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.integers(1, 6), st.integers(0, 2**16))
def test_averaging_in_order_is_bit_for_bit_the_loop(observations, entries, seed):
    generator = torch.Generator().manual_seed(seed)
    rows, pooled = torch.randn(entries, 5, generator=generator), torch.randn(observations, 5, generator=generator)
    entry = torch.randint(entries, (observations,), generator=generator)
    assert torch.equal(average_in_order(rows, pooled, entry), one_after_the_other(rows, pooled, entry))


def test_averaging_together_moves_each_hit_entry_half_way_to_the_mean_of_its_observations():
    rows = torch.tensor([[0.0, 0.0], [4.0, 0.0], [8.0, 8.0]])
    pooled = torch.tensor([[2.0, 2.0], [6.0, 0.0], [0.0, 2.0]])
    moved = average_together(rows, pooled, torch.tensor([1, 1, 0]))
    assert moved.tolist() == [[0.0, 1.0], [4.0, 0.5], [8.0, 8.0]]


def test_nearest_entry_has_the_largest_cosine_and_is_the_first_of_equals():
    rows = torch.tensor([[0.0, 3.0], [1.0, 1.0], [2.0, 2.0], [-5.0, 0.0]])
    assert nearest_entry(torch.tensor([[7.0, 7.0], [-0.1, 0.01], [0.0, 1.0]]), rows).tolist() == [1, 3, 0]


@pytest.mark.parametrize("mapped", [False, True])
def test_slots_are_chosen_against_the_memory_before_the_update(mapped):
    memory = Memory(torch.eye(3), d_model=4, dropout=0.0, mapped=mapped).eval()
    before = memory.rows[0].clone()
    pooled = torch.eye(3)[[0, 0, 1]]
    seen = memory.map(pooled) if mapped else pooled
    expected = nearest_entry(seen, before)
    assert torch.equal(memory.observe(pooled), expected)


def test_mapped_rows_are_made_with_the_dropout_of_the_state_they_are_made_in():
    memory = Memory(torch.randn(5, 6), d_model=4, dropout=0.5, mapped=True)
    dictionary = torch.randn(5, 6)
    fills = []
    for training in (True, True, False, False):
        memory.train(training).fill(dictionary)
        fills.append(memory.rows.clone())
    assert not torch.equal(fills[0], fills[1])
    assert torch.equal(fills[2], fills[3])


def test_raw_rows_are_mapped_with_gradient_at_every_look():
    memory = Memory(torch.randn(5, 6), d_model=4, dropout=0.0, mapped=False)
    memory().sum().backward()
    assert memory.map.inner.weight.grad is not None
    assert not memory.rows.requires_grad


def _observed_together(rank: int, file: str, out: str) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    memory = observed_memory()
    memory.observe(observations()[:3] if rank == 0 else observations()[3:])
    torch.save(memory.rows, f"{out}{rank}.pt")
    torch.distributed.destroy_process_group()


def observed_memory() -> Memory:
    torch.manual_seed(0)
    return Memory(torch.randn(4, 6), d_model=4, dropout=0.0, mapped=False)


def observations() -> torch.Tensor:
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(1))


def test_several_processes_end_with_the_memory_of_one(tmp_path):
    torch.multiprocessing.spawn(_observed_together, (str(tmp_path / "meeting"), str(tmp_path / "rows")), nprocs=2)
    alone = observed_memory()
    alone.observe(observations())
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"rows{rank}.pt", weights_only=True), alone.rows)
