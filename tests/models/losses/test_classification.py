from __future__ import annotations

import torch
from torch.nn import functional as F

from models.losses.classification import focal, weighted_cross_entropy


def test_focal_loss_without_focus_is_cross_entropy_of_the_counted():
    logits, target = torch.randn(2, 6), torch.rand(2, 6) > 0.5
    counted = torch.tensor([[True] * 4 + [False] * 2, [True] * 6])
    expected = F.binary_cross_entropy_with_logits(logits[counted], target[counted].float())
    torch.testing.assert_close(focal(logits, target, counted, gamma=0.0), expected)
    torch.testing.assert_close(weighted_cross_entropy(logits, target, counted), expected)


def test_focus_takes_weight_from_what_is_already_right():
    logits, target = torch.tensor([[2.0]]), torch.tensor([[True]])
    counted = torch.ones(1, 1, dtype=torch.bool)
    p = torch.sigmoid(torch.tensor(2.0))
    torch.testing.assert_close(focal(logits, target, counted, gamma=2.0), -((1 - p) ** 2) * p.log())
    torch.testing.assert_close(focal(-logits, ~target, counted, gamma=2.0), -((1 - p) ** 2) * p.log())
