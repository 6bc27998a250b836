"""Divergences between answers."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from models.losses.invariance import divergence, from_target, ignorance

P, Q = (
    torch.randn(4, 5, generator=torch.Generator().manual_seed(0)),
    torch.randn(4, 5, generator=torch.Generator().manual_seed(1)),
)


def test_divergence_is_zero_from_itself_and_positive_from_others():
    torch.testing.assert_close(divergence(P, P), torch.zeros(4), rtol=0, atol=1e-6)
    assert (divergence(P, Q) > 0).all()
    expected = F.kl_div(Q.log_softmax(-1), P.log_softmax(-1), reduction="none", log_target=True).sum(dim=-1)
    torch.testing.assert_close(divergence(P, Q), expected)


def test_ignorance_is_the_divergence_from_even_odds():
    torch.testing.assert_close(ignorance(Q), divergence(torch.zeros(4, 5), Q))
    torch.testing.assert_close(ignorance(torch.full((1, 3), 2.0)), torch.zeros(1), rtol=0, atol=1e-6)


def test_sharp_target_gives_the_cross_entropy():
    label = torch.tensor([0, 3, 2, 4])
    torch.testing.assert_close(from_target(F.one_hot(label, 5).float(), Q), F.cross_entropy(Q, label, reduction="none"))


def test_soft_target_is_reached_at_zero():
    torch.testing.assert_close(from_target(P.softmax(-1), P), torch.zeros(4), rtol=0, atol=1e-6)
