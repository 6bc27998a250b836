"""Post-norm transformer layers that say what they attended to.

    encoder   x = norm(x + drop(attend(x + p, x + p, x)));  x = norm(x + drop(W2 drop(act(W1 x))))
    decoder   x = norm(x + drop(attend(x + p, x + p, x)));  x = norm(x + drop(attend(x + p, y, y)));  x = norm(x + drop(W2 ...))

p is a positional code, given to queries and keys, never to values nor to y. Each stack ends in a norm.
B batch, T rows of x, S rows of y, H heads, D channels.  Masks: True = real.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.attention import join_heads, split_heads
from models.layers.dropout import Dropout

Activation = Literal["relu", "gelu"]


def inner_activation(name: Activation) -> nn.Module:
    """relu, or gelu in its exact form."""
    return nn.ReLU() if name == "relu" else nn.GELU()


class ReadingAttention(nn.Module):
    """Attention with several heads; `dropout` falls on its weights. Logits and weights are in single precision at least."""

    def __init__(self, *, d_model: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(d_model, d_model) for _ in range(4))
        self.drop = Dropout(dropout)

    @torch.no_grad()
    def start_alike(self) -> None:
        """Queries and keys begin as one orthogonal map: logits are inner products in each head's share of the space.

        Where both sides come from one space (CLIP's frames and words, say) attention then begins as likeness, not as chance.
        """
        nn.init.orthogonal_(self.k.weight)
        self.q.weight.copy_(self.k.weight)
        for layer in (self.q, self.k):
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """query (B, T, D), key and value (B, S, D), key_mask (B, S) or None -> (B, T, D), logits and weights (B, H, T, S).

        A query without a real key gets zeros.
        """
        q, k, v = (split_heads(x, self.heads) for x in (self.q(query), self.k(key), self.v(value)))  # (B, H, T or S, d)
        with torch.autocast(q.device.type, enabled=False):
            kind = torch.promote_types(q.dtype, torch.float32)
            logits = q.to(kind) @ k.to(kind).mT / math.sqrt(q.shape[-1])
            if key_mask is not None:
                logits = logits.masked_fill(~key_mask[:, None, None], -math.inf)
            weights = logits.softmax(dim=-1)
            if key_mask is not None:
                weights = weights.masked_fill(~key_mask[:, None, None], 0.0)  # also where all keys are masked
            weights = self.drop(weights)
        return self.out(join_heads(weights.to(v.dtype) @ v)), logits, weights


class ReadingEncoderLayer(nn.Module):
    """The encoder's layer. drop_residuals False (reference behaviour): no dropout where the branches join."""

    def __init__(
        self, *, d_model: int, heads: int, d_inner: int, dropout: float, activation: Activation, drop_residuals: bool
    ) -> None:
        super().__init__()
        self.itself = ReadingAttention(d_model=d_model, heads=heads, dropout=dropout)
        self.inner, self.outer = nn.Linear(d_model, d_inner), nn.Linear(d_inner, d_model)
        self.norm_itself, self.norm_outer = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.activation, self.drop = inner_activation(activation), Dropout(dropout)
        self.drop_residual = Dropout(dropout if drop_residuals else 0.0)

    def forward(self, x: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """x (B, T, D), mask (B, T) or None, positions (B or 1, T, D) -> (B, T, D)."""
        placed = x + positions
        x = self.norm_itself(x + self.drop_residual(self.itself(placed, placed, x, mask)[0]))
        return self.norm_outer(x + self.drop_residual(self.outer(self.drop(self.activation(self.inner(x))))))


class ReadingDecoderLayer(nn.Module):
    """The decoder's layer."""

    def __init__(self, *, d_model: int, heads: int, d_inner: int, dropout: float, activation: Activation) -> None:
        super().__init__()
        self.itself, self.cross = (ReadingAttention(d_model=d_model, heads=heads, dropout=dropout) for _ in range(2))
        self.inner, self.outer = nn.Linear(d_model, d_inner), nn.Linear(d_inner, d_model)
        self.norm_itself, self.norm_cross, self.norm_outer = (nn.LayerNorm(d_model) for _ in range(3))
        self.activation, self.drop = inner_activation(activation), Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Tensor | None, y: Tensor, y_mask: Tensor | None, positions: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, D), y (B, S, D), masks (B, T), (B, S) or None -> (B, T, D), logits and weights on y, (B, H, T, S)."""
        placed = x if positions is None else x + positions
        x = self.norm_itself(x + self.drop(self.itself(placed, placed, x, mask)[0]))
        read, logits, weights = self.cross(x if positions is None else x + positions, y, y, y_mask)
        x = self.norm_cross(x + self.drop(read))
        inner = self.outer(self.drop(self.activation(self.inner(x))))
        return self.norm_outer(x + self.drop(inner)), logits, weights


class ReadingEncoder(nn.Module):
    """A stack of encoder layers."""

    def __init__(
        self,
        *,
        layers: int,
        d_model: int,
        heads: int,
        d_inner: int,
        dropout: float,
        activation: Activation,
        drop_residuals: bool,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ReadingEncoderLayer(
                d_model=d_model,
                heads=heads,
                d_inner=d_inner,
                dropout=dropout,
                activation=activation,
                drop_residuals=drop_residuals,
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, mask: Tensor | None, positions: Tensor) -> Tensor:
        """x (B, T, D), mask (B, T) or None, positions (B or 1, T, D) -> (B, T, D)."""
        for layer in self.layers:
            x = layer(x, mask, positions)
        return self.norm(x)


class ReadingDecoder(nn.Module):
    """A stack of decoder layers."""

    def __init__(self, *, layers: int, d_model: int, heads: int, d_inner: int, dropout: float, activation: Activation) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            ReadingDecoderLayer(d_model=d_model, heads=heads, d_inner=d_inner, dropout=dropout, activation=activation)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        y: Tensor,
        y_mask: Tensor | None,
        positions: Tensor | None = None,
        *,
        over: Literal["keys", "queries"] = "keys",
    ) -> tuple[Tensor, Tensor]:
        """x (B, T, D), y (B, S, D), masks (B, T), (B, S) or None -> (B, T, D), the last layer's attention to y (B, T, S).

        The attention is the mean of the heads. over "queries": its logits normalised over the real rows of x instead.
        """
        logits = weights = None
        for layer in self.layers:
            x, logits, weights = layer(x, mask, y, y_mask, positions)
        assert logits is not None
        if over == "queries":
            if y_mask is not None:
                logits = logits.masked_fill(~y_mask[:, None, None], 0.0)
            if mask is not None:
                logits = logits.masked_fill(~mask[:, None, :, None], -math.inf)
            weights = F.softmax(logits, dim=2)
            if mask is not None:
                weights = weights.masked_fill(~mask[:, None, :, None], 0.0)
        assert weights is not None
        return self.norm(x), weights.mean(dim=1)
