"""Parameter names of the reference checkpoints of CausalVTG (MxLearner/CausalVTG) and ours, both ways.

A reference checkpoint has 140 keys with four strides, 156 with five. Ours, under `released` numerics, has the same tensors under
other names; some have another shape, because we write convolutions without overlap as the products they are.
C hidden, K dictionary entries.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from models.reference_keys.conversion import Converted, KeysDiffer, find

_LINEAR = ("weight", "bias")
_MAPPING = {"0": "norm_in", "2": "inner", "4": "norm", "6": "outer"}
_FRONT_DOOR = {
    **{f"cross_attn2.{name}": f"front_door.attention.{name}" for name in ("query", "key", "value")},
    **{f"self_attn1.{name}": f"dead.{name}" for name in ("query", "key", "value")},  # computed there, read by nothing
    "fusion.aug_linear": "front_door.gate.found",
    "fusion.ori_linear": "front_door.gate.own",
    "ln": "front_door.norm",
}
_DECODER = {
    **{f"cross_att.{name}": f"cross.{name}" for name in "qkvm"},
    **{f"self_att.{name}": f"itself.{name}" for name in "qkvm"},
    "cross_att_norm": "norm_cross",
    "self_att_norm": "norm_itself",
    "ffn_norm": "norm_outer",
    "ffn.mapping.0": "inner",
    "ffn.mapping.2": "outer",
}
_HEADS = {
    **{f"class_head.module.{place}": f"class_head.{name}" for place, name in (("1", "inner"), ("3", "outer"))},
    **{f"coord_head.module.{place}": f"offset_head.{name}" for place, name in (("1", "inner"), ("3", "outer"))},
    "contrastive_head.0": "relevance.0",
    "contrastive_head.1": "relevance.1",
}
_SINGLE = {
    "coef": "offset_scale",
    "pooling.att.weight": "pooling.score.weight",
    "loss._loss_sal.scale": "saliency_scale",
    "adapter.cq_attention.w4C": "context_query.w_video",
    "adapter.cq_attention.w4Q": "context_query.w_query",
    "adapter.cq_attention.w4mlu": "context_query.w_product",
}

# What all published configurations share and no checkpoint tells. The saliency weight is that of all data sets but QVHighlights.
_ASSUMED: dict[str, Any] = {
    "heads": 8,
    "dropout": 0.5,
    "attention_dropout": 0.1,
    "drop_path": 0.1,
    "top": 50,
    "sample_radius": 1.5,
    "focal_gamma": 2.0,
    "temperature": 0.07,
    "loss_weights": {"cls": 1.0, "reg": 0.2, "sal": 0.01, "neg": 0.1},
}
_SETTINGS = {"strides": "strides", "top": "max_num_moment", "sample_radius": "sample_radius", "temperature": "temperature"}


def key_table(strides: Sequence[int], *, dead_modules: bool = True) -> dict[str, str | None]:
    """Reference key -> our key, in a fixed order; None without a counterpart: the dead attention, unless `dead_modules`."""
    modules = {"adapter.cq_attention.cqa_linear.conv1d": "context_query.out", **_HEADS}
    modules |= {f"adapter.tem.{theirs}": f"decoder.{ours}" for theirs, ours in _DECODER.items()}
    for side in ("video", "query"):
        modules |= {f"adapter.{side}_map.{theirs}": f"{side}_map.{ours}" for theirs, ours in _MAPPING.items()}
        modules |= {f"adapter.{side}_map_cluster_mean.{theirs}": f"{side}_memory.map.{ours}" for theirs, ours in _MAPPING.items()}
        modules |= {f"adapter.{side}_front_door_encoder.{theirs}": f"{side}_{ours}" for theirs, ours in _FRONT_DOOR.items()}
    for level, stride in enumerate(strides):
        for block in range(stride.bit_length() - 1):
            modules[f"pyramid.blocks.{level}.{5 * block + 1}"] = f"pyramid.levels.{level}.{block}.join"
            modules[f"pyramid.blocks.{level}.{5 * block + 3}"] = f"pyramid.levels.{level}.{block}.norm"
    table: dict[str, str | None] = {**_SINGLE, **{f"adapter.{side}_memory": f"{side}_memory.rows" for side in ("video", "query")}}
    for theirs, ours in modules.items():
        kept = dead_modules or "_dead." not in ours
        table |= {f"{theirs}.{part}": f"{ours}.{part}" if kept else None for part in _LINEAR}
    return table


def strides_of(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The strides of the pyramid, from the keys of its blocks: a level of n blocks has stride 2^n, the first has none."""
    found = [match for key in state if (match := re.fullmatch(r"pyramid\.blocks\.(\d+)\.(\d+)\.(weight|bias)", key))]
    blocks = {(int(match[1]), int(match[2]) // 5) for match in found}
    counts = Counter(level for level, _ in blocks)
    return tuple(2 ** counts[level] for level in range(max(counts, default=0) + 1))


def settings(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the Config that a configuration of the reference repository tells, by the names it uses."""
    known = {ours: next(find(reference, theirs), None) for ours, theirs in _SETTINGS.items()}
    terms = {name: next(find(reference, f"loss_{name}"), None) for name in _ASSUMED["loss_weights"]}
    stated = {name: term for name, term in terms.items() if isinstance(term, Mapping) and "loss_weight" in term}
    weights = {name: term["loss_weight"] for name, term in stated.items()}
    if weights:
        known["loss_weights"] = {**_ASSUMED["loss_weights"], **weights}
    return {name: value for name, value in known.items() if value is not None}


def convert(state: Mapping[str, Tensor], given: Mapping[str, Any]) -> Converted:
    """A reference state dict in our terms, under `released` numerics: what it holds is a memory of mapped rows.

    Single deviations may be given, as long as the memory stays mapped. Raises KeysDiffer for unknown or missing keys, ValueError
    if sizes are given that are not those of the checkpoint.
    """
    given = dict(given)
    if not (given.get("deviations") or {}).get("mapped_memory"):
        given |= {"numerics": "released", "deviations": None}
    table = key_table(strides_of(state), dead_modules=(given.get("deviations") or {}).get("dead_modules", True))
    unknown, missing = set(state) - set(table), {key for key, ours in table.items() if ours is not None} - set(state)
    if unknown or missing:
        raise KeysDiffer(unknown=unknown, missing=missing)
    hidden = len(state["adapter.tem.ffn_norm.weight"])
    inner = len(state["adapter.tem.ffn.mapping.0.bias"])
    shapes = {"hidden": hidden, "ffn_ratio": inner // hidden, "strides": strides_of(state)}
    for name, value in shapes.items():
        if name in given and (tuple(given[name]) if name == "strides" else given[name]) != value:
            raise ValueError(f"{name} is {value} by the shapes of the checkpoint, but {given[name]} by the configuration")
    told = {**given, **shapes}
    widths = {side: len(state[f"adapter.{side}_map_cluster_mean.0.weight"]) for side in ("video", "query")}
    return Converted(
        model=_ASSUMED | told,
        widths=widths,
        confounders={side: (state[f"adapter.{side}_memory"].shape[1], width) for side, width in widths.items()},
        weights=to_ours(state, table),
        assumed={name: value for name, value in _ASSUMED.items() if name not in told},
    )


def to_ours(state: Mapping[str, Tensor], table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Reference tensors under our names and in our shapes; keys outside the table are left out, the caller reports them."""
    return {
        ours: _reshaped(theirs, state[theirs]).contiguous()
        for theirs, ours in table.items()
        if ours is not None and theirs in state
    }


def to_reference(state: Mapping[str, Tensor], table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """The inverse of `to_ours`, for the keys that both have."""
    return {
        theirs: _restored(theirs, state[ours]).contiguous()
        for theirs, ours in table.items()
        if ours is not None and ours in state
    }


def _reshaped(key: str, value: Tensor) -> Tensor:
    if key.startswith("adapter.cq_attention.w4"):
        return value.flatten()  # (C, 1) or (1, 1, C) -> (C,)
    if key == "adapter.cq_attention.cqa_linear.conv1d.weight":
        return value[..., 0]  # (C, 4 C, 1) -> (C, 4 C)
    if key.startswith("pyramid.") and value.dim() == 3:
        return value.mT.flatten(start_dim=1)  # (C, C, 2) -> (C, 2 C): first all channels of the earlier clip
    return value


def _restored(key: str, value: Tensor) -> Tensor:
    if key.startswith("adapter.cq_attention.w4"):
        return value[None, None] if key.endswith("mlu") else value[:, None]
    if key == "adapter.cq_attention.cqa_linear.conv1d.weight":
        return value[..., None]
    if key.startswith("pyramid.") and value.dim() == 2:
        return value.unflatten(1, (2, -1)).mT
    return value
