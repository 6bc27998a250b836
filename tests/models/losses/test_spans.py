from __future__ import annotations

import torch

from models.losses.spans import mean_l1


def test_distances_count_where_chosen_and_a_divisor_of_nothing_is_one():
    predicted, target = torch.tensor([[[1.0, 2.0], [torch.inf, 5.0]]]), torch.tensor([[[2.0, 4.0], [0.0, 0.0]]])
    chosen = torch.tensor([[True, False]])
    assert mean_l1(predicted, target, chosen, at_least=1).item() == 1.5
    assert mean_l1(predicted, target, ~chosen & chosen, at_least=1).item() == 0.0
    assert mean_l1(predicted, target, ~chosen & chosen, at_least=0).isnan()
