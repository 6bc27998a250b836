"""Alignment of what was read with what was seen, sample by sample (InfoNCE).

    against draws      mean_i -log softmax([q_i . v_i, q_i . n_i1, ..., q_i . n_iR] / tau)_0
    across the batch   mean over counted i of -log softmax(S)_ii, along rows and along columns, S_ij = q_i . v_j / tau

All vectors have length 1.  Source: CRA (CVPR 2025), cross-modal alignment; the second form is symmetric as the paper says.
B batch, R drawn negatives, D channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def against_draws(query: Tensor, positive: Tensor, negatives: Tensor, *, temperature: float) -> Tensor:
    """query, positive (B, D), negatives (B, R, D) -> scalar."""
    q, v, n = (F.normalize(x, dim=-1) for x in (query, positive, negatives))
    score = torch.cat(((q * v).sum(dim=-1, keepdim=True), (n @ q[..., None])[..., 0]), dim=1) / temperature  # (B, 1 + R)
    return -score.log_softmax(dim=1)[:, 0].mean()


def across_batch(query: Tensor, positive: Tensor, counted: Tensor, *, temperature: float) -> Tensor:
    """query, positive (B, D), counted (B,) bool -> scalar: the mean of both directions; 0 if fewer than two samples count."""
    score = F.normalize(query, dim=-1) @ F.normalize(positive, dim=-1).T / temperature  # (B, B)
    pair = counted[:, None] & counted
    score = score.masked_fill(~pair & ~torch.eye(len(score), dtype=torch.bool, device=score.device), -math.inf)
    both = score.log_softmax(dim=1).diagonal() + score.log_softmax(dim=0).diagonal()
    total = torch.where(counted, both, 0.0).sum() / (2 * counted.sum().clamp(min=1))
    return -total * (counted.sum() > 1)
