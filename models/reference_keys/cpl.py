"""Parameter names of the reference checkpoints of CPL (minghangz/cpl) and ours, both ways. Shapes are the same.

The reference keeps the two decoders as decoder1 (video) and decoder2 (words).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from models.reference_keys.conversion import Converted, KeysDiffer, find

_TOKENS = {"mask_vec": "core.hidden", "start_vec": "core.start", "pred_vec": "core.prediction"}
_LINEAR = {
    "frame_fc": "core.frame_map",
    "word_fc": "core.word_map",
    "fc_comp": "core.to_words",
    "fc_gauss": "core.to_gaussians",
}
_LAYER = {
    **{
        f"{theirs}.{name}": f"{ours}.{kept}"
        for theirs, ours in (("self_attn", "itself"), ("encoder_attn", "cross"))
        for name, kept in (
            ("in_proj_weight", "packed.weight"),
            ("in_proj_bias", "packed.bias"),
            ("out_proj.weight", "out.weight"),
            ("out_proj.bias", "out.bias"),
        )
    },
    **{
        f"{theirs}.{part}": f"{ours}.{part}"
        for theirs, ours in (
            ("self_attn_layer_norm", "norm_itself"),
            ("encoder_attn_layer_norm", "norm_cross"),
            ("final_layer_norm", "norm_outer"),
            ("fc1", "inner"),
            ("fc2", "outer"),
        )
        for part in ("weight", "bias")
    },
}

# What checkpoints do not tell, as in the published configuration for Charades-STA.
ASSUMED: dict[str, Any] = {
    "heads": 4,
    "dropout": 0.1,
    "grid": 50,
    "sigma": 9.0,
    "gamma": 0.5,
    "epochs": 30,
    "margin_1": 0.1,
    "margin_2": 0.15,
    "diversity": 0.146,
    "alpha_1": 1.0,
    "alpha_2": 5.0,
}
_SETTINGS = {
    "heads": "num_heads",
    "dropout": "dropout",
    "sigma": "sigma",
    "gamma": "gamma",
    "epochs": "max_num_epochs",
    "margin_1": "margin_1",
    "margin_2": "margin_2",
    "diversity": "lambda",
    "alpha_1": "alpha_1",
    "alpha_2": "alpha_2",
}
_WHOLE_NUMBERS = {"heads", "grid", "epochs"}


def depth(keys: Iterable[str], decoder: int) -> int:
    """Layers of decoder 1 or 2, from the keys."""
    found = [match for key in keys if (match := re.match(rf"trans\.decoder{decoder}\.decoder_layers\.(\d+)\.", key))]
    return 1 + max((int(match[1]) for match in found), default=-1)


def key_table(*, video_layers: int, word_layers: int) -> dict[str, str]:
    """Reference key -> our key, in a fixed order."""
    table = dict(_TOKENS)
    table |= {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in _LINEAR.items() for part in ("weight", "bias")}
    for number, name, layers in ((1, "video", video_layers), (2, "word", word_layers)):
        for layer in range(layers):
            place, ours = f"trans.decoder{number}.decoder_layers.{layer}", f"core.{name}_decoder.layers.{layer}"
            table |= {f"{place}.{theirs}": f"{ours}.{kept}" for theirs, kept in _LAYER.items()}
    return table


def settings(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the Config that a configuration of the reference repository tells, by the names it uses."""
    found = {ours: next(find(reference, theirs), None) for ours, theirs in _SETTINGS.items()}
    return {name: value if name in _WHOLE_NUMBERS else float(value) for name, value in found.items() if value is not None}


def convert(state: Mapping[str, Tensor], given: Mapping[str, Any]) -> Converted:
    """A reference state dict in our terms, under `released` numerics unless others are given.

    Raises KeysDiffer for unknown or missing keys, ValueError if sizes are given that are not those of the checkpoint.
    """
    return converted(state, given, key_table(video_layers=depth(state, 1), word_layers=depth(state, 2)), ASSUMED)


def converted(
    state: Mapping[str, Tensor], given: Mapping[str, Any], table: Mapping[str, str | None], assumed: Mapping[str, Any]
) -> Converted:
    """The same for any method on this core; None in the table: a parameter that we have no use for."""
    if unknown_or_missing := set(state) ^ set(table):
        raise KeysDiffer(unknown=unknown_or_missing & set(state), missing=unknown_or_missing & set(table))
    shapes = {
        "hidden": len(state["frame_fc.bias"]),
        "video_layers": depth(state, 1),
        "word_layers": depth(state, 2),
        "proposals": len(state["fc_gauss.bias"]) // 2,
    }
    for name, value in shapes.items():
        if name in given and given[name] != value:
            raise ValueError(f"{name} is {value} by the shapes of the checkpoint, but {given[name]} by the configuration")
    told = {"numerics": "released", **given, **shapes}
    classes, _ = state["fc_comp.weight"].shape
    return Converted(
        model={**assumed, **told},
        widths={"video": len(state["pred_vec"]), "words": len(state["mask_vec"]), "classes": classes},
        confounders={},
        weights=to_ours(state, table),
        assumed={name: value for name, value in assumed.items() if name not in told},
    )


def to_ours(state: Mapping[str, Tensor], table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Reference tensors under our names; keys outside the table are left out, the caller reports them."""
    return {ours: state[theirs] for theirs, ours in table.items() if ours is not None and theirs in state}


def to_reference(state: Mapping[str, Tensor], table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """The inverse of `to_ours`, for the keys that both have."""
    return {theirs: state[ours] for theirs, ours in table.items() if ours is not None and ours in state}
