from __future__ import annotations

import torch

from models.causal.front_door import FrontDoor, MemoryAttention


def test_dictionary_of_one_entry_is_found_by_every_row():
    block, dictionary = MemoryAttention(d_model=8, heads=2, dropout=0.0), torch.randn(1, 8)
    found = block(torch.randn(2, 5, 8), dictionary, None)
    torch.testing.assert_close(found, block.value(dictionary).expand(2, 5, 8))


def test_absorbed_rows_find_the_mean_of_all_entries_exactly():
    block, dictionary = MemoryAttention(d_model=8, heads=2, dropout=0.0), torch.randn(6, 8)
    absorbed = torch.tensor([[False, True, True]])
    found = block(torch.randn(1, 3, 8), dictionary, absorbed)
    mean = block.value(dictionary).mean(dim=0)
    torch.testing.assert_close(found[0, 1:], mean.expand(2, 8))
    assert not torch.allclose(found[0, 0], mean)


def test_gradient_flows_through_absorbed_rows_as_if_nothing_had_been_added():
    torch.manual_seed(0)
    block, dictionary = MemoryAttention(d_model=8, heads=2, dropout=0.0), torch.randn(6, 8)
    x = torch.randn(1, 1, 8, requires_grad=True)
    block(x, dictionary, torch.tensor([[True]])).square().sum().backward()
    assert x.grad is not None
    assert float(x.grad.norm()) > 1e-4


def test_open_gate_gives_what_was_found_and_closed_gate_what_was_there():
    block, x, dictionary = FrontDoor(d_model=8, heads=2, dropout=0.0), torch.randn(2, 3, 8), torch.randn(4, 8)
    found = block.attention(x, dictionary, None)
    for bias, expected in ((50.0, found), (-50.0, x)):
        with torch.no_grad():
            block.gate.own.bias.fill_(bias)
        torch.testing.assert_close(block(x, dictionary), block.norm(expected))


def test_no_dictionary_is_the_closed_gate():
    block, x = FrontDoor(d_model=8, heads=2, dropout=0.0), torch.randn(2, 3, 8)
    torch.testing.assert_close(block(x, None), block.norm(x))
