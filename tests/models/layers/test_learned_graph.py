"""The learnt graph: zero rows take no part; the pool can leave nodes out."""

from __future__ import annotations

import torch

from models.layers.learned_graph import LatePool, LearnedGraph, WeightNormLinear


def test_rows_of_zeros_stay_zero_and_change_nothing():
    graph, x = LearnedGraph(d_model=6, layers=2, dropout=0.0), torch.randn(2, 4, 6)
    more = torch.cat((x, torch.zeros(2, 3, 6)), dim=1)
    result = graph(more)
    torch.testing.assert_close(result[:, :4], graph(x), rtol=1e-4, atol=1e-5)
    assert not result[:, 4:].any()


def test_order_of_the_nodes_is_irrelevant():
    graph, x = LearnedGraph(d_model=6, layers=1, dropout=0.0), torch.randn(1, 5, 6)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(graph(x)[:, order], graph(x[:, order]), rtol=1e-4, atol=1e-5)


def test_normed_weight_starts_as_a_plain_layer_and_ignores_the_length_of_its_directions():
    linear, x = WeightNormLinear(d_in=3, d_out=2), torch.randn(4, 3)
    torch.testing.assert_close(linear(x), x @ linear.direction.T)
    before = linear(x)
    with torch.no_grad():
        linear.direction.mul_(5.0)
    torch.testing.assert_close(linear(x), before)


def test_pool_shares_among_the_counted_and_sums_the_masked():
    pool, x = LatePool(4), torch.randn(1, 3, 4)
    with torch.no_grad():
        pool.score.weight.zero_()
    mask = torch.tensor([[True, False, False]])
    torch.testing.assert_close(pool(x, mask, mask), x[:, 0])
    torch.testing.assert_close(pool(x, mask, torch.tensor([[True, True, False]])), x[:, 0] / 2)
