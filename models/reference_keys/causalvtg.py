"""Parameter names of the reference checkpoints of CausalVTG (MxLearner/CausalVTG) and ours, both ways.

A reference checkpoint has 140 keys with four strides, 156 with five. Ours, under `released` numerics, has the same tensors under
other names; some have another shape, because we write convolutions without overlap as the products they are.
C hidden, K dictionary entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

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


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the shapes of a reference checkpoint tell.

    config     fields of the method's Config: hidden, ffn_ratio, strides
    widths     feature width per entry (video, query)
    entries    dictionary entries K per entry
    """

    config: dict[str, Any]
    widths: dict[str, int]
    entries: dict[str, int]


def sizes(state: Mapping[str, Tensor]) -> Sizes:
    """Sizes from the shapes of a reference state dict.

    Raises KeyError naming the first key it needs and does not find.
    """
    hidden = len(state["adapter.tem.ffn_norm.weight"])
    blocks = [
        sum(f"pyramid.blocks.{level}.{5 * k + 1}.weight" in state for k in range(32)) for level in range(len(state["coef"]))
    ]
    return Sizes(
        config={
            "hidden": hidden,
            "ffn_ratio": len(state["adapter.tem.ffn.mapping.0.bias"]) // hidden,
            "strides": tuple(2**count for count in blocks),
        },
        widths={side: len(state[f"adapter.{side}_map_cluster_mean.0.weight"]) for side in ("video", "query")},
        entries={side: state[f"adapter.{side}_memory"].shape[1] for side in ("video", "query")},
    )


def stripped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix `module.` that training in several processes leaves."""
    return {key.removeprefix("module."): value for key, value in state.items()}


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
