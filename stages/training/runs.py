"""A finished run on disk: weights, and everything that is needed to rebuild the model without the files it was trained from.

    <run>/model.safetensors    every parameter and buffer of the model, by our own key names
    <run>/config.json          RunRecord; written last, so a run with this file is complete
    <run>/history.csv          one row per epoch (trained runs only)
    <run>/vocabulary.npz       words and sentences, for methods that reconstruct words

The same training gives the same bytes: no times, no paths, no machine.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.method import Method, load_method
from stages.training.settings import Shown

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
HISTORY = "history.csv"
VOCABULARY = "vocabulary.npz"
SCHEMA_VERSION = 1


class RunError(ValueError):
    """A run folder that is incomplete or does not fit its method. The message names the file and the way out."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """config.json of a run.

    method, model     name in models/methods/, and its Config as plain values
    widths            channels per stream
    confounders       (K, ...) of the dictionary per stream that the model was built with
    dataset, features names of the feature stores per stream, in the order in which they are fused
    fps               clips per second of the video features; 0 where they are resampled
    clips             clips that every video is resampled to; None: as published
    shown             how much of a video it is shown (stages/training/shown.py)
    seed, train       of the training, as plain values; None for imported weights
    selection         {"metric", "mode", "epoch", "value"} of the kept epoch; None: the last epoch, or imported weights
    inputs            what it was made from: name -> digest
    """

    run: str
    method: str
    model: dict[str, Any]
    widths: dict[str, int]
    confounders: dict[str, tuple[int, ...]]
    dataset: str
    features: dict[str, tuple[str, ...]]
    fps: float
    clips: int | None = None
    shown: Shown = "all"
    seed: int | None = None
    train: dict[str, Any] | None = None
    selection: dict[str, Any] | None = None
    inputs: dict[str, str] = dataclasses.field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION


def save_run(folder: Path, weights: Mapping[str, Tensor], record: RunRecord) -> None:
    """Write both files, each beside its place and then renamed, config.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    write_weights(folder / WEIGHTS, weights)
    text = json.dumps(dataclasses.asdict(record), ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    write_whole(folder / CONFIG, text.encode())


def read_record(folder: Path) -> RunRecord:
    """The record of a complete run.

    Raises RunError if there is none, or one of another version.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise RunError(f"{folder}: no {CONFIG}: no finished run; train it, or import a checkpoint to this place")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _record(content, path)
    except RunError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError, OverflowError) as error:
        raise RunError(f"{path}: damaged, or not the record of a run ({error}); train it again") from error


def _record(content: dict[str, Any], path: Path) -> RunRecord:
    if content.get("schema_version") != SCHEMA_VERSION:
        raise RunError(f"{path}: schema version {content.get('schema_version')}, expected {SCHEMA_VERSION}; train it again")
    names = {field.name for field in dataclasses.fields(RunRecord)}
    if unknown := sorted(set(content) - names):
        raise RunError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(names))}")
    content["confounders"] = {name: tuple(map(int, shape)) for name, shape in content["confounders"].items()}
    content["features"] = {name: tuple(stores) for name, stores in content["features"].items()}
    return RunRecord(**content)


def load_run(folder: Path, parse: Callable[[type[Any], object, str], Any]) -> tuple[Method, RunRecord]:
    """The model of a finished run with its weights, in eval state on the CPU. `parse` is stages.params.parse.

    Raises RunError if keys or shapes differ from what the method expects.
    """
    record = read_record(folder)
    model = build_model(record, parse, str(folder / CONFIG))
    load_weights(model, folder / WEIGHTS)
    return model.eval(), record


def build_model(record: RunRecord, parse: Callable[[type[Any], object, str], Any], place: str) -> Method:
    """The method's model with fresh weights; its dictionaries are zeros of the right shape, to be overwritten by weights."""
    method = load_method(record.method)
    config = parse(method.Config, record.model, f"{place}: model")
    empty = {name: torch.zeros(shape) for name, shape in record.confounders.items()}
    return cast(Method, method.Model(config, widths=record.widths, confounders=empty))


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load a safetensors file into the model: every key, no other, all of the right shape.

    Raises RunError listing what does not fit.
    """
    try:
        weights = load_file(path)
    except FileNotFoundError:
        raise RunError(f"{path}: no such file; train the run, or import a checkpoint to this place") from None
    except SafetensorError as error:
        raise RunError(
            f"{path}: not a complete safetensors file ({error}); a .pth goes through import_checkpoint first"
        ) from error
    expected = model.state_dict()
    wrong = [f"{key} is missing" for key in expected.keys() - weights.keys()]
    wrong += [f"{key} is unknown" for key in weights.keys() - expected.keys()]
    wrong += [
        f"{key} has shape {tuple(weights[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected.keys() & weights.keys()
        if weights[key].shape != expected[key].shape
    ]
    if wrong:
        shown = "; ".join(sorted(wrong)[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise RunError(f"{path}: {shown}; these weights belong to another method, Config or dictionary")
    model.load_state_dict(weights)


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """A safetensors file of these tensors: keys sorted, nothing but the tensors and their format in it."""
    # Copies: safetensors refuses tied weights that share memory. One metadata key only, because it does not order them.
    plain = {key: weights[key].detach().cpu().contiguous().clone() for key in sorted(weights)}
    partial = path.with_name(path.name + ".partial")
    save_file(plain, partial, metadata={"format": "pt"})
    partial.chmod(0o644)  # safetensors makes files that only their owner may read
    settle(partial, path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    settle(partial, path)


def settle(partial: Path, path: Path) -> None:
    """Force `partial` onto the disk before its name becomes `path`."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.replace(path)
