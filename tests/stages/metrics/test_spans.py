import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.metrics import spans
from stages.metrics.queries import Ragged

seconds = st.integers(0, 2000).map(lambda tenths: tenths / 10)
windows = st.tuples(seconds, seconds).map(sorted)


@given(windows, windows)
def test_iou_is_symmetric_and_between_zero_and_one(one, other):
    one, other = np.array(one), np.array(other)
    for iou in (spans.area_iou, spans.hull_iou):
        assert iou(one, other) == iou(other, one) or np.isnan(iou(one, other))
        assert np.isnan(iou(one, other)) or 0 <= iou(one, other) <= 1 + 1e-12


@given(windows, windows)
def test_both_ious_agree_where_windows_overlap(one, other):
    one, other = np.array(one), np.array(other)
    if min(one[1], other[1]) > max(one[0], other[0]):
        assert spans.area_iou(one, other) == pytest.approx(spans.hull_iou(one, other), abs=1e-9)


@given(windows, windows, st.floats(-100, 100), st.floats(0.1, 10))
def test_iou_does_not_change_when_time_is_shifted_and_stretched(one, other, shift, factor):
    before = spans.hull_iou(np.array(one), np.array(other))
    after = spans.hull_iou(np.array(one) * factor + shift, np.array(other) * factor + shift)
    assert after == pytest.approx(before, abs=1e-6)


def ragged(*queries):
    width = len(queries[0][0])
    return Ragged.of(
        np.array([row for query in queries for row in query], dtype=float).reshape(-1, width), [len(q) for q in queries]
    )


def test_equal_scores_keep_file_order():
    ordered = spans.by_score(ragged([(0, 1, 0.5), (0, 2, 0.9), (0, 3, 0.5)], [(0, 4, 0.1), (0, 5, 0.1)]))
    assert ordered.values[:, 1].tolist() == [2, 1, 3, 4, 5]


def test_queries_of_any_size_are_scored_as_if_alone():
    rng = np.random.default_rng(0)

    def query(rows, width):
        start = rng.integers(0, 40, (rows, 1)) * 2.0
        return np.hstack([start, start + 2 * rng.integers(1, 9, (rows, 1)), rng.random((rows, 1))])[:, :width].tolist()

    sizes = [(rng.integers(1, 40), rng.integers(1, 30)) for _ in range(60)]
    predicted, true = [query(p, 3) for p, _ in sizes], [query(g, 2) for _, g in sizes]
    together = spans.average_precision(spans.by_score(ragged(*predicted)), ragged(*true), undefined_matches=True)
    for row, (one, other) in enumerate(zip(predicted, true, strict=True)):
        alone = spans.average_precision(spans.by_score(ragged(one)), ragged(other), undefined_matches=True)
        np.testing.assert_array_equal(together[row], alone[0])


def test_parts_keep_padded_arrays_small(monkeypatch):
    monkeypatch.setattr(spans, "CHUNK", 500)
    test_queries_of_any_size_are_scored_as_if_alone()


def test_best_overlap_takes_the_first_pair_on_ties():
    # both true windows have area IoU 0 with the prediction; hull IoU of the first pair is reported
    overlap = spans.best_overlap(ragged([(0, 1, 1)]), ragged([(5, 6), (8, 9)]), undefined_is=0.0)
    assert overlap[0] == 0
