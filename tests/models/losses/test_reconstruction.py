"""Losses of reconstruction against their definitions."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from models.losses.reconstruction import divergence, diversity, hinge, smoothed_nll


def test_smoothed_nll_is_its_definition_over_the_real_words():
    logits, words = torch.randn(2, 3, 5), torch.tensor([[1, 4, 2], [3, 0, 0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    log_p = logits.log_softmax(dim=-1)
    each = -(0.9 * log_p.gather(-1, words[..., None])[..., 0] + 0.1 * log_p.mean(dim=-1))
    assert_close(smoothed_nll(logits, words, mask), torch.stack((each[0].mean(), each[1, 0])))


def test_one_sentence_serves_all_its_proposals():
    logits, words, mask = torch.randn(2, 4, 3, 5), torch.randint(5, (2, 3)), torch.ones(2, 3, dtype=torch.bool)
    together = smoothed_nll(logits, words[:, None], mask[:, None])
    assert_close(together[:, 2], smoothed_nll(logits[:, 2], words, mask))


def test_equal_logits_diverge_by_nothing_and_others_by_more():
    logits, mask = torch.randn(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)
    assert_close(divergence(logits, logits + 2.0, mask), torch.zeros(2), atol=1e-6, rtol=0)
    assert bool((divergence(logits, torch.zeros(5), mask) > 0).all())


def test_proposals_apart_cost_only_their_own_width():
    apart, alike = torch.eye(4)[None, :2], torch.ones(1, 2, 4)
    assert float(diversity(apart, 1.0)) == 0.0
    assert float(diversity(alike, 1.0)) > 1.0
    assert_close(diversity(3 * alike, 0.5), diversity(alike, 0.5))


def test_hinge_counts_what_is_not_better_by_the_margin():
    assert_close(hinge(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 2.0]), 0.5), torch.tensor(0.25))
