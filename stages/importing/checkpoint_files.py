"""Tensors out of a checkpoint file, whoever wrote it, without running anything that stands in it.

Read are .safetensors, and what `torch.save` writes (.pth, .pt, .ckpt) by PyTorch's restricted reader: tensors, numbers, text and
plain containers. A file that needs more than that is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from stages.features.torch_files import load_restricted

# keys under which training code keeps the weights
WHERE = ("state_dict", "model_state_dict", "model_parameters", "model", "params")


class CheckpointError(ValueError):
    """A file that is no checkpoint, or one that does not fit. The message names the file and the way out."""


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, by the names in the file without the prefix `module.` of training in several processes.

    Raises CheckpointError: no such file, another format, objects beside plain data, no weights in it.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    content = _safetensors(path) if path.suffix == ".safetensors" else _restricted(path)
    state = _weights(content, path)
    stripped = {key.removeprefix("module."): value for key, value in state.items()}
    if len(stripped) < len(state):
        raise CheckpointError(f"{path}: some keys occur with and without the prefix 'module.'; keep one set of them")
    return stripped


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: not a complete safetensors file ({error}); fetch it again") from error
    return tensors


def _restricted(path: Path) -> Any:
    try:
        return load_restricted(path)
    except Exception as error:  # a damaged file can fail anywhere inside the reader
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise CheckpointError(
                f"{path}: holds {found[1]} beside tensors, numbers and text, and is not loaded; where you trust the file, save "
                "its state_dict alone as .safetensors and import that"
            ) from error
        told = re.search(r"WeightsUnpickler error: (.+)", str(error)) or re.search(r"(.+)", str(error))
        reason = f"{type(error).__name__}: {told[1].strip() if told else 'no reason given'}"
        raise CheckpointError(f"{path}: not a complete PyTorch checkpoint ({reason}); fetch it again") from error


def _weights(content: Any, path: Path) -> dict[str, Tensor]:
    places = [content[key] for key in WHERE if isinstance(content, Mapping) and isinstance(content.get(key), Mapping)]
    for found in (*places, content):
        if isinstance(found, Mapping) and found and all(isinstance(value, Tensor) for value in found.values()):
            return {str(key): value for key, value in found.items()}
    shown = f"a mapping with {', '.join(map(str, list(content)[:8]))}" if isinstance(content, Mapping) else type(content).__name__
    raise CheckpointError(f"{path}: holds {shown}; expected tensors by name, at the top or under one of {', '.join(WHERE)}")
