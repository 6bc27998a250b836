import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages.predictions.moments import postprocess, submission_record, suppress

SHORT = {"rounding": "released", "unit": None, "nms_threshold": 0.7}


def one(windows, duration=30.0, **options):
    (rows,) = postprocess([windows], [duration], **{**SHORT, **options})
    return rows.tolist()


def f32(*values):
    return [float(np.float32(value)) for value in values]


def test_windows_are_clamped_to_the_video():
    assert one([[-3, 40, 0.5]]) == [[0, 30, 0.5]]


def test_released_leaves_rows_unrounded_that_end_at_or_after_the_duration_before_clamping():
    rows = one([[1.3, 29.9, 0.9], [3.3, 30.0, 0.8], [5.3, 31.0, 0.7]], unit=0.5, nms_threshold=1.0)
    assert rows == [f32(1.5, 30.0, 0.9), f32(3.3, 30.0, 0.8), f32(5.3, 30.0, 0.7)]


def test_corrected_rounds_every_row_and_clamps_again():
    rows = one([[1.3, 40.0, 0.9]], duration=29.9, unit=0.5, rounding="corrected")
    assert rows == [f32(1.5, 29.9, 0.9)]


def test_halves_are_rounded_to_the_even_multiple():
    assert one([[1.0, 3.0, 0.9], [5.0, 19.0, 0.8]], unit=2, nms_threshold=1.0) == [[0, 4, f32(0.9)[0]], [4, 20, f32(0.8)[0]]]


def test_corrected_drops_windows_without_length_unless_nothing_is_left():
    options = {"unit": 2.0, "rounding": "corrected"}
    assert one([[4.1, 4.2, 0.9], [10, 16, 0.5]], **options) == [[10, 16, 0.5]]
    assert one([[4.1, 4.2, 0.9], [8.1, 8.2, 0.5]], **options) == [[4, 4, f32(0.9)[0]]]
    assert len(one([[4.1, 4.2, 0.9], [10, 16, 0.5]], unit=2.0)) == 2


def test_a_window_that_overlaps_a_better_one_too_much_goes():
    rows = one([[0, 10, 0.9], [0, 7.2, 0.8], [0, 6.9, 0.7]])
    assert [row[1] for row in rows] == [10, f32(6.9)[0]]


def test_a_suppressed_window_suppresses_nothing():
    rows = one([[0, 10, 0.9], [2, 12, 0.8], [4, 14, 0.7]], nms_threshold=0.6)
    assert [row[0] for row in rows] == [0, 4]


def test_of_two_windows_without_length_the_later_one_goes():
    kept = suppress(np.array([[[3, 3, 0.9], [8, 8, 0.8]]], np.float32), np.ones((1, 2), bool), 0.7)
    assert kept.tolist() == [[True, False]]


def test_top_keeps_the_best():
    assert [row[2] for row in one([[0, 1, 0.2], [5, 6, 0.9], [8, 9, 0.5]], top=2)] == f32(0.9, 0.5)


rows = hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.just(3)), elements=st.floats(-20, 60, width=32))


@given(st.lists(rows, min_size=1, max_size=5), st.sampled_from(["released", "corrected"]), st.sampled_from([None, 0.1, 2.0]))
@settings(max_examples=80, deadline=None)
def test_a_batch_equals_its_queries_one_by_one_and_stays_inside_the_video(windows, rounding, unit):
    windows = [np.column_stack([np.sort(one[:, :2], axis=1), one[:, 2]]) for one in windows]
    durations = [10.0 + 7 * index for index in range(len(windows))]
    options = {"rounding": rounding, "unit": unit, "nms_threshold": 0.7}
    together = postprocess(windows, durations, **options)
    for row, duration, batched in zip(windows, durations, together, strict=True):
        np.testing.assert_array_equal(postprocess([row], [duration], **options)[0], batched)
        assert len(batched) >= 1
        assert (np.diff(batched[:, 2]) <= 0).all()
        assert (batched[:, 0] >= 0).all()
        if rounding == "corrected":
            assert (batched[:, 1] <= np.float32(duration)).all()


def test_nothing_in_nothing_out():
    assert postprocess([], [], **SHORT) == []


def test_a_record_has_the_published_keys_in_their_order():
    record = submission_record(vid="v", qid=7, windows=np.array([[0, 0.1, 0.5]], np.float32), saliency=[0.5], answerable=0.25)
    assert list(record) == ["vid", "qid", "pred_relevant_windows", "pred_saliency_scores", "relavent_score"]
    assert record["pred_relevant_windows"] == [f32(0, 0.1, 0.5)]
    assert "relavent_score" not in submission_record(vid="v", qid=7, windows=[], saliency=None, answerable=None)
    assert record["relavent_score"] == pytest.approx(0.25)
