"""The script for a GPU runs through on a CPU with tiny networks, so that a minute on a GPU is not spent on its mistakes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import gpu, gpu_epoch, gpu_steps
from benchmarks.gpu_batches import METHODS
from models.method import method_names

TINY = ["--tiny", "--device", "cpu"]


def test_every_method_has_a_batch():
    assert sorted(METHODS) == method_names()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_steps_of_every_method_are_measured(method, tmp_path):
    torch.set_num_threads(1)
    gpu_steps.main(["--method", method, "--rounds", "1", *TINY, "--out", str(tmp_path / "steps.json")])
    found = json.loads((tmp_path / "steps.json").read_text())
    for name in ("corrected", "corrected, bf16", *(["released"] if method != "ivrd" else [])):
        assert found["steps"][name]["steps_per_second"] > 0
    assert found["gigaflop_in_products"] > 0
    has_plain = method in ("causalvtg", "cpl", "ccr")
    assert ("against a straightforward implementation" in found) == has_plain


@pytest.mark.slow
def test_an_epoch_is_fed_then_repeated_from_batches_that_lie_ready(tmp_path):
    torch.set_num_threads(1)
    gpu_epoch.main([*TINY, "--out", str(tmp_path / "epoch.json")])
    found = json.loads((tmp_path / "epoch.json").read_text())
    assert found["steps"] == 5
    assert 0 < found["host_share_of_feeding"] < 1
    assert 0 <= found["data_wait_share"] < 1
    assert min(found[f"{name}_seconds"] for name in ("first_epoch", "epoch", "validation")) > 0


def test_without_a_gpu_it_says_how_to_try_it(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        gpu.main([])
    assert "--tiny --device cpu" in capsys.readouterr().err


def test_a_part_that_fails_says_why_and_leaves_the_others_alone():
    assert "No module named benchmarks.gpu_nothing" in gpu.apart("gpu_nothing", [], 60)["failed"]


def test_a_part_without_time_is_not_begun():
    assert gpu.apart("gpu_steps", [], 1) == {"failed": "no time left"}


def test_a_part_may_take_its_share_and_what_others_left():
    clock = gpu.Clock(minutes=10)
    assert clock.left("epoch", since=0) == pytest.approx(0.2 * 600, abs=1)
    assert clock.left("compiled", since=480) == pytest.approx(600, abs=1)


def test_what_is_ended_takes_its_own_processes_with_it():
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid, flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    child = int(process.stdout.readline())
    gpu.end(process)
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(child)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_step_that_cannot_be_compiled_is_told_and_does_not_end_the_rest():
    def broken():
        raise RuntimeError("no compiler here\nand more")

    found = gpu_steps.timed({"eager": lambda: lambda: None, "compile": broken}, "eager", 1, "cpu", tiny=True)
    assert found["compile"] == {"failed": "RuntimeError: no compiler here"}
    assert found["eager"]["steps_per_second"] > 0


@dataclass(frozen=True)
class Draws:
    noise: Tensor
    pair: tuple[Tensor, None]
    seed: int


def test_draws_of_a_graph_are_filled_anew_where_they_lie():
    kept = Draws(torch.zeros(2), (torch.zeros(1), None), seed=1)
    noise = kept.noise
    gpu_steps.refill(kept, Draws(torch.ones(2), (torch.ones(1), None), seed=1))
    assert noise.tolist() == [1, 1]
    assert kept.pair[0].tolist() == [1]


def test_a_seed_among_the_draws_is_nothing_that_a_graph_could_take_anew():
    with pytest.raises(ValueError, match="draws hold 1, then 2"):
        gpu_steps.refill(
            Draws(torch.zeros(1), (torch.zeros(1), None), seed=1), Draws(torch.zeros(1), (torch.zeros(1), None), seed=2)
        )
