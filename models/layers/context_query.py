"""Context-query attention: every clip is told what the query says about it, and what the query finds elsewhere (BiDAF, QANet).

    S[t, l] = w_v v_t + w_q q_l + (w_p * v_t) q_l
    A = softmax_l S,  A' = softmax_t S,  u = A q,  r = A A'^T v,   y = W [v, u, v * u, v * r]

B batch, T clips, L tokens, C channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.layers.dropout import dropout


class ContextQuery(nn.Module):
    """The equations above; dropout acts on v and q, independently, and only where they enter S."""

    def __init__(self, *, d_model: int, dropout: float) -> None:
        super().__init__()
        wide = math.sqrt(6.0 / (d_model + 1))  # Xavier-uniform of a (C, 1) matrix
        self.w_video = nn.Parameter(torch.empty(d_model).uniform_(-wide, wide))
        self.w_query = nn.Parameter(torch.empty(d_model).uniform_(-wide, wide))
        narrow = math.sqrt(6.0 / (2 * d_model))  # Xavier-uniform of a (1, 1, C) kernel
        self.w_product = nn.Parameter(torch.empty(d_model).uniform_(-narrow, narrow))
        self.out = nn.Linear(4 * d_model, d_model)
        self.probability = dropout

    def similarity(self, video: Tensor, query: Tensor) -> Tensor:
        """video (B, T, C), query (B, L, C) -> S (B, T, L)."""
        v = dropout(video, self.probability, self.training)
        q = dropout(query, self.probability, self.training)
        return (v * self.w_product) @ q.mT + (v @ self.w_video)[:, :, None] + (q @ self.w_query)[:, None, :]

    def forward(self, video: Tensor, video_mask: Tensor, query: Tensor, query_mask: Tensor) -> Tensor:
        """video (B, T, C), video_mask (B, T), query (B, L, C), query_mask (B, L) -> (B, T, C). No residual."""
        score = self.similarity(video, query).float()  # (B, T, L)
        over_tokens = score.masked_fill(~query_mask[:, None, :], -math.inf).softmax(dim=2)
        over_clips = score.masked_fill(~video_mask[:, :, None], -math.inf).softmax(dim=1)
        told = over_tokens @ query  # (B, T, C)
        found = over_tokens @ (over_clips.mT @ video)  # (B, T, C)
        return self.out(torch.cat((video, told, video * told, video * found), dim=-1))
