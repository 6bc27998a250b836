"""A graph whose edges are learnt from its nodes, and convolution over it.

    A = U U^T,  U = relu(W2 relu(W1 X));    X := drop(relu(norm(A (X W^T))))   once per layer

norm: over the channels, without parameters; it takes the scale of A out again, which nothing else bounds. Rows of W1 and W2 are
written as a length times a direction.  Source: HGA (AAAI 2020), as in IGV (CVPR 2022).   B graphs, N nodes, D channels.
Rows of zeros stay zero and send nothing, so padding needs no mask.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.dropout import Dropout


def plain_norm(x: Tensor) -> Tensor:
    """(..., D) -> (..., D): mean 0, variance 1, eps 1e-5. A row of zeros stays one."""
    return F.layer_norm(x, x.shape[-1:])


class WeightNormLinear(nn.Module):
    """x W^T with W = length * direction / |direction|, row by row; starts as a PyTorch linear layer does."""

    def __init__(self, *, d_in: int, d_out: int) -> None:
        super().__init__()
        self.direction = nn.Parameter(nn.Linear(d_in, d_out, bias=False).weight.detach().clone())
        self.length = nn.Parameter(self.direction.detach().norm(dim=1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        return F.linear(x, self.direction * (self.length / self.direction.norm(dim=1, keepdim=True)))


class LearnedGraph(nn.Module):
    """Edges and `layers` convolutions."""

    def __init__(self, *, d_model: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.edge_inner, self.edge_outer = (WeightNormLinear(d_in=d_model, d_out=d_model) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(d_model, d_model, bias=False) for _ in range(layers))
        self.drop = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, N, D) -> (B, N, D)."""
        ends = F.relu(self.edge_outer(F.relu(self.edge_inner(x))))  # (B, N, D)
        edges = ends @ ends.mT  # (B, N, N)
        for layer in self.layers:
            x = self.drop(F.relu(plain_norm(edges @ layer(x))))
        return x


class LatePool(nn.Module):
    """One row for a graph: sum_i m_i a_i x_i, a = softmax_i w2 tanh(W1 x_i + b1) + b2 over the nodes that are counted."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.inner, self.score = nn.Linear(d_model, d_model // 2), nn.Linear(d_model // 2, 1)

    def forward(self, x: Tensor, mask: Tensor, counted: Tensor) -> Tensor:
        """x (B, N, D); mask (B, N) bool: who is summed; counted (B, N) bool: who shares in the softmax -> (B, D)."""
        score = self.score(torch.tanh(self.inner(x)))[..., 0].masked_fill(~counted, -torch.inf)
        weights = score.softmax(dim=-1).masked_fill(~mask, 0.0)  # (B, N)
        return (weights[:, None] @ x)[:, 0]
