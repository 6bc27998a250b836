import numpy as np
import pytest

from stages.metrics.highlights import average_precision, hit_one, ratings_of
from stages.metrics.queries import Ragged
from stages.metrics.records import InputError
from tests.stages.metrics.making import columns, predicted, true


def rated(*clips, duration=8):
    """One query of four clips; `clips` are (number, rating of all three annotators)."""
    ids, scores = [clip for clip, _ in clips], [[score] * 3 for _, score in clips]
    return true(1, (0, 2), duration=duration, relevant_clip_ids=ids, saliency_scores=scores)


def ratings(*truth):
    return ratings_of(columns([predicted(1, (0, 2, 1))], list(truth))[1])


def lists(*saliency):
    return Ragged.of(np.array([value for one in saliency for value in one], dtype=float), [len(one) for one in saliency])


def precision(saliency, *clips, corrected=False):
    """Average precision of one annotator at level Fair."""
    return average_precision(lists(saliency), ratings(rated(*clips)), corrected=corrected)["Fair"][0, 0]


def test_levels_are_ratings_two_three_and_four():
    found = average_precision(lists([4, 3, 2, 1]), ratings(rated((0, 2), (1, 3), (2, 4))), corrected=False)
    assert [float(found[name][0, 0]) for name in ("Fair", "Good", "VeryGood")] == [
        1,
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    ]


def test_nothing_positive_scores_zero_and_everything_positive_scores_one():
    assert precision([1, 2, 3, 4]) == 0
    assert precision([1, 2, 3, 4], (0, 4), (1, 4), (2, 4), (3, 4)) == 1


def test_tied_positives_count_once_and_corrected_each_for_itself():
    # scores 3 | 2 2 2 | clips 1 and 2 positive: one group end at which recall grew in the reference, two positives corrected
    assert precision([2, 3, 2, 2], (1, 4), (0, 4), (2, 4)) == pytest.approx((1 + 3 / 4) / 2)
    assert precision([2, 3, 2, 2], (1, 4), (0, 4), (2, 4), corrected=True) == pytest.approx((1 + 2 * 3 / 4) / 3)


def test_missing_scores_are_zeros_that_outrank_negative_ones_and_corrected_come_last():
    assert precision([-1, -2], (0, 4)) == pytest.approx(1 / 3)
    assert precision([-1, -2], (0, 4), corrected=True) == 1


def test_scores_beyond_the_video_are_cut_for_precision_but_count_for_the_best_clip():
    long = [0, 0.5, 0, 0, 9]
    assert precision(long, (1, 4)) == 1
    assert hit_one(lists(long), ratings(rated((1, 4))), 2)[0] == 0
    assert hit_one(lists(long[:4]), ratings(rated((1, 4))), 2)[0] == 1


def test_the_first_of_equal_scores_is_the_best_clip():
    assert hit_one(lists([1, 1, 0, 0]), ratings(rated((1, 4))), 2)[0] == 0
    assert hit_one(lists([1, 1, 0, 0]), ratings(rated((0, 4))), 2)[0] == 1


def test_a_clip_beyond_the_video_is_refused():
    with pytest.raises(
        InputError, match=r"t\.jsonl: line 1: qid 1: relevant_clip_ids: expected clip numbers from 0 to 3 .*got 4"
    ):
        ratings(rated((4, 2)))


def test_a_video_of_years_is_refused_before_room_is_made_for_its_clips():
    with pytest.raises(InputError, match=r"qid 1: duration: expected the seconds of one video, at most 86400 .*got 1e\+308"):
        ratings(rated((0, 4), duration=1e308))


@pytest.mark.parametrize("wrong", [[4, 4], [4, 4, 5], [4, 4, "4"], 4])
def test_ratings_are_three_numbers_from_zero_to_four(wrong):
    with pytest.raises(InputError, match="saliency_scores: expected 3 ratings of"):
        ratings({**rated((0, 4)), "saliency_scores": [wrong]})


def test_one_list_of_ratings_per_clip():
    with pytest.raises(InputError, match="2 entries for 1 relevant_clip_ids"):
        ratings({**rated((0, 4)), "saliency_scores": [[4, 4, 4]] * 2})
