"""Self-attention layers over frames, norms and pooling."""

from __future__ import annotations

import pytest
import torch

from models.layers.encoder_layers import PooledRows, PostNormLayer, PreNormLayer, SelfAttention, UnbiasedNorm

MASK = torch.tensor([[True, True, True, False], [True, True, False, False]])


def test_norm_uses_the_unbiased_deviation_and_adds_eps_outside_the_root():
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    expected = (x - 2.5) / (x.std() + 1.0)
    torch.testing.assert_close(UnbiasedNorm(4, eps=1.0)(x), expected)


@pytest.mark.parametrize("kind", [PreNormLayer, PostNormLayer])
def test_masked_frames_do_not_reach_the_others(kind):
    layer = kind(d_model=8, heads=2, d_inner=8, dropout=0.0)
    x = torch.randn(2, 4, 8)
    other = torch.where(MASK[..., None], x, torch.randn(2, 4, 8))
    torch.testing.assert_close(layer(x, MASK)[MASK], layer(other, MASK)[MASK])


def test_even_emphasis_changes_nothing_and_a_single_emphasised_key_takes_all():
    attention = SelfAttention(d_model=8, heads=2, dropout=0.0)
    x = torch.randn(2, 4, 8)
    torch.testing.assert_close(attention(x, MASK, torch.ones(2, 4)), attention(x, MASK), atol=1e-5, rtol=1e-5)
    only_first = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 2)
    expected = attention.out(attention.v(x[:, :1])).expand(-1, 4, -1)
    torch.testing.assert_close(attention(x, MASK, only_first), expected)


@pytest.mark.parametrize("hidden", [False, True])
def test_pooled_row_is_a_mean_weighted_over_the_real_rows(hidden):
    pool, x = PooledRows(8, hidden=hidden), torch.randn(2, 4, 8)
    row, weights = pool(x, MASK)
    assert not weights[~MASK].any()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))
    torch.testing.assert_close(row, (weights[..., None] * x).sum(dim=1))
