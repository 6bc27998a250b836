"""Gaussians, hidden words, and the decoders that share what does not depend on the Gaussian."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from models.layers.causal_decoder import CausalDecoder
from models.layers.gaussian_proposals import beside, bumps, hardness, hidden_words, proposals


@given(st.floats(0, 1), st.floats(1e-6, 1), st.integers(2, 60))
def test_gaussians_are_finite_reach_one_and_never_exceed_it(center, width, length):
    weights = proposals(torch.tensor([center]), torch.tensor([width]), sigma=9.0, length=length)
    assert bool(weights.isfinite().all())
    assert float(weights.max()) == 1.0
    assert float(weights.min()) >= 0.0


def test_narrow_gaussian_between_two_steps_keeps_its_neighbours():
    weights = bumps(torch.tensor([0.5]), torch.tensor([0.01]), 4)  # its exponent alone would be 0/0
    assert_close(weights, torch.tensor([[0.0, 1.0, 1.0, 0.0]]), atol=1e-3, rtol=0)


def test_negatives_begin_at_the_ends_and_fill_the_rest_at_full_hardness():
    center, width = torch.tensor([0.5]), torch.tensor([0.2])
    left, right = beside(center, width, sigma=9.0, hardness=0.0, length=51)
    assert int(left.argmax()) == 0
    assert int(right.argmax()) == 50
    left, right = beside(center, width, sigma=9.0, hardness=1.0, length=51)
    assert int(left.argmax()) == 10  # middle of 0..0.4
    assert int(right.argmax()) == 40
    assert_close(left, right.flip(-1))


def test_hardness_grows_to_one_and_is_one_from_the_start_with_gamma_zero():
    assert [hardness(epoch, 4, 0.5) for epoch in (0, 1, 4, 9)] == [0.0, 0.5, 1.0, 1.0]
    assert hardness(0, 4, 0) == 1.0


@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.integers(0, 2**31))
def test_a_third_of_the_words_is_hidden_and_at_least_one(lengths, seed):
    longest = max(max(lengths), 1)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    noise = torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed))
    hidden = hidden_words(noise, torch.ones(mask.shape), mask)
    assert not bool((hidden & ~mask).any())
    assert hidden.sum(dim=1).tolist() == [max(count // 3, 1) if count else 0 for count in lengths]


def test_words_are_hidden_with_the_law_of_drawing_one_after_the_other():
    weights, draws = np.array([0.5, 0.3, 0.1, 0.05, 0.03, 0.02]), 20000
    rows = torch.from_numpy(weights).float().expand(draws, -1)
    noise = torch.rand(draws, 6, generator=torch.Generator().manual_seed(0))
    ours = hidden_words(noise, rows, torch.ones(draws, 6, dtype=torch.bool)).double().mean(dim=0)
    # inclusion of word i in a draw of two: first, or second after any other
    expected = [w + sum(v * w / (1 - v) for j, v in enumerate(weights) if j != i) for i, w in enumerate(weights)]
    assert_close(ours, torch.tensor(expected), atol=0.012, rtol=0)


@pytest.mark.parametrize("where", ["self", "cross"])
@pytest.mark.parametrize("size", [1, 2])
def test_copies_of_a_sequence_are_what_each_weighting_gives_alone(where, size):
    torch.manual_seed(0)
    decoder = CausalDecoder(layers=2, d_model=8, heads=2, dropout=0.0)
    x, copies = torch.randn(size, 5, 8), 3
    memory = None if where == "self" else torch.randn(size * copies, 4, 8)
    weights = torch.rand(size, copies, 5 if where == "self" else 4).log()
    mask = torch.arange(5) < torch.tensor([[5], [3]])[:size]

    def run(rows, kept):
        named = {f"log_{where}": rows.flatten(0, 1)}
        return decoder(x, mask, None if memory is None else memory.unflatten(0, (size, -1))[:, kept].flatten(0, 1), **named)

    together = run(weights, slice(None)).unflatten(0, (size, copies))
    for copy in range(copies):
        assert_close(together[:, copy], run(weights[:, copy : copy + 1], slice(copy, copy + 1)), atol=1e-6, rtol=1e-5)


def test_dropout_is_drawn_for_every_copy():
    torch.manual_seed(0)
    decoder = CausalDecoder(layers=1, d_model=8, heads=2, dropout=0.5)
    memory = torch.randn(1, 4, 8).expand(6, -1, -1)
    told = decoder(torch.randn(1, 5, 8), None, memory)
    assert len({tuple(row.flatten().tolist()) for row in told}) == 6


def test_a_later_element_changes_nothing_before_it():
    torch.manual_seed(0)
    decoder = CausalDecoder(layers=2, d_model=8, heads=2, dropout=0.0)
    x = torch.randn(1, 6, 8)
    changed = x.clone()
    changed[:, 4:] += 1
    assert_close(decoder(x, None)[:, :4], decoder(changed, None)[:, :4])
