"""Graph convolution on one fixed graph, for many sets of node features.

    x'_j = b + sum over i -> j, and i = j, of  W x_i / sqrt(deg_i deg_j),   deg_j = 1 + edges into j

Source: Kipf and Welling (ICLR 2017), on directed edges as they stand.   K graphs, N nodes, D channels in, C out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GraphConvolution(nn.Module):
    """The layer above. The weighted adjacency is a constant."""

    adjacency: Tensor

    def __init__(self, *, d_in: int, d_out: int, edges: Sequence[tuple[int, int]], nodes: int) -> None:
        super().__init__()
        self.weight = nn.Linear(d_in, d_out, bias=False)
        self.bias = nn.Parameter(torch.zeros(d_out))
        into = torch.eye(nodes)
        for source, target in edges:
            into[target, source] += 1
        scale = into.sum(dim=1).rsqrt()
        self.register_buffer("adjacency", scale[:, None] * into * scale, persistent=False)  # (N target, N source)

    def forward(self, x: Tensor) -> Tensor:
        """x (K, N, D) -> (K, N, C)."""
        return self.adjacency @ self.weight(x) + self.bias
