"""What an answer must not depend on, and what must not give it away. Gradient flows into every argument.

    divergence(p || q) = sum_c p_c log(p_c / q_c),    ignorance(q) = sum_c u log(u / q_c),  u = 1 / classes

p, q are given as logits.   B batch, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """p, q (B, C) -> (B,)."""
    log_p = p.log_softmax(dim=-1)
    return (log_p.exp() * (log_p - q.log_softmax(dim=-1))).sum(dim=-1)


def ignorance(q: Tensor) -> Tensor:
    """q (B, C) -> (B,): 0 where all classes are equally likely."""
    return -math.log(q.shape[-1]) - q.log_softmax(dim=-1).mean(dim=-1)


def from_target(target: Tensor, q: Tensor) -> Tensor:
    """target (B, C) probabilities, q (B, C) logits -> (B,): divergence of q from the target, 0 log 0 = 0."""
    return (torch.special.xlogy(target, target) - target * q.log_softmax(dim=-1)).sum(dim=-1)
