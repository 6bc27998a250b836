"""The script for a GPU runs through on a CPU with tiny networks, so that a minute on a GPU is not spent on its mistakes."""

from __future__ import annotations

import pytest
import torch

from benchmarks import gpu
from models.method import method_names


@pytest.mark.slow
def test_steps_of_every_method_and_an_epoch_are_measured():
    torch.set_num_threads(1)
    found = gpu.main(["--tiny", "--device", "cpu", "--rounds", "1", "--parts", "steps", "epoch"])
    assert sorted(found["steps"]) == method_names()
    for method, figures in found["steps"].items():
        assert figures["corrected"]["per_second"] > 0, method
        assert figures["corrected, bf16"]["per_second"] > 0, method
    assert {method for method, figures in found["steps"].items() if "against a straightforward implementation" in figures} == {
        "causalvtg",
        "cpl",
        "ccr",
    }
    assert found["epoch"]["steps"] == 5
    assert 0 < found["epoch"]["host_share_of_feeding"] < 1


def test_without_a_gpu_it_says_how_to_try_it(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "--tiny --device cpu" in capsys.readouterr().err


def test_a_step_that_cannot_be_compiled_is_told_and_does_not_end_the_rest():
    def broken():
        raise RuntimeError("no compiler here\nand more")

    assert gpu.tried(broken) == "RuntimeError: no compiler here"
