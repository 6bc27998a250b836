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
    turn = step / (n.float()[:, None] + 1e-6) * (2.0 * math.pi)  # (B, T)
    rate = 10000.0 ** (torch.arange(0, d_model, 2, device=n.device, dtype=torch.float32) / d_model)  # (D / 2,)
    angle = turn[..., None] / rate  # (B, T, D / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(start_dim=2)
