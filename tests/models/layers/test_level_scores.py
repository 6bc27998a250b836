from __future__ import annotations

import torch

from models.layers.level_scores import spread, stretch


def test_clips_read_the_point_that_covers_them_in_their_own_video():
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.9, 0.25, 0.35]] * 2)  # 5 points of stride 1, 2 of stride 2
    value = spread(scores, (5, 2), (1, 2), torch.tensor([5, 3]), 5)
    assert value[0].tolist() == torch.tensor([0.25, 0.25, 0.35, 0.4, 0.9]).tolist()
    assert value[1, :3].tolist() == torch.tensor([0.25, 0.25, 0.3]).tolist()  # one point of stride 2; the last clip reads it too


def test_level_longer_than_the_video_is_not_asked():
    scores = torch.tensor([[0.1, 0.2, 0.9]])
    assert spread(scores, (2, 1), (1, 2), torch.tensor([1]), 2)[0, 0] == torch.tensor(0.1)


def test_reference_stretches_by_the_floor_of_the_ratio():
    level = torch.tensor(
        [0.1, 0.7]
    )  # T = 11 at stride 4: two points, each for floor(11 / 2) = 5 clips, the last also for the rest
    assert stretch(level, (2,), 11).tolist() == torch.tensor([0.1] * 5 + [0.7] * 6).tolist()


def test_reference_shrinks_by_the_best_of_whole_steps():
    level = torch.tensor([0.1, 0.5, 0.2, 0.3, 0.9])
    assert stretch(level, (5,), 2).tolist() == torch.tensor([0.5, 0.3]).tolist()
