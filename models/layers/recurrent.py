"""A sequence read from both ends by one recurrent layer each, padding without influence.

    h_t = cell(x_t, h_t-1) from the first real row on,   g_t = cell(x_t, g_t+1) from the last real row on
    rows [h_t g_t],   summary [h_last g_first]

The same numbers as packed sequences, but no length has to be known to the host: the second run reads the real rows turned round.
B batch, T rows of which the first n_b are real, D channels in, H hidden.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from models.layers.masks import prefix_mask, zero_padding

Cell = Literal["gru", "lstm"]
_CELLS: dict[Cell, type[nn.GRU] | type[nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


class BothWays(nn.Module):
    """The layer above, zeros as its start. Weights as in PyTorch; gates r, z, n (gru) or i, f, g, o (lstm)."""

    def __init__(self, *, d_in: int, hidden: int, cell: Cell) -> None:
        super().__init__()
        self.onward, self.back = (_CELLS[cell](d_in, hidden, batch_first=True) for _ in range(2))

    def forward(self, x: Tensor, count: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (B, T, D), count (B,) of real rows, at least 1, None: all -> rows (B, T, 2 H), zero on padding; summary (B, 2 H).

        The summary holds hidden states, never the cell of an lstm.
        """
        if count is None:
            h, g = self.onward(x)[0], self.back(x.flip(1))[0]
            return torch.cat((h, g.flip(1)), dim=-1), torch.cat((h[:, -1], g[:, -1]), dim=-1)
        place = torch.arange(x.shape[1], device=x.device)
        last = (count - 1)[:, None]  # (B, 1)
        turned = torch.where(place <= last, last - place, place)[..., None]  # (B, T, 1): its own inverse
        h = self.onward(x)[0]
        g = self.back(x.gather(1, turned.expand_as(x)))[0]
        at_end = last[..., None].expand(-1, 1, h.shape[-1])
        summary = torch.cat((h.gather(1, at_end), g.gather(1, at_end)), dim=-1)[:, 0]
        rows = torch.cat((h, g.gather(1, turned.expand_as(g))), dim=-1)
        return zero_padding(rows, prefix_mask(count, x.shape[1])), summary
