"""One process, or several under torchrun that share every batch (one GPU each); accelerate does the plumbing.

A single process never touches accelerate. With several, every process starts from the same weights and takes its share of
each batch; gradients are averaged, and buffers stay equal because models gather what they observe (models/causal/memory.py).
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stages.training.batches import Indices
from stages.training.devices import Device, device_of


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among `count`; `device` is its own."""

    device: torch.device
    rank: int = 0
    count: int = 1
    accelerator: Any = None  # accelerate.Accelerator where there are several processes

    @classmethod
    def join(cls, device: Device) -> Processes:
        """The processes torchrun has started, or this one alone.

        Raises RunError if a GPU is asked for where there is none.
        """
        own = device_of(device)
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(device=own)
        # Imported here: two seconds that a single process need not wait.
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # Some methods have parameters that a pass does not reach.
        form = DistributedDataParallelKwargs(find_unused_parameters=True)
        accelerator = Accelerator(cpu=own.type == "cpu", mixed_precision="no", kwargs_handlers=[form])
        return cls(
            device=accelerator.device, rank=accelerator.process_index, count=accelerator.num_processes, accelerator=accelerator
        )

    @property
    def first(self) -> bool:
        """Whether this process writes the files and validates."""
        return self.rank == 0

    def share(self, indices: Indices) -> Indices:
        """This process's part of a batch."""
        return indices[self.rank :: self.count]

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, averaging its gradients over the processes."""
        return module if self.accelerator is None else self.accelerator.prepare_model(module)  # type: ignore[no-any-return]

    def keep_local(self, module: nn.Module) -> AbstractContextManager[Any]:
        """Within it, gradients are added up without being averaged: for all but the last part of a batch."""
        return nullcontext() if self.accelerator is None else module.no_sync()  # type: ignore[operator, no-any-return]

    def mean(self, values: Tensor) -> Tensor:
        """The mean of the processes' tensors."""
        return values if self.accelerator is None else self.accelerator.reduce(values, reduction="mean")  # type: ignore[no-any-return]

    def from_first(self, value: Any) -> Any:
        """What the first process has; also a meeting point."""
        if self.accelerator is None:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def leave(self) -> None:
        """Say goodbye to the others."""
        if self.accelerator is not None:
            self.accelerator.end_training()
