"""Post-norm transformer decoders that look backwards only, over words and clips alike; attention can be weighted from outside.

    A = softmax(q k^T / sqrt(D / H) + log(g + 1e-10))         over the keys up to the query that are real
    x = norm(x + drop(A v W_o));   the same to another sequence, if there is one;   x = norm(x + drop(W_2 relu(W_1 x)))

Adding log(g + 1e-10) is multiplying the weights by g + 1e-10 and normalising them again (Zheng et al., CVPR 2022, section 3.2).
Several weightings g of one sequence ("copies") share whatever does not depend on g: the projections of the first layer, its
scores, its whole self-attention where that is not weighted.

B batch, R = B * copies rows in sample-major order, T queries, S keys, D channels, H heads.  Masks: True = real.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.attention import join_heads, split_heads
from models.layers.dropout import Dropout

WEIGHT_FLOOR = 1e-10


def backwards(mask: Tensor | None, length: int, device: torch.device) -> Tensor:
    """Which keys a query may see: those up to itself, real by mask (B, length) -> (B or 1, 1, length, length) bool."""
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()[None, None]
    return causal if mask is None else causal & mask[:, None, None, :]


def copied(x: Tensor, rows: int) -> Tensor:
    """x (B, ...) -> (rows, ...): every sample repeated as often as it takes, in memory only where it must be."""
    if x.shape[0] == rows:
        return x
    return x.expand(rows, *x.shape[1:]) if x.shape[0] == 1 else x.repeat_interleave(rows // x.shape[0], dim=0)


class WeightedAttention(nn.Module):
    """Several heads, one packed projection of queries, keys and values. Xavier-uniform weights, zero biases."""

    def __init__(self, *, d_model: int, heads: int) -> None:
        super().__init__()
        self.heads, self.d_model = heads, d_model
        self.packed, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        for linear in (self.packed, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def project(
        self, x: Tensor, memory: Tensor | None, allowed: Tensor | None, seen: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """q (B, H, T, d), k and v (B, H, S, d), from x (B, T, D) and memory (B, S, D), or x itself; and the keys in reach."""
        if memory is None:
            q, k, v = self.packed(x).chunk(3, dim=-1)
        else:
            weight, bias, size = self.packed.weight, self.packed.bias, self.d_model
            q = F.linear(x, weight[:size], bias[:size])
            k, v = F.linear(memory, weight[size:], bias[size:]).chunk(2, dim=-1)
        q, k, v = (split_heads(y, self.heads) for y in (q, k, v))
        if seen is not None and allowed is not None:
            # the reference gives a row without any real key the same weight on every key, future ones too
            q, allowed = q * seen[:, None, None, None], allowed | ~seen[:, None, None, None]
        return q, k, v, allowed

    def weights(self, q: Tensor, k: Tensor, allowed: Tensor | None, log_weight: Tensor | None) -> Tensor:
        """Attention weights: q (B, H, T, d), k (B, H, S, d), log_weight (R, S) -> (B, R / B, H, T, S); one copy without it."""
        scores = (q @ k.mT).float() / math.sqrt(q.shape[-1])  # (B, H, T, S)
        if allowed is not None:
            scores = scores.masked_fill(~allowed, -math.inf)
        scores = scores[:, None]
        if log_weight is not None:
            scores = scores + log_weight.unflatten(0, (q.shape[0], -1))[:, :, None, None, :]
        return scores.softmax(dim=-1)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        allowed: Tensor | None = None,
        log_weight: Tensor | None = None,
        seen: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, D), memory (B, S, D) or None for x itself -> (B, T, D), or (R, T, D) with log_weight (R, S).

        allowed     (B or 1, 1, T or 1, S) bool, None: every key
        seen        (B,) bool: does the row have any real key; None: every row has
        """
        q, k, v, allowed = self.project(x, memory, allowed, seen)
        if log_weight is None:
            return self.out(join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)))
        mixed = self.weights(q, k, allowed, log_weight).to(v.dtype) @ v[:, None]  # (B, R / B, H, T, d)
        return self.out(join_heads(mixed.flatten(0, 1)))


class CausalLayer(nn.Module):
    """Self-attention, attention to a memory if there is one, feed-forward of width 2 D; dropout after each of them."""

    def __init__(self, *, d_model: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.itself = WeightedAttention(d_model=d_model, heads=heads)
        self.cross = WeightedAttention(d_model=d_model, heads=heads)
        self.inner, self.outer = nn.Linear(d_model, 2 * d_model), nn.Linear(2 * d_model, d_model)
        self.norm_itself, self.norm_cross, self.norm_outer = (nn.LayerNorm(d_model) for _ in range(3))
        self.drop = Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        allowed: Tensor,
        memory: Tensor | None,
        memory_allowed: Tensor | None,
        *,
        log_self: Tensor | None,
        log_cross: Tensor | None,
        seen: Tensor | None,
        memory_seen: Tensor | None,
    ) -> Tensor:
        """x (B, T, D), memory (R, S, D) or None -> (R, T, D); R is that of log_self (R, T) where it is given."""
        rows = next((other.shape[0] for other in (log_self, memory) if other is not None), x.shape[0])
        attended = self.itself(x, allowed=copied(allowed, x.shape[0]), log_weight=log_self, seen=seen)
        x = self.norm_itself(copied(x, rows) + self.drop(copied(attended, rows)))
        if memory is not None:
            reach = None if memory_allowed is None else copied(memory_allowed, rows)
            look = None if memory_seen is None else copied(memory_seen, rows)
            told = self.cross(x, memory, allowed=reach, log_weight=log_cross, seen=look)
            x = self.norm_cross(x + self.drop(told))
        return self.norm_outer(x + self.drop(self.outer(F.relu(self.inner(x)))))


class CausalDecoder(nn.Module):
    """Layers in a row."""

    def __init__(self, *, layers: int, d_model: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CausalLayer(d_model=d_model, heads=heads, dropout=dropout) for _ in range(layers))

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        *,
        log_self: Tensor | None = None,
        log_cross: Tensor | None = None,
        seen: Tensor | None = None,
        memory_seen: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, D), mask (B, T), memory (R, S, D), memory_mask (B, S) -> (R, T, D). A mask None: everything is real.

        log_self (R, T), log_cross (R, S)     logarithms of outside weights on the keys
        seen, memory_seen (B,)                rows that have a real key at all; None: every row has
        """
        allowed = backwards(mask, x.shape[1], x.device)
        memory_allowed = None if memory_mask is None else memory_mask[:, None, None, :]
        for layer in self.layers:
            x = layer(
                x,
                copied(allowed, x.shape[0]),
                memory,
                memory_allowed,
                log_self=log_self,
                log_cross=log_cross,
                seen=None if seen is None else copied(seen, x.shape[0]),
                memory_seen=memory_seen,
            )
        return x
