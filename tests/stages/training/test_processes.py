import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from stages.training.processes import Processes
from tests.stages import tiny
from tests.stages.tiny import ROOT


def test_one_process_needs_no_plumbing():
    alone = Processes.join("cpu")
    assert alone.accelerator is None
    assert alone.first
    assert alone.share(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
    assert alone.from_first("x") == "x"


def test_every_sample_of_a_batch_is_some_process_s_share():
    shares = [Processes(device=torch.device("cpu"), rank=rank, count=3).share(np.arange(8)).tolist() for rank in range(3)]
    assert sorted(index for share in shares for index in share) == list(range(8))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device cuda: PyTorch sees no GPU here"):
        Processes.join("cuda")


def test_two_processes_train_as_one_and_keep_their_memories_equal(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "tests.stages.training.together", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("is content") == 2


def test_the_stage_starts_its_processes_itself(tmp_path):
    work = tiny.make(tmp_path / "tiny", videos=12)
    work.write_params(train={"processes": 2, "epochs": 1})
    process = work.train_process(tmp_path / "run")
    _, messages = process.communicate(timeout=300)
    assert process.returncode == 0, messages[-3000:]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["config.json", "history.csv", "model.safetensors"]
