"""Scaled dot-product attention with several heads.

    head = softmax(q k^T / sqrt(d) + mask) v,   y = m [head_1 ... head_H]

B batch, T queries, S keys, D channels, H heads, d = D / H.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F


def check_heads(channels: int, heads: int, *, even: bool = False) -> None:
    """Whether heads share the channels evenly. Raises ValueError. `even`: positions as sines need pairs of channels."""
    if heads < 1 or channels % heads or channels < 1 or (even and channels % 2):
        kind = "an even number of channels, a multiple of heads" if even else "channels a multiple of heads"
        raise ValueError(f"heads: expected {kind}, and both above 0; got {channels} channels and {heads} heads")


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(..., T, D) -> (..., H, T, D / H)."""
    return x.unflatten(-1, (heads, -1)).transpose(-2, -3)


def join_heads(x: Tensor) -> Tensor:
    """(..., H, T, d) -> (..., T, H * d)."""
    return x.transpose(-2, -3).flatten(start_dim=-2)


class MultiHeadAttention(nn.Module):
    """Projections q, k, v and the output projection m, each with bias. Xavier-uniform weights, zero biases."""

    def __init__(self, *, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.m = (nn.Linear(d_model, d_model) for _ in range(4))
        for linear in (self.q, self.k, self.v, self.m):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor) -> Tensor:
        """query (B, T, D), key and value (B, S, D), key_mask (B, S) bool with at least one True per row -> (B, T, D)."""
        q, k, v = (split_heads(x, self.heads) for x in (self.q(query), self.k(key), self.v(value)))  # (B, H, T or S, d)
        return self.m(join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=key_mask[:, None, None, :])))


class AttentionPooling(nn.Module):
    """One row for a sequence: sum_t a_t x_t with a = softmax_t w x_t over the real rows."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.score = nn.Linear(d_model, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, T, D), mask (B, T) -> (B, 1, D)."""
        weights = self.score(x).masked_fill(~mask[..., None], -math.inf).softmax(dim=1)  # (B, T, 1)
        return weights.mT @ x
