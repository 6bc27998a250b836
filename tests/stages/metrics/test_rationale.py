from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.metrics.rationale import evidence_clips, quality, random_choice

MASKS = st.lists(st.booleans(), min_size=1, max_size=12).map(lambda values: np.array(values))


def mask(text):
    return np.array([letter == "x" for letter in text])


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (((2.0, 6.0),), ".xx."),
        (((2.5, 6.0),), ".xx."),
        (((3.5, 6.0),), "..x."),
        (((0.0, 2.0), (6.0, 8.0)), "x..x"),
        (((0.0, 1.0), (1.0, 2.0)), "x..."),
        (((3.1, 3.2),), ".x.."),
    ],
)
def test_a_clip_is_evidence_if_half_of_it_is_and_if_none_is_the_nearest_counts(spans, expected):
    assert evidence_clips(spans, 8.0, 4).tolist() == mask(expected).tolist()


@pytest.mark.parametrize(("span", "expected"), [((1.0, 3.0), ".xx."), ((1.1, 1.4), ".x.."), ((9.0, 10.0), "...x")])
def test_single_frames_are_evidence_by_their_times(span, expected):
    assert evidence_clips((span,), 4.0, 4, (0.0, 1.0, 2.5, 4.0)).tolist() == mask(expected).tolist()


def test_numbers_are_means_over_questions():
    found = quality([mask("xx.."), mask("...x")], [mask("x..."), mask("x...")], "clip")
    assert found == {"clip precision": 25.0, "clip recall": 50.0, "clip IoU": 25.0, "clips chosen": 37.5}


@given(MASKS)
def test_choosing_everything_recalls_everything_and_nothing_has_no_precision(true):
    everything, nothing = np.ones_like(true), np.zeros_like(true)
    assert quality([everything], [true], "clip")["clip recall"] == (100 if true.any() else 0)
    assert quality([nothing], [true], "clip")["clip precision"] == 0
    assert all(0 <= value <= 100 for value in quality([true], [everything], "clip").values())


@given(MASKS, st.integers(0, 2**32))
def test_a_random_choice_is_as_large_and_always_the_same(chosen, seed):
    first, second = random_choice([chosen], seed), random_choice([chosen], seed)
    assert first[0].sum() == chosen.sum()
    assert (first[0] == second[0]).all()
