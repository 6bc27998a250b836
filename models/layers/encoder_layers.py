"""Self-attention layers over the frames of a video: norm before each branch, or after it.

    before   x = x + drop(attend(N x));  x = x + drop(W2 drop(relu(W1 N x)))      N x = gamma (x - mean) / (std + eps) + beta
    after    x = norm(attend(x) + x);    x = norm(drop(W2 gelu(W1 x)) + x)         dropout on the attention weights

Source of the second: DistilBERT's layer, as in NExT-GQA (CVPR 2024).   B batch, T frames, D channels, H heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.attention import join_heads, split_heads
from models.layers.dropout import Dropout


class UnbiasedNorm(nn.Module):
    """Normalisation by the unbiased standard deviation (divisor D - 1), with eps added outside the root."""

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.gamma, self.beta, self.eps = nn.Parameter(torch.ones(d_model)), nn.Parameter(torch.zeros(d_model)), eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        centred = x - x.mean(dim=-1, keepdim=True)
        # torch.std takes eight times as long on a CPU, and has no gradient where all channels are equal
        std = torch.linalg.vector_norm(centred, dim=-1, keepdim=True) / math.sqrt(x.shape[-1] - 1)
        return self.gamma * (centred / (std + self.eps)) + self.beta


class SelfAttention(nn.Module):
    """Scaled dot-product attention of a sequence to itself; `dropout` falls on its weights."""

    def __init__(self, *, d_model: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q, self.k, self.v, self.out = (nn.Linear(d_model, d_model) for _ in range(4))

    def forward(self, x: Tensor, key_mask: Tensor | None, emphasis: Tensor | None = None) -> Tensor:
        """x (B, T, D), key_mask (B, T) or None -> (B, T, D).

        emphasis (B, T), positive: each weight is multiplied by that of its key, and the weights are made to sum to 1 again.
        """
        q, k, v = (split_heads(y, self.heads) for y in (self.q(x), self.k(x), self.v(x)))  # (B, H, T, d)
        if emphasis is None:
            mask = None if key_mask is None else key_mask[:, None, None]
            drop = self.dropout if self.training else 0.0
            return self.out(join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=drop)))
        score = (q @ k.mT / math.sqrt(q.shape[-1])).float()
        if key_mask is not None:
            score = score.masked_fill(~key_mask[:, None, None], -math.inf)
        weights = score.softmax(dim=-1) * emphasis[:, None, None]
        weights = weights / weights.sum(dim=-1, keepdim=True)
        return self.out(join_heads(F.dropout(weights, self.dropout, self.training).to(v.dtype) @ v))


class PreNormLayer(nn.Module):
    """The layer with the norm before each branch."""

    def __init__(self, *, d_model: int, heads: int, d_inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(d_model=d_model, heads=heads, dropout=0.0)
        self.norm_attention, self.norm_inner = UnbiasedNorm(d_model), UnbiasedNorm(d_model)
        self.inner, self.outer = nn.Linear(d_model, d_inner), nn.Linear(d_inner, d_model)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, key_mask: Tensor | None) -> Tensor:
        """x (B, T, D), key_mask (B, T) or None -> (B, T, D)."""
        x = x + self.drop(self.attention(self.norm_attention(x), key_mask))
        return x + self.drop(self.outer(self.drop(F.relu(self.inner(self.norm_inner(x))))))


class PostNormLayer(nn.Module):
    """The layer with the norm after each branch; eps 1e-12."""

    def __init__(self, *, d_model: int, heads: int, d_inner: int, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(d_model=d_model, heads=heads, dropout=dropout)
        self.norm_attention, self.norm_inner = (nn.LayerNorm(d_model, eps=1e-12) for _ in range(2))
        self.inner, self.outer = nn.Linear(d_model, d_inner), nn.Linear(d_inner, d_model)
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor, key_mask: Tensor | None, emphasis: Tensor | None = None) -> Tensor:
        """x (B, T, D), key_mask (B, T) or None, emphasis as in `SelfAttention` -> (B, T, D)."""
        x = self.norm_attention(self.attention(x, key_mask, emphasis) + x)
        return self.norm_inner(self.drop(self.outer(F.gelu(self.inner(x)))) + x)


class PooledRows(nn.Module):
    """One row for a sequence: sum_t a_t x_t, a = softmax_t of a score per row, linear or with one hidden layer of half width."""

    def __init__(self, d_model: int, *, hidden: bool) -> None:
        super().__init__()
        half = d_model // 2
        self.score: nn.Module = (
            nn.Sequential(nn.Linear(d_model, half), nn.Tanh(), nn.Linear(half, 1)) if hidden else nn.Linear(d_model, 1)
        )

    def forward(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, T, D), mask (B, T) or None -> the row (B, D), the weights a (B, T)."""
        score = self.score(x)[..., 0].float()
        weights = (score if mask is None else score.masked_fill(~mask, -math.inf)).softmax(dim=-1)
        return (weights[:, None].to(x.dtype) @ x)[:, 0], weights
