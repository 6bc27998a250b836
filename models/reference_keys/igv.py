"""Parameter names of the reference checkpoints of IGV (yl3800/IGV) and ours, both ways. The memory bank is in neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.reference_keys import hga
from models.reference_keys.conversion import Converted, find

# What no checkpoint tells: numbers of the published recipe.
_ASSUMED: dict[str, Any] = {"tau": 1.0, "w_do": 1.0, "w_env": 1.0}
_DROPOUT = 0.5
_SETTINGS = {"tau": "tau", "w_do": "alpha", "w_env": "beta"}

to_ours, to_reference = hga.to_ours, hga.to_reference


def key_table(*, graph_layers: int, chunks: int) -> dict[str, str]:
    """Reference key -> our key, in a fixed order."""
    return hga.key_table(graph_layers=graph_layers, chunks=chunks, indicator="indicator.")


def settings(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the Config that a configuration of the reference tells, by the names it uses."""
    known: dict[str, Any] = {ours: next(find(reference, theirs), None) for ours, theirs in _SETTINGS.items()}
    told = {name: float(value) for name, value in known.items() if value is not None}
    dropout = next(find(reference, "dropout"), None)
    return told if dropout is None else {**told, "backbone": {"dropout": float(dropout)}}


def convert(state: Mapping[str, Tensor], given: Mapping[str, Any]) -> Converted:
    """A reference state dict in our terms, under `released` numerics unless `given` says otherwise.

    Raises KeysDiffer for unknown or missing keys, ValueError if sizes are given that are not those of the checkpoint.
    """
    table = key_table(**hga.counts(state))
    hga.same_keys(state, table)
    answers = state["decoder.weight"].shape[0] - 1
    hga.check_given(given, {"answers": answers})
    backbone, guessed = hga.backbone(state, given.get("backbone"), _DROPOUT)
    assumed = {name: value for name, value in _ASSUMED.items() if name not in given}
    return Converted(
        model={"numerics": "released", **assumed, **given, "answers": answers, "backbone": backbone},
        widths=hga.widths(state),
        confounders={},
        weights=to_ours(state, table),
        assumed=assumed | guessed,
    )
