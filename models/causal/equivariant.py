"""Answers that follow the causal clips: two samples mixed part by part, and contrasted with foreign clips and questions.

    x~ = l c + (1 - l) c' + m e + (1 - m) e'        c, e causal clips and environment of one sample, c', e' of its partner
    q~ = l q + (1 - l) q',    a~ = l a + (1 - l) a'                                                -> mix_clips, mix, mix_answers

So answer and question go with the causal clips (equivariance), whatever becomes of the environment (invariance): m is drawn apart
from l.  Source: EIGV (ACM MM 2022).   B batch, T clips, M candidates, D channels.  Masks: True = real.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.causal.invariant import Split


def mix(own: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """own, partner of one shape, share a scalar -> share * own + (1 - share) * partner."""
    return share * own + (1 - share) * partner


def mix_clips(clips: Tensor, split: Split, partner: Tensor, *, causal: Tensor, environment: Tensor) -> Tensor:
    """clips (B, T, D), partner (B,) int64, shares causal and environment -> (B, T, D).

    Clip by clip in place: where the parts of the two samples overlap, the weights need not sum to 1.
    """
    c, e = clips * split.causal[..., None], clips * split.environment[..., None]
    return mix(c, c[partner], causal) + mix(e, e[partner], environment)


def mix_answers(answer: Tensor, partner: Tensor, share: Tensor, candidates: int) -> Tensor:
    """answer (B,) int64 among M candidates -> (B, 2 M): share on the own answer, 1 - share on the partner's among its own M."""
    right = F.one_hot(answer, candidates).to(share.dtype)
    return torch.cat((share * right, (1 - share) * right[partner]), dim=1)


def beta_share(concentration: float, generator: torch.Generator) -> float:
    """One draw of Beta(a, a): 1 is uniform, below 1 mostly near 0 or 1."""
    seed = int(torch.randint(2**62, (), generator=generator))  # PyTorch's Beta takes no generator
    return float(np.random.default_rng(seed).beta(concentration, concentration))


def other_samples(copies: int, batch: int, generator: torch.Generator) -> Tensor:
    """(copies * B,) int64: in place of sample b of every copy another sample of the batch, uniform. Needs B > 1."""
    own = torch.arange(batch).repeat(copies)
    return (own + torch.randint(1, batch, (copies * batch,), generator=generator)) % batch


def permuted_samples(copies: int, batch: int, generator: torch.Generator) -> Tensor:
    """(copies * B,) int64: all rows of all copies permuted, so a sample may meet itself (reference behaviour)."""
    return torch.randperm(copies * batch, generator=generator) % batch
