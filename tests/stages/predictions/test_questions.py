from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.predictions.guesses import frequent
from stages.predictions.questions import segments
from tests.stages import asked


def test_runs_of_chosen_clips_come_by_their_weight():
    chosen = np.array([True, True, False, True, False])
    assert segments(chosen, np.array([0.1, 0.2, 0.3, 0.4, 0.0]), 10.0) == [
        (6.0, 8.0, pytest.approx(0.4)),
        (0.0, 4.0, pytest.approx(0.3)),
    ]


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_segments_cover_exactly_the_chosen_clips(values):
    chosen = np.array(values)
    found = segments(chosen, np.ones(len(chosen)), float(len(chosen)))
    covered = np.zeros(len(chosen), dtype=bool)
    for start, end, weight in found:
        assert weight == pytest.approx(end - start)
        covered[round(start) : round(end)] = True
    assert (covered == chosen).all()


@pytest.mark.parametrize("options", [True, False])
def test_guesses_know_how_often_an_answer_was_right(options):
    training = [asked.sample(n, options=options, split="train") for n in range(40)]
    answers = [one.answer for one in training]
    most = max(dict.fromkeys(answers), key=answers.count)
    samples = [asked.sample(n, options=options, split="iid") for n in range(20)]
    assert frequent(samples, training, by_type=False) == [one.answer == most for one in samples]
    assert len(frequent(samples, training, by_type=True)) == len(samples)
