"""What a control sees of a video."""

import numpy as np
import pytest
import torch

from stages.training.shown import only, part
from stages.training.targets import TargetError

VIDEO = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [0.0, 0.0]], [[2.0, 2.0], [4.0, 0.0], [6.0, 1.0]]])
MASK = torch.tensor([[True, True, False], [True, True, True]])


class Rows:
    """Two videos of two and three clips."""

    width = 2

    def lengths(self, ids):
        return np.array([2, 3])[: len(ids)]

    def batch(self, ids):
        return VIDEO[: len(ids)], MASK[: len(ids)]


def test_the_average_stands_at_every_clip_and_not_on_padding():
    values, mask = part(Rows(), "average").batch(["a", "b"])
    assert values[0].tolist() == [[2, 1], [2, 1], [0, 0]]
    assert values[1].tolist() == [[4, 1]] * 3
    assert mask.equal(MASK)


def test_nothing_is_zeros_of_the_same_shape():
    rows = part(Rows(), "nothing")
    assert (rows.width, rows.lengths(["a", "b"]).tolist()) == (2, [2, 3])
    assert not rows.batch(["a", "b"])[0].any()


def test_all_is_the_run_as_it_is():
    whole = Rows()
    assert part(whole, "all") is whole


def test_clips_beside_the_evidence_give_way_to_those_in_it():
    evidence = [np.array([False, True]), None]
    shown = only(VIDEO, evidence)
    assert shown[0].tolist() == [[3, 2], [3, 2], [0, 0]]
    assert shown[1].equal(VIDEO[1])


def test_evidence_is_refused_where_no_question_is():
    with pytest.raises(TargetError, match=r"features\.shown"):
        part(Rows(), "evidence")
