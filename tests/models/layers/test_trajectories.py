"""Trajectories as the network sees them."""

import pytest
import torch

from models.layers.trajectories import TrajectoryEncoder, box_features, relative_geometry


def test_a_box_is_told_by_shares_of_the_frame():
    boxes = torch.tensor([[[0.0, 0, 9, 19]]])
    found = box_features(boxes, torch.tensor([[100.0, 50]]))
    torch.testing.assert_close(found, torch.tensor([[[0.045, 0.19, 0.1, 0.4, 0.04]]]))


def test_relative_geometry_begins_and_ends_where_both_are_there():
    other = torch.tensor([[[0.0, 0, 9, 9]] * 4])
    subject = torch.tensor([[[t * 10.0, 5, t * 10 + 19, 24] for t in range(4)]])
    both = torch.tensor([[False, True, True, False]])
    first, last, change = relative_geometry(subject, other, both)[0].split(5)
    two = torch.tensor(2.0).log()
    torch.testing.assert_close(first, torch.stack([torch.tensor(1.5), torch.tensor(1.0), two, two, 2 * two]))
    torch.testing.assert_close(last[0] - first[0], torch.tensor(1.0))
    torch.testing.assert_close(change, last - first)
    assert relative_geometry(subject, other, torch.zeros(1, 4, dtype=torch.bool)).abs().sum() == 0


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return TrajectoryEncoder(d_appearance=3, d_step=5, hidden=4)


def test_steps_without_the_object_change_nothing(encoder):
    appearance, boxes = torch.randn(2, 5, 3), 20 * torch.rand(2, 5, 4).cumsum(dim=-1)
    present = torch.tensor([[True, False, True, True, False], [False, True, True, True, True]])
    frame = torch.tensor([[64.0, 48]] * 2)
    found = encoder(appearance, boxes, present, frame)
    for row, keep in enumerate(present):
        alone = encoder(appearance[row : row + 1, keep], boxes[row : row + 1, keep], keep[None, keep], frame[:1])
        torch.testing.assert_close(found[row], alone[0])
    rubbish = encoder(appearance.masked_fill(~present[..., None], 9e3), boxes, present, frame)
    torch.testing.assert_close(rubbish, found)


def test_a_trajectory_without_steps_is_finite_and_gives_finite_gradients(encoder):
    none = torch.zeros(1, 4, dtype=torch.bool)
    found = encoder(torch.zeros(1, 4, 3), torch.zeros(1, 4, 4), none, torch.tensor([[64.0, 48]]))
    found.sum().backward()
    assert found.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())
