from __future__ import annotations

import pytest

from stages.metrics.grounded_report import Pointed, headline, moments, numbers, thresholds

WEIGHTS, TIMES = [0.0, 0.1, 0.8, 0.1], [1.0, 3.0, 5.0, 7.0]


def pointed(right, moment, *, before=None, evidence=((4.0, 6.0),)):
    return Pointed(key="v_0", evidence=evidence, right=right, moments={"pre_hoc": before, "post_hoc": moment})


def test_three_moments_of_one_question():
    found = moments([2.04, 6.0], WEIGHTS, TIMES, 8.0, merge="itsc", first_frame=True)
    assert found == {"pre_hoc": (2.0, 6.0), "post_hoc": (5.0, 5.0), "merge": (5.0, 5.0)}
    assert moments(None, WEIGHTS, TIMES, None, merge="uni", first_frame=True)["merge"] is None


def test_right_answers_with_a_wrong_moment_are_unfaithful():
    found = numbers([pointed(True, (4.0, 6.0)), pointed(True, (0.0, 1.0)), pointed(False, (4.0, 6.0))])
    assert (found["Acc&VQA"], found["Acc&GQA"]) == pytest.approx((200 / 3, 100 / 3))
    assert found["unfaithful"] == pytest.approx(50)


def test_a_rule_without_a_moment_for_every_question_is_left_out():
    both = numbers([pointed(True, (4.0, 6.0), before=(0.0, 8.0))])
    assert both["pre_hoc.mIoU"] == pytest.approx(25)
    assert both["mIoU"] == 100
    assert "pre_hoc.mIoU" not in numbers([pointed(True, (4.0, 6.0), before=(0.0, 8.0)), pointed(True, (4.0, 6.0))])
    assert not any("." in name.split("@")[0] for name in headline([pointed(True, (4.0, 6.0), before=(0.0, 8.0))]))


def test_thresholds_fall():
    rows = thresholds([pointed(True, (4.0, 6.0)), pointed(True, (4.0, 10.0))])
    assert [row["R1"] for row in rows] == sorted((row["R1"] for row in rows), reverse=True)
    assert rows[0] == {"threshold": 0.1, "R1": 100.0, "IoP": 100.0}
    assert numbers([]) == {}
    assert thresholds([]) == []
