import math

import pytest
import torch
from torch import nn

from stages.training.optimisers import build_optimiser, clip, set_rate
from tests.stages.training.toy import Line, settings


def steps(kind, gradients, **changes):
    """The values of one parameter after each of the updates."""
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    optimiser = build_optimiser(settings(optimiser=kind, lr=0.1, **changes), model)
    out = []
    for gradient in gradients:
        model.weight.grad = torch.full((1, 1), gradient)
        set_rate(optimiser, 0.1)
        optimiser.step()
        out.append(model.weight.item())
    return out


GRADIENTS = [1.0, -0.5, 1e-8]


def test_adamw_follows_its_equation():
    weight, mean, square, expected = 1.0, 0.0, 0.0, []
    for t, gradient in enumerate(GRADIENTS, start=1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        weight -= 0.1 * 0.01 * weight
        weight -= 0.1 * (mean / (1 - 0.9**t)) / (math.sqrt(square / (1 - 0.999**t)) + 1e-8)
        expected.append(weight)
    assert steps("adamw", GRADIENTS) == pytest.approx(expected, rel=1e-6)


def test_fairseq_adam_does_not_correct_its_epsilon():
    weight, mean, square, expected = 1.0, 0.0, 0.0, []
    for t, gradient in enumerate([1e-8, 2e-8], start=1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        weight -= 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * mean / (math.sqrt(square) + 1e-8)
        expected.append(weight)
    found = steps("adam_fairseq", [1e-8, 2e-8], weight_decay=0.0)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found != pytest.approx(steps("adam", [1e-8, 2e-8], weight_decay=0.0), rel=1e-3)


def test_amsgrad_remembers_the_largest_square():
    big_then_small = [10.0, *[0.1] * 400]
    assert steps("amsgrad", big_then_small)[-1] > steps("adam", big_then_small)[-1]


def test_a_parameter_without_gradient_is_left_alone_by_the_decay_too():
    model = Line()
    optimiser = build_optimiser(settings(weight_decay=0.5), model)
    model.out.weight.grad = torch.ones_like(model.out.weight)
    before = model.dead.clone()
    optimiser.step()
    assert torch.equal(model.dead, before)


def test_parameters_can_have_a_rate_of_their_own():
    model = Line()
    optimiser = build_optimiser(settings(lr_scales={"hidden": 0.1, "hidden.bias": 0.0}), model)
    set_rate(optimiser, 2.0)
    rate_of = {id(parameter): group["lr"] for group in optimiser.param_groups for parameter in group["params"]}
    assert rate_of[id(model.hidden.weight)] == pytest.approx(0.2)
    assert rate_of[id(model.hidden.bias)] == 0.0
    assert rate_of[id(model.out.weight)] == 2.0


def test_a_prefix_that_no_parameter_has_is_refused():
    with pytest.raises(ValueError, match="no parameter begins with 'encoder' alone; the model has dead, hidden, out"):
        build_optimiser(settings(lr_scales={"encoder": 0.1}), Line())


def test_gradients_are_scaled_to_the_bound_and_their_norm_is_told():
    model = nn.Linear(2, 1, bias=False)
    model.weight.grad = torch.tensor([[3.0, 4.0]])
    assert clip(model.parameters(), None).item() == 5.0
    assert model.weight.grad.tolist() == [[3.0, 4.0]]
    assert clip(model.parameters(), 1.0).item() == 5.0
    assert model.weight.grad.norm().item() == pytest.approx(1.0, rel=1e-5)
