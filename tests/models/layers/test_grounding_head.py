"""Frame scores, the Gaussian filter, and the spans around the best frame."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.layers.grounding_head import (
    GaussianSmoothing,
    GroundingHead,
    best_run,
    best_window,
    first_largest,
    run_span,
)


def loop(weights: list[float], sizes: list[int]) -> tuple[int, int]:
    """The definition, one window after the other."""
    top, best, found = weights.index(max(weights)), 0, (0, 0)
    for size in sizes:
        if size > len(weights) // 2:
            continue
        for start in range(len(weights) - size + 1):
            if start <= top < start + size and sum(weights[start : start + size]) > best:
                best, found = sum(weights[start : start + size]), (start, start + size)
    return found


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 20).flatmap(
        lambda length: st.lists(st.lists(st.integers(1, 6), min_size=length, max_size=length), min_size=1, max_size=4)
    )
)
def test_best_window_of_a_batch_is_that_of_the_loop(rows):
    found = best_window(torch.tensor(rows, dtype=torch.float32), [1, 3, 5])
    assert [tuple(row) for row in found.tolist()] == [loop(row, [1, 3, 5]) for row in rows]


def test_first_largest_is_the_first_among_equals():
    assert first_largest(torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])).tolist() == [1, 0]


def test_run_stops_at_light_frames_and_at_padding():
    weights = torch.tensor([[0.1, 0.6, 1.0, 0.5, 0.4, 0.9], [0.9, 0.2, 1.0, 0.9, 0.9, 5.0]])
    mask = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    run = best_run(weights, mask, 0.5)
    assert run.tolist() == [[1, 3], [2, 3]]
    torch.testing.assert_close(run_span(run, mask), torch.tensor([[1.5 / 7, 4.5 / 7], [2.5 / 5, 4.5 / 5]]))


def test_even_weights_make_one_run_of_all_real_frames():
    mask = torch.tensor([[True, True, True, False]])
    assert best_run(torch.full((1, 4), 0.25), mask, 0.5).tolist() == [[0, 2]]


def test_wide_filter_averages_and_narrow_filter_keeps():
    smoothing = GaussianSmoothing(floor=1e-6)
    x = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])
    with torch.no_grad():
        smoothing.sigma.fill_(1000.0)
        torch.testing.assert_close(smoothing(x), torch.full((1, 5), 0.2), atol=1e-5, rtol=0)
        smoothing.sigma.fill_(0.0)
        torch.testing.assert_close(smoothing(x), x)


def test_filter_of_no_width_without_a_floor_is_not_a_number():
    smoothing = GaussianSmoothing(floor=0.0)
    with torch.no_grad():
        smoothing.sigma.fill_(0.0)
        assert smoothing(torch.ones(1, 5)).isnan().all()


@pytest.mark.parametrize("twice", [False, True])
def test_key_without_filter_is_a_distribution(twice):
    head = GroundingHead(d_model=8, gate="after_norm", softmax_twice=twice, sigma_floor=1e-6, smoothing=False)
    mask = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    said = head(torch.randn(2, 5, 8), torch.randn(2, 8), mask)
    torch.testing.assert_close(said.weights.sum(dim=1), torch.ones(2))
    assert not said.weights[1, 2:].any()
    if not twice:
        torch.testing.assert_close(said.weights, said.scores)


def test_released_gate_hides_the_size_of_the_match_and_the_corrected_one_shows_it():
    torch.manual_seed(1)
    frames, query = torch.randn(1, 6, 8), torch.randn(1, 8)
    for gate, follows in (("before_norm", False), ("after_norm", True)):
        torch.manual_seed(0)
        head = GroundingHead(d_model=8, gate=gate, softmax_twice=False, sigma_floor=1e-6)  # type: ignore[arg-type]
        with torch.no_grad():
            head.query[1].bias.fill_(1.0)  # all matches are positive
            head.frame[1].bias.fill_(1.0)
            strong = head(frames, query).scores
            head.query[1].bias.fill_(0.5)
            weak = head(frames, query).scores
        assert torch.allclose(strong, weak, atol=1e-3) != follows
