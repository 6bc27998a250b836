"""Where a model computes: on this machine's GPU or its CPU, as a command line or a run's `train.device` says."""

from __future__ import annotations

from typing import Literal

import torch

from stages.training.runs import RunError

DEVICES = ("auto", "cpu", "cuda")
Device = Literal["auto", "cpu", "cuda"]


def device_of(name: Device) -> torch.device:
    """The device of this name; "auto" is the GPU where PyTorch sees one.

    Raises RunError if a GPU is asked for where there is none.
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise RunError("device cuda: PyTorch sees no GPU here (python -m stages.doctor says why); take auto or cpu")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
