import numpy as np
import pytest

from stages.predictions.baselines import baselines, random_windows, shares
from tests.stages.predictions.sample import sample

TRAINING = [sample(1, spans=((0.0, 6.0), (10.0, 13.0))), sample(2, duration=60.0, spans=((0.0, 30.0),))]
TEST = [sample(number, duration=20.0 + number) for number in range(50)]


def test_lengths_are_shares_of_the_video():
    assert shares(TRAINING).tolist() == [0.2, 0.1, 0.5]


def test_random_windows_lie_inside_the_video_with_a_training_moments_share():
    for one, record in zip(TEST, random_windows(TEST, shares(TRAINING), 0), strict=True):
        windows = np.array(record["pred_relevant_windows"])
        assert len(windows) == 10
        assert (windows[:, 0] >= 0).all()
        assert (windows[:, 1] <= one.duration + 1e-9).all()
        found = (windows[:, 1] - windows[:, 0]) / one.duration
        assert all(min(abs(found_one - share) for share in (0.1, 0.2, 0.5)) < 1e-9 for found_one in found)
        assert (np.diff(windows[:, 2]) <= 0).all()


def test_one_seed_one_result():
    assert random_windows(TEST, shares(TRAINING), 3) == random_windows(TEST, shares(TRAINING), 3)
    assert random_windows(TEST, shares(TRAINING), 3) != random_windows(TEST, shares(TRAINING), 4)


def test_centre_is_the_middle_with_the_mean_length():
    (record,) = baselines([sample(1)], shares(TRAINING), seed=0, unanswerable=False)["centre"]
    assert record["pred_relevant_windows"] == [[pytest.approx(11), pytest.approx(19), 1.0]]
    assert int(np.argmax(record["pred_saliency_scores"])) == 7
    assert len(record["pred_saliency_scores"]) == 15


def test_rejecting_everything_is_a_baseline_only_where_queries_may_be_unanswerable():
    assert set(baselines(TEST, shares(TRAINING), seed=0, unanswerable=False)) == {"random", "centre"}
    assert {one["relavent_score"] for one in baselines(TEST, shares(TRAINING), seed=0, unanswerable=True)["never"]} == {0.0}
