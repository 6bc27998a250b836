"""Back-door adjustment: a query is read through what questions usually look like, not only as it stands.

    P(Y | do(X)) = sum_z P(Y | X, z) P(z)  ~=  norm(x + softmax(q(x) k(Z)^T / sqrt(E)) v(Z)),   Z = flatten(GCN(nodes))

The confounders z are clusters of question-and-answer graphs: one vector per node, one graph per cluster, learnt from there on.
Source: CRA (CVPR 2025), linguistic back-door intervention.   B batch, K clusters, N nodes, E node channels, D model channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from models.layers.graph import GraphConvolution

QUESTION_NODES = ("question", "question_type", "subject", "verbs", "objects", "answer", "answer_verbs", "answer_objects")
QUESTION_EDGES = ((0, 5), (0, 1), (0, 2), (0, 3), (0, 4), (2, 4), (2, 3), (4, 3), (5, 6), (5, 7), (6, 7), (2, 5))  # (from, to)


class GraphBackDoor(nn.Module):
    """The adjustment above. `graphs` (K, N, E) are the first node vectors; E is a multiple of N."""

    def __init__(self, graphs: Tensor, *, d_model: int, edges: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        if graphs.dim() != 3:
            raise ValueError(f"graph confounders: expected (K, nodes, width), got {tuple(graphs.shape)}")
        _, nodes, width = graphs.shape
        if width % nodes:
            raise ValueError(f"graph confounders: the width {width} of a node is no multiple of the number of nodes, {nodes}")
        self.nodes = nn.Parameter(graphs.clone())
        self.convolution = GraphConvolution(d_in=width, d_out=width // nodes, edges=edges, nodes=nodes)
        self.query, self.key = nn.Linear(d_model, width), nn.Linear(width, width)
        self.value, self.norm = nn.Linear(width, d_model), nn.LayerNorm(d_model)

    def confounders(self) -> Tensor:
        """Z (K, E)."""
        return self.convolution(self.nodes).flatten(start_dim=1)

    def found(self, x: Tensor) -> Tensor:
        """x (B, D) -> (B, D): what the dictionary says, before residual and norm."""
        z = self.confounders()
        score = self.query(x) @ self.key(z).T / math.sqrt(z.shape[-1])  # (B, K)
        return score.float().softmax(dim=-1) @ self.value(z)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, D) -> (B, D)."""
        return self.norm(self.found(x) + x)
