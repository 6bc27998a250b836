import math

import pytest
import torch
from torch import nn

from stages.training.processes import Processes
from stages.training.watch import Meter, NonFiniteError, first_non_finite, tracing

ALONE = Processes(device=torch.device("cpu"))


def terms(**values):
    return {name: torch.tensor(value) for name, value in values.items()}


def test_an_epoch_has_the_mean_of_every_term_however_often_it_is_looked_at():
    rare, often = Meter(ALONE, {}), Meter(ALONE, {})
    for step, value in enumerate([1.0, 2.0, 6.0]):
        rare.add(step, terms(a=value, b=-value))
        often.add(step, terms(a=value, b=-value))
        assert often.look() == {"a": value, "b": -value}
    assert rare.close() == often.close() == {"a": 3.0, "b": -3.0}
    assert rare.close() == {}


def test_the_first_term_that_is_not_finite_is_named_with_its_step():
    meter = Meter(ALONE, {})
    meter.add(7, terms(a=1.0, b=2.0))
    meter.add(8, terms(a=1.0, b=math.nan))
    meter.add(9, terms(a=math.inf, b=math.nan))
    with pytest.raises(NonFiniteError, match="b is nan in step 8"):
        meter.look()


def test_a_tolerated_term_is_left_out_of_the_mean():
    meter = Meter(ALONE, {}, tolerated=["norm"])
    meter.add(0, terms(norm=math.inf, a=1.0))
    meter.add(1, terms(norm=3.0, a=2.0))
    assert meter.close() == {"norm": 3.0, "a": 1.5}


class Logarithm(nn.Module):
    def forward(self, x):
        return {"logs": [x.log()]}


def test_tracing_names_the_module_that_first_gives_a_number_that_is_not_finite():
    model = nn.Sequential(nn.Identity(), Logarithm())
    found: list[str] = []
    with tracing(model, found):
        model(torch.tensor([-1.0]))
    assert found == ["output of 1 (Logarithm)"]
    model(torch.tensor([-1.0]))  # the hooks are gone
    assert len(found) == 1


def test_the_first_bad_parameter_or_gradient_is_named():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    assert first_non_finite(model) is None
    model[1].get_parameter("bias").grad = torch.tensor([math.inf])
    assert first_non_finite(model) == "gradient of 1.bias"
    with torch.no_grad():
        model[0].get_parameter("weight").fill_(math.nan)
    assert first_non_finite(model) == "parameter 0.weight"
