"""Front-door adjustment: what a row means is read off a dictionary of other samples, not off the confounded row alone.

    P(Y | do(X)) = sum_m P(m | X) sum_x' P(Y | x', m) P(x')
                ~= norm(g O + (1 - g) x),   O = softmax(q(x) k(Z)^T / sqrt(C / H)) v(Z),   g = sigmoid(w_a O + b_a + w_o x + b_o)

The dictionary Z stands for the samples x', the attention for their weights given the mediator; g is one number per row.
Source: CausalVTG (NeurIPS 2025), front-door encoder.   B batch, T rows, K dictionary entries, C channels, H heads, d = C / H.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.layers.attention import join_heads, split_heads
from models.layers.dropout import dropout

ABSORBING = -1e9  # larger than float32 can add a score to: what it is added to vanishes


class Gate(nn.Module):
    """One mixing weight per row from what was found and what was there."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.found, self.own = nn.Linear(d_model, 1), nn.Linear(d_model, 1)

    def forward(self, found: Tensor, own: Tensor) -> Tensor:
        """found, own (B, T, C) -> (B, T, 1) in 0..1."""
        return torch.sigmoid(self.found(found) + self.own(own))


class MemoryAttention(nn.Module):
    """Rows attend to dictionary entries: O above. No output projection. A dictionary has no padding, so there is no key mask."""

    def __init__(self, *, d_model: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.probability = heads, dropout
        self.query, self.key, self.value = (nn.Linear(d_model, d_model) for _ in range(3))

    def forward(self, x: Tensor, dictionary: Tensor, absorbed: Tensor | None) -> Tensor:
        """x (B, T, C), dictionary (K, C), absorbed (B, T) bool or None -> (B, T, C)."""
        weights = dropout(self.weights(x, dictionary, absorbed), self.probability, self.training)
        return join_heads(weights @ split_heads(self.value(dictionary), self.heads))

    def weights(self, x: Tensor, dictionary: Tensor, absorbed: Tensor | None) -> Tensor:
        """(B, H, T, K): how much each entry counts for each row."""
        q, k = (split_heads(y, self.heads) for y in (self.query(x), self.key(dictionary)))
        score = q @ (k.mT / math.sqrt(k.shape[-1]))  # (B, H, T, d) (H, d, K) -> (B, H, T, K)
        score = score.float()  # the softmax stays 32-bit under autocast, on every device
        if absorbed is not None:
            score = score + absorbed[:, None, :, None] * ABSORBING
        return score.softmax(dim=-1)


class FrontDoor(nn.Module):
    """The adjustment above, one for each modality."""

    def __init__(self, *, d_model: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = MemoryAttention(d_model=d_model, heads=heads, dropout=dropout)
        self.gate = Gate(d_model)
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x: Tensor, dictionary: Tensor | None, absorbed: Tensor | None = None) -> Tensor:
        """x (B, T, C), dictionary (K, C) -> (B, T, C). Without a dictionary g is 0: rows are normalised, nothing is adjusted.

        Rows marked in `absorbed` (B, T) get -1e9 added to all their scores. In exact arithmetic that changes nothing; in float32
        it leaves uniform weights, while the gradient flows as if nothing had been added.
        """
        if dictionary is None:
            return self.norm(x)
        found = self.attention(x, dictionary, absorbed)
        gate = self.gate(found, x)
        return self.norm(gate * found + (1 - gate) * x)

    def looked_at(self, x: Tensor, dictionary: Tensor, absorbed: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weights of the entries (B, T, K), mean over heads, and the gate (B, T): how much of a row comes from them."""
        gate = self.gate(self.attention(x, dictionary, absorbed), x)
        return self.attention.weights(x, dictionary, absorbed).mean(dim=1), gate[..., 0]
