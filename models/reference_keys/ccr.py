"""Parameter names of the reference checkpoints of CCR (sLdZ0306/CCR) and ours: those of CPL, mu, and the side branch.

The released side branch has a head and a map per branch, which the paper's formulation does not have: under `corrected` numerics
these keys are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.reference_keys import cpl
from models.reference_keys.conversion import Converted
from models.reference_keys.cpl import to_ours, to_reference

__all__ = ["convert", "key_table", "settings", "to_ours", "to_reference"]

_SIDES = {"q_pos": "positive", "q_ref": "whole", "q_neg_1": "left", "q_neg_2": "right"}
_ASSUMED = {**cpl.ASSUMED, "heads": 8}


def key_table(*, video_layers: int, word_layers: int, side_heads: bool = True) -> dict[str, str | None]:
    """Reference key -> our key, in a fixed order; None: without a counterpart, unless `side_heads`."""
    table: dict[str, str | None] = {**cpl.key_table(video_layers=video_layers, word_layers=word_layers), "constant": "mu"}
    for theirs, ours in _SIDES.items():
        for part in ("weight", "bias"):
            table[f"{theirs}.{part}"] = f"side_heads.{ours}.{part}" if side_heads else None
            table[f"{theirs}_additional.{part}"] = f"side_maps.{ours}.{part}" if side_heads else None
    return table


def settings(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the Config that a configuration of the reference repository tells, by the names it uses."""
    return cpl.settings(reference)


def convert(state: Mapping[str, Tensor], given: Mapping[str, Any]) -> Converted:
    """A reference state dict in our terms, under `released` numerics unless others are given.

    Raises KeysDiffer for unknown or missing keys, ValueError if sizes are given that are not those of the checkpoint.
    """
    deviations = given.get("deviations")
    side_heads = deviations["side_heads"] if deviations else given.get("numerics", "released") == "released"
    table = key_table(video_layers=cpl.depth(state, 1), word_layers=cpl.depth(state, 2), side_heads=side_heads)
    return cpl.converted(state, given, table, _ASSUMED)
