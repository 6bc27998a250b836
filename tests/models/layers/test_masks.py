from __future__ import annotations

import torch

from models.layers.masks import masked_mean, prefix_mask, zero_padding


def test_masked_mean_is_the_mean_of_the_real_rows():
    x, mask = torch.randn(2, 5, 3), prefix_mask(torch.tensor([5, 2]), 5)
    torch.testing.assert_close(masked_mean(x, mask), torch.stack((x[0].mean(0), x[1, :2].mean(0))))
    torch.testing.assert_close(masked_mean(x, None), x.mean(1))


def test_padding_becomes_zero_whatever_it_held():
    x = torch.full((1, 3, 2), torch.nan)
    x[0, 0] = 1.0
    assert zero_padding(x, torch.tensor([[True, False, False]])).tolist() == [[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]]
