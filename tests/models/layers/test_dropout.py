from __future__ import annotations

import pytest
import torch

from models.layers.dropout import Dropout, dropout


@pytest.mark.parametrize("p", [0.5, 0.25, 0.1, 0.3])
def test_a_share_p_is_dropped_and_the_rest_scaled_so_that_the_mean_stays(p):
    torch.manual_seed(0)
    y = dropout(torch.ones(400_003), p, True)
    assert abs((y == 0).float().mean().item() - p) < 0.003
    assert y.unique().tolist() == pytest.approx([0.0, 1 / (1 - p)], abs=3e-5)


def test_no_matter_what_comes_before_an_element_its_chance_is_the_same():
    torch.manual_seed(0)
    kept = (dropout(torch.ones(20_000, 8), 0.5, True) > 0).float()
    together = torch.corrcoef(kept.T) - torch.eye(8)
    assert together.abs().max().item() < 0.03


def test_gradient_passes_where_the_value_passed():
    x = torch.randn(50, 7, requires_grad=True)
    y = dropout(x, 0.3, True)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x, y)


def test_one_seed_one_mask():
    masks = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        masks.append(dropout(torch.ones(99), 0.1, True))
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_nothing_is_dropped_in_evaluation_or_without_probability():
    x = torch.randn(5)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_precision_stays(kind):
    assert dropout(torch.ones(9, dtype=kind), 0.5, True).dtype == kind
