"""Losses of reconstructing a sentence word by word, and of what should be reconstructed better than what.

B batch, P proposals, R rows, L words, V classes, T steps of time.  Masks: True = real.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SMOOTHING = 0.1


def smoothed_nll(logits: Tensor, words: Tensor, mask: Tensor) -> Tensor:
    """Mean over the real words of -(0.9 log p[word] + 0.1 mean_V log p): logits (..., L, V), words and mask (..., L) -> (...).

    `words` and `mask` broadcast against the logits. A row without a real word gives 0/0.
    """
    logits = logits.float()
    words = words.expand(logits.shape[:-1])
    chosen = logits.gather(-1, words[..., None])[..., 0]
    each = logits.logsumexp(dim=-1) - (1 - SMOOTHING) * chosen - SMOOTHING * logits.mean(dim=-1)  # (..., L)
    return masked_word_mean(each, mask)


def masked_word_mean(values: Tensor, mask: Tensor) -> Tensor:
    """values (..., L), mask (..., L) -> mean over the real words (...)."""
    mask = mask.expand(values.shape)
    return values.masked_fill(~mask, 0.0).sum(dim=-1) / mask.sum(dim=-1)


def hinge(better: Tensor, worse: Tensor, margin: float) -> Tensor:
    """Mean of [better - worse + margin]+ over all elements, scalar: losses of one shape, or of shapes that broadcast."""
    return F.relu(better - worse + margin).mean()


def diversity(weights: Tensor, strength: float) -> Tensor:
    """How much proposals overlap: ||G G^T - strength I||_F^2 with rows of weights (B, P, T) scaled to sum 1, mean over B."""
    rows = weights / weights.sum(dim=-1, keepdim=True)
    gram = rows @ rows.mT  # (B, P, P)
    return (gram - strength * torch.eye(gram.shape[-1], device=gram.device)).square().sum(dim=(1, 2)).mean()


def divergence(predicted: Tensor, assumed: Tensor, mask: Tensor) -> Tensor:
    """KL(softmax(predicted) || softmax(assumed)), mean over the real words: (..., L, V) twice, mask (..., L) -> (...)."""
    known, other = predicted.float().log_softmax(dim=-1), assumed.float().log_softmax(dim=-1)
    return masked_word_mean((known.exp() * (known - other)).sum(dim=-1), mask)
