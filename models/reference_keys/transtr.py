"""Parameter names of the reference checkpoints of TranSTR (yl3800/TranSTR) and ours, both ways.

Left out is `text_encoder.*`: features of words are an input here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.reference_keys.conversion import Converted, KeysDiffer, find

_LINEAR = ("weight", "bias")
_DECODERS = {"frame": "frame_decoder", "obj": "object_decoder", "fo": "join_decoder", "ans": "answer_decoder"}
_PROJECTIONS = ("q", "k", "v", "out")
_LEFT_OUT = "text_encoder."

# What no checkpoint tells: numbers of the published NExT-QA run. The released flags of the two K are exchanged; these are not.
_ASSUMED: dict[str, Any] = {
    "frames": 16,
    "objects": 20,
    "k_frames": 12,
    "k_objects": 5,
    "heads": 8,
    "activation": "relu",
    "dropout": 0.1,
    "samples": 500,
    "sigma": 0.05,
}
# By the names of the reference's settings: its constructor takes the flag of the objects for the frames and the other way round.
_SETTINGS = {
    "k_frames": "topK_obj",
    "k_objects": "topK_frame",
    "heads": "nheads",
    "activation": "activation",
    "dropout": "dropout",
    "objects": "objs",
    "samples": "num_samples",
    "sigma": "sigma",
}


def key_table(*, layers: int) -> dict[str, str]:
    """Reference key -> our key, in a fixed order."""
    modules = {"obj_resize.fc": "object_map.0", "obj_resize.layer_norm": "object_map.1", "classifier": "head"}
    for theirs, ours in _DECODERS.items():
        modules |= _stack(f"{theirs}_decoder", ours, layers, {"self_attn": "itself", "multihead_attn": "cross"})
    modules |= _stack("vl_encoder", "encoder", layers, {"self_attn": "itself"})
    return {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in modules.items() for part in _LINEAR}


def _stack(theirs: str, ours: str, layers: int, attentions: Mapping[str, str]) -> dict[str, str]:
    modules = {f"{theirs}.norm": f"{ours}.norm"}
    norms = [f"norm_{name}" for name in (*attentions.values(), "outer")]
    for index in range(layers):
        at, to = f"{theirs}.layers.{index}", f"{ours}.layers.{index}"
        modules |= {f"{at}.{old}.{p}_lin": f"{to}.{new}.{p}" for old, new in attentions.items() for p in _PROJECTIONS}
        modules |= {f"{at}.linear1": f"{to}.inner", f"{at}.linear2": f"{to}.outer"}
        modules |= {f"{at}.norm{place}": f"{to}.{norm}" for place, norm in enumerate(norms, start=1)}
    return modules


def layers_of(state: Mapping[str, Any]) -> int:
    """Layers of each stack, from the keys."""
    return len({key for key in state if re.fullmatch(r"vl_encoder\.layers\.\d+\.norm1\.weight", key)})


def settings(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the Config that a configuration of the reference tells, by the names it uses."""
    known = {ours: next(find(reference, theirs), None) for ours, theirs in _SETTINGS.items()}
    return {name: value for name, value in known.items() if value is not None}


def convert(state: Mapping[str, Tensor], given: Mapping[str, Any]) -> Converted:
    """A reference state dict in our terms, under `released` numerics unless `given` says otherwise.

    Raises KeysDiffer for unknown or missing keys, ValueError if sizes are given that are not those of the checkpoint.
    """
    table = key_table(layers=layers_of(state))
    own = {key for key in state if not key.startswith(_LEFT_OUT)}
    if own != set(table):
        raise KeysDiffer(unknown=own - set(table), missing=set(table) - own)
    classes, width = state["classifier.weight"].shape
    told = {
        "answers": None if classes == 1 else classes - 1,
        "layers": layers_of(state),
        "d_inner": len(state["vl_encoder.layers.0.linear1.bias"]),
    }
    for name, value in told.items():
        if name in given and given[name] != value:
            raise ValueError(f"{name} is {value} by the shapes of the checkpoint, but {given[name]} by the configuration")
    assumed = {name: value for name, value in _ASSUMED.items() if name not in given}
    return Converted(
        model={"numerics": "released", **assumed, **given, **told},
        widths={"video": width, "query": width, "objects": state["obj_resize.fc.weight"].shape[1]},
        confounders={},
        weights=to_ours(state, table),
        assumed=assumed,
    )


def to_ours(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """Reference tensors under our names; keys outside the table are left out, the caller reports them."""
    return {ours: state[theirs].contiguous() for theirs, ours in table.items() if theirs in state}


def to_reference(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """The inverse of `to_ours`, for the keys that both have."""
    return {theirs: state[ours].contiguous() for theirs, ours in table.items() if ours in state}
