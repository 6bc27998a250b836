"""Weights of frames -> segments; two segments -> one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.metrics.frame_segments import around_the_largest, best_window, in_seconds, merged

SECONDS = [2.0 * index for index in range(8)]
segments = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda pair: (float(min(pair)), float(max(pair))))


def test_neighbours_that_weigh_enough_join_and_gaps_are_passed_over():
    weights = [0.0, 0.0, 0.9, 0.0, 1.0, 0.9, 0.0, 0.0]
    assert around_the_largest(weights, SECONDS) == (4.0, 10.0)


def test_far_gaps_end_the_search():
    weights = [0.0, 1.0, *[0.0] * 8, 1.0]
    assert around_the_largest(weights, [2.0 * index for index in range(11)]) == (2.0, 2.0)


def test_references_never_visit_the_first_frame():
    weights = [0.9, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    assert around_the_largest(weights, SECONDS) == (2.0, 2.0)
    assert around_the_largest(weights, SECONDS, first_frame=True) == (0.0, 2.0)


def test_even_weights_point_at_the_first_frame_and_at_all_that_follow():
    assert around_the_largest(np.full(8, 0.125), SECONDS) == (0.0, 14.0)


def test_window_of_largest_sum_holds_the_largest_weight():
    assert best_window([0, 0, 1, 3, 2, 0, 0, 0, 0, 0, 0], (3,)) == (0.2, 0.4)
    assert best_window([0.0] * 11) == (0.0, 0.0)


def test_fractions_become_tenths_of_seconds():
    assert in_seconds([0.45, 1 + 1 / 31], 12) == (5.4, 12.4)


@given(segments, segments)
def test_merged_segments_lie_where_they_should(a, b):
    assert merged(a, b, "uni") == (min(a + b), max(a + b))
    common = merged(a, b)
    if max(a[0], b[0]) <= min(a[1], b[1]):
        assert common == (max(a[0], b[0]), min(a[1], b[1])) == merged(a, b, "itsc_refine") == merged(b, a)
    else:
        assert common == b
        assert merged(a, b, "itsc_refine") == a
        start, end = merged(a, b, "itsc_swap")
        assert start < end


def test_mean_of_segments_that_are_apart_is_rounded_down():
    assert merged((0.0, 2.5), (5.0, 9.0), "itsc_mean") == (2.0, 5.0)


@pytest.mark.parametrize("how", ["itsc", "uni", "itsc_refine", "itsc_swap", "itsc_mean"])
def test_equal_segments_stay(how):
    assert merged((1.5, 4.0), (1.5, 4.0), how) == (1.5, 4.0)
