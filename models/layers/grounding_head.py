"""Which frames does the question speak about: scores per frame, Gaussian smoothing, the span around the best frame.

    v_t = gelu(W LN x_t),   u = gelu(W' LN q),   p = softmax_t f(v_t, u),   key = smooth(p) made to sum to 1   -> GroundingHead
    smooth(p)_t = sum_j k_j p_(t+j),   k_j ~ exp(-j^2 / (2 sigma^2)),   j = -2..2,   sigma learnt            -> GaussianSmoothing

Source: CRA (CVPR 2025), Gaussian smoothing grounding.   B batch, T frames, D channels.  Masks: True = real, None = all are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.masks import lengths

REACH = 2  # frames on either side that the filter mixes in

Gate = Literal["before_norm", "after_norm"]


@dataclass(frozen=True, kw_only=True)
class FrameWeights:
    """What the head says about each frame, and what it compared.

    scores, weights (B, T)      p before smoothing; the key: not negative, sums to 1
    frames (B, T, D), query (B, D)      v and u
    """

    scores: Tensor
    weights: Tensor
    frames: Tensor
    query: Tensor


class GaussianSmoothing(nn.Module):
    """The filter above, of one learnt width. `floor` is added to sigma^2 so that sigma = 0 has a value."""

    def __init__(self, *, floor: float) -> None:
        super().__init__()
        self.floor = floor
        self.sigma = nn.Parameter(torch.tensor(1.0))

    def kernel(self) -> Tensor:
        """The five weights, sum 1."""
        offset = torch.arange(-REACH, REACH + 1, device=self.sigma.device, dtype=self.sigma.dtype)
        value = torch.exp(-0.5 * offset**2 / (self.sigma**2 + self.floor))
        return value / value.sum()

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T) -> (B, T); frames beyond the ends count as 0."""
        return F.conv1d(x[:, None], self.kernel()[None, None], padding=REACH)[:, 0]


class GroundingHead(nn.Module):
    """Frame weights in the light of a question.

    gate            before_norm  f = MLP(LN(v_t tanh(v_t . u))): the norm undoes the size of the gate, only its sign is left
                    after_norm   f = MLP(LN(v_t) tanh(v_t . u / sqrt D))
    softmax_twice   the key is a second softmax of the smoothed p, almost uniform; otherwise the smoothed p over its sum
    smoothing       False leaves the filter out (ablation)
    """

    def __init__(self, *, d_model: int, gate: Gate, softmax_twice: bool, sigma_floor: float, smoothing: bool = True) -> None:
        super().__init__()
        self.gate, self.softmax_twice = gate, softmax_twice
        self.query = nn.Sequential(nn.LayerNorm(d_model), nn.Linear(d_model, d_model), nn.GELU())
        self.frame = nn.Sequential(nn.LayerNorm(d_model), nn.Linear(d_model, d_model), nn.GELU())
        self.norm = nn.LayerNorm(d_model)
        self.score = nn.Sequential(nn.Linear(d_model, d_model // 2), nn.GELU(), nn.Linear(d_model // 2, 1))
        self.filter = GaussianSmoothing(floor=sigma_floor) if smoothing else None

    def forward(self, frames: Tensor, query: Tensor, mask: Tensor | None = None) -> FrameWeights:
        """frames (B, T, D), query (B, D), mask (B, T) -> weights, 0 at frames that are not real."""
        v, u = self.frame(frames), self.query(query)  # (B, T, D), (B, D)
        match = (v @ u[..., None])[..., 0]  # (B, T)
        if self.gate == "before_norm":
            gated = self.norm(v * match.tanh()[..., None])
        else:
            gated = self.norm(v) * (match / math.sqrt(v.shape[-1])).tanh()[..., None]
        score = self.score(gated)[..., 0].float()
        p = (score if mask is None else score.masked_fill(~mask, -math.inf)).softmax(dim=-1)
        return FrameWeights(scores=p, weights=self.smoothed(p, mask), frames=v, query=u)

    def smoothed(self, p: Tensor, mask: Tensor | None) -> Tensor:
        """p (B, T) -> key (B, T)."""
        s = p if self.filter is None else self.filter(p)
        if mask is not None:
            s = s.masked_fill(~mask, -math.inf if self.softmax_twice else 0.0)
        return s.softmax(dim=-1) if self.softmax_twice else s / s.sum(dim=-1, keepdim=True)


def first_largest(x: Tensor) -> Tensor:
    """x (B, N) -> (B,) int64: the first place of the largest value (`argmax` promises no order among equals)."""
    place = torch.arange(x.shape[-1], device=x.device)
    return place.masked_fill(x != x.amax(dim=-1, keepdim=True), x.shape[-1]).amin(dim=-1)


@torch.no_grad()
def best_window(weights: Tensor, sizes: Sequence[int]) -> Tensor:
    """weights (B, T) -> (B, 2) int64: start s and end s + w of the window of largest sum that holds the first largest weight.

    Windows wider than T // 2 are left out; without any left the result is (0, 0). Equal sums: the smaller, earlier window.
    """
    batch, length = weights.shape
    sizes = [size for size in sizes if size <= length // 2]
    if not sizes:
        return torch.zeros(batch, 2, dtype=torch.int64, device=weights.device)
    top = first_largest(weights)[:, None]
    start = torch.cat([torch.arange(length - size + 1, device=weights.device) for size in sizes])  # (N,) of all windows
    size = torch.cat([torch.full((length - width + 1,), width, device=weights.device) for width in sizes])
    sums = torch.cat([weights.unfold(1, width, 1).sum(dim=-1) for width in sizes], dim=1)  # (B, N)
    chosen = first_largest(sums.masked_fill((start > top) | (start + size <= top), -math.inf))
    return torch.stack((start[chosen], start[chosen] + size[chosen]), dim=-1)


@torch.no_grad()
def best_run(weights: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """weights, mask (B, T) -> (B, 2) int64: first and last frame of the unbroken run around the first largest weight.

    The run holds real frames whose weight reaches `threshold` times the largest.
    """
    length = weights.shape[1]
    place = torch.arange(length, device=weights.device)
    real = weights.masked_fill(~mask, -math.inf)
    top = first_largest(real)[:, None]
    outside = real < threshold * real.amax(dim=-1, keepdim=True)
    first = place.masked_fill(~outside | (place > top), -1).amax(dim=-1) + 1
    last = place.masked_fill(~outside | (place < top), length).amin(dim=-1) - 1
    return torch.stack((first, last), dim=-1)


def run_span(run: Tensor, mask: Tensor) -> Tensor:
    """run (B, 2) first and last frame, mask (B, T) -> (B, 2): start and end as fractions of the video.

    Frame t of n evenly drawn ones stands at (t + 1) / (n + 1); the span reaches half a step beyond its outer frames.
    """
    edge = run + torch.tensor([0.5, 1.5], device=run.device)
    return edge / (lengths(mask)[:, None] + 1)
