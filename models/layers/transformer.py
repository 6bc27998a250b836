"""One post-norm decoder layer: attend to another sequence, to oneself, then a feed-forward part.

    x = norm(x + drop(attend(x + p, y, y)));  x = norm(x + drop(attend(x + p, x + p, x)));  x = norm(x + drop(W2 relu(W1 x)))

p is a positional code, given to queries and keys, never to values. drop skips a whole branch per sample (stochastic depth).
B batch, T rows of x, S rows of y, D channels.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.attention import MultiHeadAttention


class DropPath(nn.Module):
    """In training, sets x (B, ...) to zero for a random share of the samples and scales the others up; otherwise the identity."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training or self.probability == 0:
            return x
        keep = 1.0 - self.probability
        return x * (x.new_empty(x.shape[0], *[1] * (x.dim() - 1)).bernoulli_(keep) / keep)


class DecoderLayer(nn.Module):
    """The layer above. Feed-forward weights: Kaiming-normal over the fan-out, zero biases."""

    def __init__(self, *, d_model: int, heads: int, d_inner: int, drop_path: float) -> None:
        super().__init__()
        self.cross = MultiHeadAttention(d_model=d_model, heads=heads)
        self.itself = MultiHeadAttention(d_model=d_model, heads=heads)
        self.inner, self.outer = nn.Linear(d_model, d_inner), nn.Linear(d_inner, d_model)
        self.norm_cross, self.norm_itself, self.norm_outer = (nn.LayerNorm(d_model) for _ in range(3))
        self.drop_path = DropPath(drop_path)
        for linear in (self.inner, self.outer):
            nn.init.normal_(linear.weight, std=math.sqrt(2.0 / linear.out_features))
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, x_mask: Tensor, y: Tensor, y_mask: Tensor, positions: Tensor) -> Tensor:
        """x (B, T, D), x_mask (B, T), y (B, S, D), y_mask (B, S), positions (B or 1, T, D) -> (B, T, D)."""
        x = self.norm_cross(x + self.drop_path(self.cross(x + positions, y, y, y_mask)))
        placed = x + positions
        x = self.norm_itself(x + self.drop_path(self.itself(placed, placed, x, x_mask)))
        return self.norm_outer(x + self.drop_path(self.outer(F.relu(self.inner(x)))))
