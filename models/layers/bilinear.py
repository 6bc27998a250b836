"""Block fusion: a bilinear form of two vectors, as a block-diagonal tensor whose blocks have low rank.

    x = A u,  y = B w,   cut into chunks x_c, y_c
    z_c = sum_r (P_cr x_c + p_cr) * (Q_cr y_c + q_cr)
    z_c := signed root of z_c, then length 1,    out = C [z_1 ... z_n]

Source: Ben-younes et al., BLOCK (AAAI 2019).   N vectors, M inner channels, R rank, s_c channels of a chunk.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.dropout import Dropout


def chunk_sizes(total: int, chunks: int) -> list[int]:
    """Channels per chunk: ceil(total / chunks) each and what is left for the last.

    If less than nothing is left, the last chunk gets a full size and the missing channels are taken one by one from the end.
    """
    full = math.ceil(total / chunks)
    left = total - (chunks - 1) * full
    if left >= 0:
        return [full] * (chunks - 1) + [left]
    short = full - left
    return [full] * (chunks - short) + [full - 1] * short


def signed_root(z: Tensor) -> Tensor:
    """sqrt|z| with the sign of z; the gradient at 0 is 0."""
    return F.relu(z).sqrt() - F.relu(-z).sqrt()


class BlockFusion(nn.Module):
    """The form above; `dropout` falls on x and y."""

    def __init__(self, *, d_first: int, d_second: int, d_out: int, d_inner: int, chunks: int, rank: int, dropout: float) -> None:
        super().__init__()
        self.sizes, self.rank = chunk_sizes(d_inner, chunks), rank
        self.first, self.second = nn.Linear(d_first, d_inner), nn.Linear(d_second, d_inner)
        self.merge_first, self.merge_second = (
            nn.ModuleList(nn.Linear(size, size * rank) for size in self.sizes) for _ in range(2)
        )
        self.out = nn.Linear(d_inner, d_out)
        self.drop = Dropout(dropout)

    def forward(self, u: Tensor, w: Tensor) -> Tensor:
        """u (N, d_first), w (N, d_second) -> (N, d_out)."""
        x, y = self.drop(self.first(u)).split(self.sizes, dim=-1), self.drop(self.second(w)).split(self.sizes, dim=-1)
        merged = []
        for x_c, y_c, of_x, of_y in zip(x, y, self.merge_first, self.merge_second, strict=True):
            z = (of_x(x_c) * of_y(y_c)).unflatten(-1, (self.rank, x_c.shape[-1])).sum(dim=-2)  # (N, s_c)
            merged.append(F.normalize(signed_root(z), dim=-1))
        return self.out(torch.cat(merged, dim=-1))
