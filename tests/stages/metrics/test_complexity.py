"""Accuracy of long and short videos, of crowded and empty ones."""

import numpy as np

from stages.metrics.complexity import by_complexity, group_names

RIGHT = np.array([100.0, 0.0, 100.0])


def test_questions_fall_on_either_side_of_80_s_and_10_objects():
    found = by_complexity(RIGHT, [32.0, 80.0, 96.0], [12, 10, 6])
    assert tuple(found) == group_names("Acc")
    assert list(found) == ["Acc, up to 80 s", "Acc, above 80 s", "Acc, up to 10 objects", "Acc, above 10 objects"]
    np.testing.assert_array_equal(found["Acc, above 80 s"], [np.nan, np.nan, 100])
    np.testing.assert_array_equal(found["Acc, up to 10 objects"], [np.nan, 0, 100])


def test_what_does_not_tell_the_questions_apart_gives_no_groups():
    assert by_complexity(RIGHT, [32.0, 32.0, None], [None, None, None]) == {}
