"""Where a clip stands in its video: endpoint features and a sinusoidal code.

Both are relative to a length n given per sample, so that the same moment has the same code in a short and in a long video.
B batch, T clips, D channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def clip_endpoints(n: Tensor, length: int) -> Tensor:
    """n (B,) clips per video -> (B, length, 2): clip t covers the share [t/n, t/n + 1/n] of its video."""
    step = 1.0 / n.float()[:, None]  # (B, 1)
    start = torch.arange(length, device=n.device) / n.float()[:, None]  # (B, T)
    return torch.stack((start, start + step), dim=-1)


def sinusoid(n: Tensor, length: int, d_model: int) -> Tensor:
    """n (B,) clips per video -> (B, length, d_model), one turn of the slowest wave per video.

    With a = 2 pi t/n for t = 1..length:  sin(a / 10000^(j/D)) on even channels j, the cosine of the same angle on the next.
    """
    step = torch.arange(1, length + 1, device=n.device, dtype=torch.float32)
    return _waves(step / (n.float()[:, None] + 1e-6) * (2.0 * math.pi), d_model)


def masked_sinusoid(mask: Tensor, d_model: int) -> Tensor:
    """mask (B, T) -> (B, T, d_model): the same code for the real elements, counted through; padding takes the count before it."""
    step = mask.cumsum(dim=1).float()
    return _waves(step / (step[:, -1:] + 1e-6) * (2.0 * math.pi), d_model)


def _waves(turn: Tensor, d_model: int) -> Tensor:
    rate = 10000.0 ** (torch.arange(0, d_model, 2, device=turn.device, dtype=torch.float32) / d_model)  # (D / 2,)
    angle = turn[..., None] / rate  # (B, T, D / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(start_dim=2)


def word_positions(length: int, d_model: int, device: torch.device) -> Tensor:
    """Code of words 0..length-1, (1, length, d_model): row p = [sin(p f), cos(p f)], f_i = 10000^(-i / (D/2 - 1)), row 0 zeros.

    Halves one after the other, not interleaved; one column of zeros if D is odd.
    """
    half = d_model // 2
    rate = (torch.arange(half, device=device, dtype=torch.float32) * (-math.log(10000.0) / (half - 1))).exp()
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rate  # (L, D / 2)
    code = torch.cat((angle.sin(), angle.cos(), angle.new_zeros(length, d_model % 2)), dim=-1)
    return torch.cat((torch.zeros_like(code[:1]), code[1:]))[None]
