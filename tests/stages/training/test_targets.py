from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.training.targets import TargetError, boundary_target, saliency_from_ratings, saliency_from_windows


def float32(values):
    return np.array(values, dtype=np.float32)


def test_windows_are_clamped_swapped_and_widened():
    windows = [[3.2, 9.7], [8.0, 2.5], [5.0, 5.3], [8.8, 12.0], [29.0, 34.0], [-1.0, 2.0], [0.0, 0.001]]
    expected = [[3.2, 9.7], [2.5, 8.0], [4.65, 5.65], [8.8, 10.0], [9.0, 10.0], [0.0, 2.0], [0.0, 1.0]]
    np.testing.assert_allclose(boundary_target(windows, 10, 1.0), expected, atol=1e-6)


seconds = st.floats(-50, 300, allow_nan=False, width=32)


@given(
    st.lists(st.tuples(seconds, seconds), min_size=1, max_size=5), st.integers(1, 100), st.sampled_from([0.5, 1.0, 2.0, 1 / 3])
)
def test_a_target_window_lies_in_the_video_and_is_at_least_a_clip_long(windows, clips, fps):
    found = boundary_target(windows, clips, fps)
    assert found.dtype == np.float32
    assert (found[:, 0] >= -1e-4).all()
    assert (found[:, 1] <= clips / fps + 1e-4).all()
    assert (found[:, 1] - found[:, 0] >= (1 / fps) * (1 - 1e-4)).all()
    assert saliency_from_windows(found, clips, fps).any()


@given(st.lists(st.tuples(seconds, seconds), min_size=1, max_size=5), st.integers(1, 100))
def test_each_window_may_have_its_own_video(windows, clips):
    alone = [boundary_target([window], clips, 0.5)[0] for window in windows]
    np.testing.assert_array_equal(boundary_target(windows, np.full(len(windows), clips), 0.5), alone)


def test_saliency_marks_the_clips_that_begin_inside_the_window():
    np.testing.assert_array_equal(saliency_from_windows(float32([[1.0, 4.5]]), 7, 1.0), [0, 1, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(saliency_from_windows(float32([[3.2, 9.7]]), 12, 1.0), [0] * 4 + [1] * 6 + [0] * 2)


RATED: dict[str, Any] = {"rated": [1, 3], "scores": [[4, 3, 2], [4, 4, 4]], "where": "train.jsonl: record 5 (7)"}


def test_ratings_are_summed_over_twelve():
    found = saliency_from_ratings(**RATED, clips=5, duration=10.0, fps=0.5)
    np.testing.assert_array_equal(found, float32([0, 9 / 12, 0, 1, 0]))


def test_ratings_of_two_seconds_spread_over_faster_features():
    found = saliency_from_ratings(**RATED, clips=10, duration=10.0, fps=1.0)
    np.testing.assert_array_equal(found, np.repeat(float32([0, 9 / 12, 0, 1, 0]), 2))


@pytest.mark.parametrize("clips", [6, 0])
def test_features_of_another_length_than_the_rated_video_are_refused(clips):
    with pytest.raises(TargetError, match=r"record 5 \(7\): \d clips of features, but 10 s at 0.5 clips per second are 5"):
        saliency_from_ratings(**RATED, clips=clips, duration=10.0, fps=0.5)


def test_a_rating_behind_the_end_is_refused():
    with pytest.raises(TargetError, match=r"rated clips 1 to 9 of a video of 5 rated clips"):
        saliency_from_ratings(**RATED | {"rated": [1, 9]}, clips=5, duration=10.0, fps=0.5)
    with pytest.raises(TargetError, match="1 rated clips but 2 ratings"):
        saliency_from_ratings(**RATED | {"rated": [1]}, clips=5, duration=10.0, fps=0.5)
