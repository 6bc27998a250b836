"""Checkpoints as the reference repositories publish them, made of our own runs: the same weights under the reference's names."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch
from safetensors.torch import load_file

from models.reference_keys import conversion
from stages.params import parse
from stages.training.runs import load_run


def methods() -> set[str]:
    """Those with published checkpoints."""
    shared = {"hga", Path(conversion.__file__).stem}
    return {path.stem for path in Path(conversion.__file__).parent.glob("[a-z]*.py")} - shared


def checkpoint(run: Path, path: Path) -> Path:
    """The weights of a finished run as a reference checkpoint."""
    model, record = load_run(run, parse)
    keys, config = importlib.import_module(f"models.reference_keys.{record.method}"), model.config
    if record.method in ("igv", "eigv"):
        table = keys.key_table(graph_layers=config.backbone.graph_layers, chunks=config.backbone.fusion_chunks)
    elif record.method == "transtr":
        table = keys.key_table(layers=config.layers)
    else:
        kind = "frozenbilm" if config.variant == "cra" and "language" in str(list(model.state_dict())) else config.variant
        table = keys.key_table(
            "tempclip" if kind == "cra" else kind, text_layers=config.text.num_hidden_layers, layers=config.layers
        )
    torch.save(keys.to_reference(load_file(run / "model.safetensors"), table), path)
    return path
