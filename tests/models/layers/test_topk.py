"""Top-K by counts: the values and gradients of one-hots, masks, ties, noise that is not kept."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from models.layers import topk
from models.layers.topk import Noise, best_pairs, blind, chosen, perturbed

N, V, L, S, K, SIGMA = 3, 4, 2, 50, 3, 0.1


def scores(seed: int = 0):
    return torch.rand(N, V, L, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noise(samples: int = S):
    return torch.randn(N, samples, V * L, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def one_hots(a, z, k):
    """(N, S, K, V L): what the reference builds."""
    index = (a.flatten(start_dim=1)[:, None] + SIGMA * z).topk(k, dim=2).indices.sort(dim=2).values
    return F.one_hot(index, V * L).to(a.dtype)


def gradient_of(a, z, weights, diagonal):
    a = a.clone().requires_grad_()
    (perturbed(a, None, z, K, sigma=SIGMA, diagonal=diagonal).weights * weights).sum().backward()
    return a.grad


def test_values_are_those_of_mean_one_hots():
    a, z = scores(), noise()
    expected = one_hots(a, z, K).mean(dim=1).unflatten(2, (V, L)).sum(dim=3)
    torch.testing.assert_close(perturbed(a, None, z, K, sigma=SIGMA, diagonal=True).weights, expected)


def test_diagonal_gradient_is_that_of_the_reference():
    a, z, weights = scores(), noise(), torch.randn(N, K, V, dtype=torch.float64)
    told = weights.repeat_interleave(L, dim=2)  # dL/dY
    expected = torch.einsum("nki,nski,nsi->ni", told, one_hots(a, z, K), z) / (S * SIGMA)
    torch.testing.assert_close(gradient_of(a, z, weights, diagonal=True).flatten(start_dim=1), expected)


def test_full_gradient_is_the_score_function_estimate():
    a, z, weights = scores(), noise(), torch.randn(N, K, V, dtype=torch.float64)
    c = torch.einsum("nki,nski->ns", weights.repeat_interleave(L, dim=2), one_hots(a, z, K))
    expected = torch.einsum("ns,nsi->ni", c - c.mean(dim=1, keepdim=True), z) / ((S - 1) * SIGMA)
    torch.testing.assert_close(gradient_of(a, z, weights, diagonal=False).flatten(start_dim=1), expected)


def test_full_gradient_agrees_with_finite_differences_of_the_expectation():
    generator = torch.Generator().manual_seed(5)
    a = torch.tensor([[[0.1], [0.15], [0.05], [0.2], [0.12]]], dtype=torch.float64)
    z = torch.randn(1, 200_000, 5, generator=generator, dtype=torch.float64)
    weights, step = torch.randn(1, 2, 5, generator=generator, dtype=torch.float64), 0.03

    def value(at):
        return float((perturbed(at, None, z, 2, sigma=SIGMA, diagonal=False).weights * weights).sum())

    leaf = a.clone().requires_grad_()
    (perturbed(leaf, None, z, 2, sigma=SIGMA, diagonal=False).weights * weights).sum().backward()
    for item in range(5):
        shift = torch.zeros_like(a)
        shift[0, item] = step
        difference = (value(a + shift) - value(a - shift)) / (2 * step)
        assert float(leaf.grad[0, item, 0]) == pytest.approx(difference, abs=0.12)


@pytest.mark.parametrize("diagonal", [True, False])
def test_seeded_noise_is_drawn_again_for_the_gradient_and_in_blocks(diagonal, monkeypatch):
    monkeypatch.setattr(topk, "BLOCK", 2 * S * V * L)  # two rows at a time
    seeded = Noise(seed=11, samples=S)
    kept = torch.cat([seeded.rows(0, 2, V * L, torch.device("cpu")), seeded.rows(2, 3, V * L, torch.device("cpu"))])
    a, weights = scores().float(), torch.randn(N, K, V)
    first, second = (gradient_of(a, z, weights, diagonal) for z in (seeded, kept))
    torch.testing.assert_close(first, second)
    assert torch.equal(*(perturbed(a, None, z, K, sigma=SIGMA, diagonal=diagonal).weights for z in (seeded, kept)))


def test_masked_pairs_are_never_chosen_and_places_without_a_pair_stay_empty():
    mask = torch.ones(N, V, L, dtype=torch.bool)
    mask[0, 1:] = False  # two pairs of item 0 are left
    mask[1, 3] = False
    a = scores().requires_grad_()
    selection = perturbed(a, mask, noise(), K, sigma=SIGMA, diagonal=False)
    assert selection.real.tolist() == [[True, True, False], [True] * 3, [True] * 3]
    torch.testing.assert_close(selection.weights.sum(dim=2), selection.real.double())
    torch.testing.assert_close(selection.weights[0, :2, 0], torch.ones(2, dtype=torch.float64))
    assert not selection.weights[1, :, 3].any()
    selection.weights.square().sum().backward()
    assert not a.grad[~mask].any()


def test_more_places_than_pairs():
    assert best_pairs(torch.rand(1, 2, 1), None, 4, ascending=True).tolist() == [[0, 1, 2, 2]]
    selection = perturbed(torch.rand(1, 2, 1), None, Noise(0, 5), 4, sigma=SIGMA, diagonal=False)
    assert selection.real.tolist() == [[True, True, False, False]]
    torch.testing.assert_close(selection.weights, torch.eye(4)[None, :, :2])


def test_equal_scores_go_to_the_smaller_number():
    assert best_pairs(torch.ones(1, 5, 3), None, 4, ascending=True).tolist() == [[0, 1, 2, 3]]


def test_best_pairs_in_both_orders_are_the_same_set():
    ascending, found = (best_pairs(scores(), None, K, ascending=order) for order in (True, False))
    assert torch.equal(ascending, found.sort(dim=1).values)
    largest = scores().flatten(start_dim=1).topk(K).indices.sort(dim=1).values
    assert torch.equal(ascending, largest)


def test_chosen_pairs_become_one_hot_items():
    selection = chosen(torch.tensor([[0, 3, 7, 8]]), V, L, torch.float32)
    assert selection.real.tolist() == [[True, True, True, False]]
    torch.testing.assert_close(selection.weights[0], torch.eye(5)[[0, 1, 3, 4], :4])


def test_without_noise_the_perturbed_form_is_the_hard_one():
    a = scores()
    index = best_pairs(a, None, K, ascending=True)
    soft = perturbed(a, None, torch.zeros(N, 2, V * L, dtype=torch.float64), K, sigma=SIGMA, diagonal=False)
    torch.testing.assert_close(soft.weights, chosen(index, V, L, torch.float64).weights)


@pytest.mark.parametrize("seed", [None, 3])
def test_a_blind_choice_takes_real_items_once_in_order(seed):
    mask = torch.tensor([[True] * 6, [True, False, True, False, False, True], [False] * 6])
    found = blind(mask, 3, seed, torch.float64)
    assert found.real.sum(dim=1).tolist() == [3, 3, 0]
    places = found.weights.argmax(dim=2)
    assert (places[:2, 1:] > places[:2, :-1]).all()
    assert ((found.weights.sum(dim=1) > 0) <= mask).all()
    assert places[1].tolist() == [0, 2, 5]


def test_a_uniform_choice_is_evenly_spread():
    found = blind(torch.ones(1, 8, dtype=torch.bool), 4, None, torch.float32)
    assert found.weights.argmax(dim=2).tolist() == [[1, 3, 5, 7]]
