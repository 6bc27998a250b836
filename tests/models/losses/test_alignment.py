"""Contrast of text and video vectors."""

from __future__ import annotations

import math

import pytest
import torch

from models.losses.alignment import across_batch, against_draws


def test_equal_candidates_cost_the_logarithm_of_their_number():
    x = torch.randn(4, 8)
    assert against_draws(x, x, x[:, None].expand(-1, 3, -1), temperature=0.07).item() == pytest.approx(math.log(4), rel=1e-5)
    row = torch.randn(1, 8).expand(5, -1)
    assert across_batch(row, row, torch.ones(5, dtype=torch.bool), temperature=0.07).item() == pytest.approx(
        math.log(5), rel=1e-5
    )


def test_length_of_the_vectors_does_not_matter():
    q, v, n = torch.randn(4, 8), torch.randn(4, 8), torch.randn(4, 3, 8)
    one = against_draws(q, v, n, temperature=0.5)
    torch.testing.assert_close(against_draws(3 * q, 0.1 * v, 7 * n, temperature=0.5), one)


def test_both_directions_count_the_same():
    q, v, all_of_them = torch.randn(4, 8), torch.randn(4, 8), torch.ones(4, dtype=torch.bool)
    torch.testing.assert_close(across_batch(q, v, all_of_them, temperature=0.5), across_batch(v, q, all_of_them, temperature=0.5))


def test_samples_without_a_label_are_neither_anchor_nor_negative():
    q, v, counted = torch.randn(5, 8), torch.randn(5, 8), torch.tensor([True, False, True, True, False])
    torch.testing.assert_close(
        across_batch(q, v, counted, temperature=0.5),
        across_batch(q[counted], v[counted], torch.ones(3, dtype=torch.bool), temperature=0.5),
    )


@pytest.mark.parametrize("counted", [[False, False], [True, False]])
def test_fewer_than_two_samples_cost_nothing_and_have_a_gradient(counted):
    q = torch.randn(2, 8, requires_grad=True)
    loss = across_batch(q, torch.randn(2, 8), torch.tensor(counted), temperature=0.5)
    loss.backward()
    assert loss.item() == 0
    assert not q.grad.any()
