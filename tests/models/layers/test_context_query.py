from __future__ import annotations

import torch

from models.layers.context_query import ContextQuery


def test_context_query_attention_does_not_look_at_masked_tokens_and_clips():
    block = ContextQuery(d_model=6, dropout=0.0)
    video, query = torch.randn(1, 4, 6), torch.randn(1, 3, 6)
    video_mask, query_mask = torch.tensor([[True, True, False, False]]), torch.tensor([[True, True, False]])
    short = block(video[:, :2], video_mask[:, :2], query[:, :2], query_mask[:, :2])
    torch.testing.assert_close(block(video, video_mask, query, query_mask)[:, :2], short)
