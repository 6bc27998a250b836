import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.training.schedules import learning_rate, reductions_so_far
from tests.stages.training.toy import settings


def rates(steps_per_epoch, **changes):
    train = settings(**changes)
    return [learning_rate(train, step=step, steps_per_epoch=steps_per_epoch) for step in range(train.epochs * steps_per_epoch)]


def test_step_decay_holds_the_full_rate_until_the_epoch_and_a_tenth_after_it():
    found = rates(10, schedule="step", steps=(2,), epochs=4, lr=1.0, warmup_steps=5, warmup_ratio=0.001)
    assert found[:5] == pytest.approx([0.001 + 0.999 * i / 5 for i in range(5)])
    assert found[5:20] == [1.0] * 15
    assert found[20:] == pytest.approx([0.1] * 20)


def test_warm_up_overrides_a_decay_that_falls_into_it_until_the_next_epoch_begins():
    found = rates(4, schedule="step", steps=(1,), epochs=4, lr=1.0, warmup_steps=6)
    assert found[6:8] == [1.0, 1.0]  # epoch 1 began during the warm-up
    assert found[8:] == pytest.approx([0.1] * 8)


def test_step_decay_without_warm_up():
    assert rates(2, schedule="step", steps=(1, 2), epochs=3, lr=1.0, warmup_steps=0) == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01, 0.01]
    )


def test_cosine_falls_from_the_base_rate_to_the_final_share():
    # the published CRA schedule: no rate at the first step, one epoch of warm-up, a thousandth at the end
    train = settings(epochs=3, lr=1.0, warmup_steps=10, warmup_ratio=0.0, final_ratio=0.001)
    for step in range(30):
        expected = step / 10 if step < 10 else 0.5 * (1 + math.cos(math.pi * (step - 10) / 20)) * 0.999 + 0.001
        assert learning_rate(train, step=step, steps_per_epoch=10) == pytest.approx(expected)


def test_inverse_square_root_as_fairseq():
    train = settings(epochs=100, lr=4e-4, schedule="inverse_sqrt", warmup_steps=400, warmup_ratio=1e-7 / 4e-4)
    for step in (0, 1, 399, 400, 401, 990):
        expected = 1e-7 + step * (4e-4 - 1e-7) / 400 if step < 400 else 4e-4 * math.sqrt(400 / step)
        assert learning_rate(train, step=step, steps_per_epoch=10) == pytest.approx(expected, rel=1e-12)


def test_one_cycle_is_that_of_pytorch():
    total, warmup = 40, 9
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=2.0, total_steps=total, pct_start=(warmup + 1) / total, div_factor=25, final_div_factor=40
    )
    expected = []
    for _ in range(total):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        theirs.step() if len(expected) < total else None
    found = rates(10, schedule="one_cycle", epochs=4, lr=2.0, warmup_steps=warmup, warmup_ratio=1 / 25, final_ratio=1 / 1000)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "one_cycle", "inverse_sqrt", "step"])
@given(epochs=st.integers(1, 5), per_epoch=st.integers(1, 7), warmup=st.integers(1, 40), ratio=st.floats(0, 1))
def test_a_rate_is_never_above_the_base_nor_below_zero(schedule, epochs, per_epoch, warmup, ratio):
    found = rates(per_epoch, schedule=schedule, epochs=epochs, lr=0.3, warmup_steps=warmup, warmup_ratio=ratio)
    assert all(0 <= rate <= 0.3 * (1 + 1e-12) for rate in found)


@given(
    st.lists(st.floats(0, 100), max_size=30),
    st.integers(0, 5),
    st.sampled_from(["max", "min"]),
)
def test_plateau_counts_as_pytorch_does(values, patience, mode):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.SGD([parameter], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, mode=mode, factor=0.5, patience=patience, eps=0)
    for value in values:
        theirs.step(value)
    ours = settings(schedule="plateau", select="x", select_mode=mode, patience=patience, decay=0.5)
    assert 0.5 ** reductions_so_far(ours, values) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-6)
