from __future__ import annotations

import torch

from models.layers.attention import AttentionPooling, MultiHeadAttention


def test_masked_keys_have_no_say():
    block, query, keys = MultiHeadAttention(d_model=8, heads=2), torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    mask = torch.tensor([[True, True, True, False, False]])
    short = block(query, keys[:, :3], keys[:, :3], mask[:, :3])
    torch.testing.assert_close(block(query, keys, keys, mask), short)


def test_pooling_is_a_mean_of_real_rows():
    block, x = AttentionPooling(4), torch.randn(1, 3, 4)
    torch.testing.assert_close(block(x, torch.tensor([[False, True, False]])), x[:, 1:2])
