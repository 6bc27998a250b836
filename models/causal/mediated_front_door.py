"""Front-door adjustment with a mediator that is itself attended: what was looked at, and what other videos show.

    out = F [A, E],   A = W softmax(pm(m) px^T / s) px,   E = W' softmax(px(x*) pc(C)^T / s) pc(C)

m is the mediator (the frames that the grounding picked), x* the whole video, C the dictionary of other videos' frames.
Source: CRA (CVPR 2025), visual front-door intervention.   B batch, T frames, K dictionary entries, D model, E inner channels.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Over = Literal["batch", "frames"]


class MediatedFrontDoor(nn.Module):
    """The adjustment above; residual and norm belong to the caller. `dictionary` (K, F) starts C, which is learnt from there on.

    over    what the mediator attends to: "frames" of its own video, or "batch": the whole videos x* of all samples in the batch
    """

    def __init__(self, dictionary: Tensor, *, d_model: int, d_inner: int, over: Over) -> None:
        super().__init__()
        if dictionary.dim() != 2:
            raise ValueError(f"video confounders: expected (K, width of a frame), got {tuple(dictionary.shape)}")
        self.over, self.scale = over, math.sqrt(d_model)
        self.dictionary = nn.Parameter(dictionary.clone())
        self.mediator, self.video = nn.Linear(d_model, d_inner), nn.Linear(d_model, d_inner)
        self.entry = nn.Linear(dictionary.shape[1], d_inner)
        self.from_mediator, self.from_entries = nn.Linear(d_inner, d_model), nn.Linear(d_inner, d_model)
        self.join = nn.Linear(2 * d_model, d_model)

    def forward(self, mediator: Tensor, whole: Tensor, frames: Tensor, mask: Tensor | None) -> Tensor:
        """mediator m and whole x* (B, D), frames (B, T, D), mask (B, T) or None -> (B, D). "batch" reads no frames."""
        pm, px, pc = self.mediator(mediator), self.video(whole), self.entry(self.dictionary)
        seen = self.attend(pm, px[None], None) if self.over == "batch" else self.attend(pm[:, None], self.video(frames), mask)
        adjusted = self.from_mediator(seen.reshape(px.shape))
        expected = self.from_entries(self.attend(px, pc, None))
        return self.join(torch.cat((adjusted, expected), dim=-1))

    def looked_at(self, whole: Tensor) -> Tensor:
        """(B, K): how much each entry of the dictionary counts for each whole video x* (B, D)."""
        return self.weights(self.video(whole), self.entry(self.dictionary), None)

    def attend(self, query: Tensor, rows: Tensor, mask: Tensor | None) -> Tensor:
        """query (..., Q, E), rows (..., R, E), mask (B, R) -> (..., Q, E)."""
        return self.weights(query, rows, mask) @ rows

    def weights(self, query: Tensor, rows: Tensor, mask: Tensor | None) -> Tensor:
        """(..., Q, R), each row sums to 1."""
        score = (query @ rows.mT / self.scale).float()
        if mask is not None:
            score = score.masked_fill(~mask[:, None], -math.inf)
        return score.softmax(dim=-1)
