"""Transformer layers that give their attention away: equal to PyTorch's, safe where nothing can be attended to."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.layers.reading_layers import ReadingAttention, ReadingDecoder, ReadingEncoder

SIZES = {"layers": 1, "d_model": 8, "heads": 2, "d_inner": 12, "dropout": 0.0}
MASK = torch.tensor([[True, True, True, True], [True, True, False, False]])


def copy_attention(ours: ReadingAttention, theirs: nn.MultiheadAttention):
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([linear.weight for linear in (ours.q, ours.k, ours.v)]))
        theirs.in_proj_bias.copy_(torch.cat([linear.bias for linear in (ours.q, ours.k, ours.v)]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())


def test_attention_that_starts_alike_weighs_likeness():
    attention = ReadingAttention(d_model=8, heads=2, dropout=0.0)
    attention.start_alike()
    x, y = torch.randn(1, 3, 8), torch.randn(1, 4, 8)
    logits = attention(x, y, y, None)[1]
    torch.testing.assert_close(logits.sum(dim=1) * 2, x @ y.mT)  # 2: the root of a head's channels


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_encoder_is_pytorchs_without_positions(activation):
    ours = ReadingEncoder(**SIZES, activation=activation, drop_residuals=True)
    theirs = nn.TransformerEncoderLayer(8, 2, 12, 0.0, activation=activation, batch_first=True)
    layer = ours.layers[0]
    copy_attention(layer.itself, theirs.self_attn)
    for mine, other in ((layer.inner, theirs.linear1), (layer.outer, theirs.linear2)):
        other.load_state_dict(mine.state_dict())
    x = torch.randn(2, 4, 8)
    expected = theirs(x, src_key_padding_mask=~MASK)
    torch.testing.assert_close(ours(x, MASK, torch.zeros(1, 4, 8))[MASK], ours.norm(expected)[MASK])


def test_decoder_is_pytorchs_and_its_attention_sums_to_one():
    ours = ReadingDecoder(**SIZES, activation="relu")
    theirs = nn.TransformerDecoderLayer(8, 2, 12, 0.0, batch_first=True)
    layer = ours.layers[0]
    copy_attention(layer.itself, theirs.self_attn)
    copy_attention(layer.cross, theirs.multihead_attn)
    for mine, other in ((layer.inner, theirs.linear1), (layer.outer, theirs.linear2)):
        other.load_state_dict(mine.state_dict())
    x, y = torch.randn(2, 3, 8), torch.randn(2, 4, 8)
    result, attention = ours(x, None, y, MASK)
    torch.testing.assert_close(result, ours.norm(theirs(x, y, memory_key_padding_mask=~MASK)))
    torch.testing.assert_close(attention.sum(dim=2), torch.ones(2, 3))
    assert not attention[1, :, 2:].any()


def test_attention_over_queries_sums_to_one_over_them():
    ours = ReadingDecoder(**SIZES, activation="relu")
    _, attention = ours(torch.randn(2, 4, 8), MASK, torch.randn(2, 3, 8), None, over="queries")
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(2, 3))
    assert not attention[1, 2:].any()


def test_query_without_a_real_key_gets_the_bias_alone_and_finite_gradients():
    attention, x = ReadingAttention(d_model=8, heads=2, dropout=0.0), torch.randn(2, 4, 8, requires_grad=True)
    result, _, weights = attention(x, x, x, MASK & torch.tensor([[True], [False]]))
    torch.testing.assert_close(result[1], attention.out.bias.expand(4, 8))
    assert not weights[1].any()
    result.sum().backward()
    assert x.grad.isfinite().all()


def test_residuals_without_dropout_still_drop_inside():
    settings = SIZES | {"dropout": 0.5, "activation": "relu"}
    layer = ReadingEncoder(**settings, drop_residuals=False).layers[0]
    assert (layer.drop_residual.p, layer.drop.p) == (0.0, 0.5)
