"""Parameter names of the reference checkpoints of EIGV (yl3800/EIGV) and ours, both ways. The memory bank is in neither."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.reference_keys import hga
from models.reference_keys.conversion import Converted, find

# What no checkpoint tells: numbers of the published recipe.
_ASSUMED: dict[str, Any] = {
    "tau": 0.9,
    "tau_nce": 0.1,
    "w_nce": 0.0125,
    "negatives": 5,
    "share_causal": 0.1,
    "share_environment": 1.0,
}
_DROPOUT = 0.3
# By the names of the reference's settings. `a` and `a2` are those of the paper's page, too short to be looked for.
_SETTINGS = {"tau": "tau_gumbel", "tau_nce": "tau_nce", "w_nce": "beta"}

to_ours, to_reference = hga.to_ours, hga.to_reference


def key_table(*, graph_layers: int, chunks: int) -> dict[str, str]:
    """Reference key -> our key, in a fixed order."""
    table = hga.key_table(graph_layers=graph_layers, chunks=chunks, indicator="")
    return table | {f"project_head.1.{part}": f"project.1.{part}" for part in ("weight", "bias")}


def settings(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the Config that a configuration of the reference tells, by the names it uses."""
    known = {ours: next(find(reference, theirs), None) for ours, theirs in _SETTINGS.items()}
    told: dict[str, Any] = {name: float(value) for name, value in known.items() if value is not None}
    copies, dropout = next(find(reference, "neg"), None), next(find(reference, "dropout"), None)
    told |= {} if copies is None else {"negatives": int(copies)}
    return told if dropout is None else {**told, "backbone": {"dropout": float(dropout)}}


def convert(state: Mapping[str, Tensor], given: Mapping[str, Any]) -> Converted:
    """A reference state dict in our terms, under `released` numerics unless `given` says otherwise.

    Raises KeysDiffer for unknown or missing keys, ValueError if sizes are given that are not those of the checkpoint.
    """
    table = key_table(**hga.counts(state))
    hga.same_keys(state, table)
    backbone, guessed = hga.backbone(state, given.get("backbone"), _DROPOUT)
    assumed = {name: value for name, value in _ASSUMED.items() if name not in given}
    return Converted(
        model={"numerics": "released", **assumed, **given, "backbone": backbone},
        widths=hga.widths(state),
        confounders={},
        weights=to_ours(state, table),
        assumed=assumed | guessed,
    )
