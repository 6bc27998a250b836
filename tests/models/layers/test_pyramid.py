from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from models.layers.pyramid import Halving, LevelHead, Pyramid, level_sizes, pack, unpack


def test_levels_longer_than_the_video_do_not_exist():
    assert level_sizes(5, (1, 2, 4, 8)) == (5, 2, 1)
    assert [level.shape[1] for level in Pyramid(d_model=4, strides=(1, 2, 4, 8))(torch.randn(2, 5, 4))] == [5, 2, 1]


def test_levels_have_as_many_halvings_as_their_stride_needs():
    levels = Pyramid(d_model=4, strides=(1, 4, 16)).levels
    assert [len(list(level.children())) for level in levels] == [0, 2, 4]


def test_halving_is_a_convolution_of_kernel_and_stride_two():
    block, convolution = Halving(6), nn.Conv1d(6, 6, 2, stride=2)
    with torch.no_grad():
        block.join.weight.copy_(convolution.weight.permute(0, 2, 1).flatten(1))
        assert convolution.bias is not None
        block.join.bias.copy_(convolution.bias)
    x = torch.randn(3, 9, 6)
    torch.testing.assert_close(block(x), F.relu(block.norm(convolution(x.mT).mT)))


def test_packed_levels_get_what_each_would_get_alone():
    head = LevelHead(d_model=4, outputs=2)
    levels = [torch.randn(2, size, 4) for size in (7, 3, 1)]
    real = torch.cat([F.pad(torch.ones(1, size, dtype=torch.bool), (0, 1)) for size in (7, 3, 1)], dim=1)
    together = unpack(head(pack(levels), real), (7, 3, 1))
    apart = torch.cat([head.outer(F.relu(head.inner(level.mT))) for level in levels], dim=-1)
    torch.testing.assert_close(together, apart)


def test_places_that_are_not_real_are_zero_padding_to_both_convolutions():
    head, level = LevelHead(d_model=4, outputs=1), torch.randn(1, 6, 4)
    real = torch.tensor([[True, True, True, False, False, False, False]])
    cut = torch.tensor([[True, True, True, False]])
    torch.testing.assert_close(head(pack([level]), real)[..., :3], head(pack([level[:, :3]]), cut)[..., :3])
