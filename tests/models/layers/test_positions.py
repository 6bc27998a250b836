from __future__ import annotations

import math

import torch

from models.layers.positions import clip_endpoints, masked_sinusoid, sinusoid


def test_endpoints_tile_the_video():
    ends = clip_endpoints(torch.tensor([4, 2]), 4)
    torch.testing.assert_close(ends[0], torch.tensor([[0.0, 0.25], [0.25, 0.5], [0.5, 0.75], [0.75, 1.0]]))
    torch.testing.assert_close(ends[1, :2], torch.tensor([[0.0, 0.5], [0.5, 1.0]]))


def test_code_depends_on_the_place_in_the_video_alone():
    code = sinusoid(torch.tensor([4, 8]), 8, 6)
    torch.testing.assert_close(code[0, :4], code[1, 1::2], atol=1e-5, rtol=0.0)


def test_code_is_sine_on_even_and_cosine_on_odd_channels():
    code = sinusoid(torch.tensor([3]), 3, 4)[0]
    for step in range(3):
        turn = (step + 1) / 3 * 2 * math.pi
        expected = [math.sin(turn), math.cos(turn), math.sin(turn / 100), math.cos(turn / 100)]
        torch.testing.assert_close(code[step], torch.tensor(expected), atol=1e-5, rtol=0.0)


def test_masked_code_is_the_plain_one_on_real_elements_and_steps_over_padding():
    mask = torch.tensor([[True, True, True, False], [True, False, True, True]])
    code = masked_sinusoid(mask, 6)
    plain = sinusoid(torch.tensor([3]), 3, 6)[0]
    torch.testing.assert_close(code[0, :3], plain)
    torch.testing.assert_close(code[1, [0, 2, 3]], plain)
