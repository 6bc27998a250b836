"""Names of the blocks that the reference checkpoints of IGV and EIGV (yl3800) share, and the sizes their shapes tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from models.reference_keys.conversion import KeysDiffer

_LINEAR = ("weight", "bias")
_RECURRENT = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
_HEADS = {"fg_att": "causal", "bg_att": "environment"}
FUSIONS = {"global_fusion": "backbone.fuse_summaries", "fusion": "backbone.fuse_graph"}


def key_table(*, graph_layers: int, chunks: int, indicator: str) -> dict[str, str]:
    """Reference key -> our key, in a fixed order. `indicator`: what stands before the names of the grounding heads."""
    modules = {"vid_encoder.vid2hid.0": "backbone.clip", "qns_encoder.embedding.0": "backbone.word"}
    modules |= {"atten_pool.0": "backbone.pool.inner", "atten_pool.2": "backbone.pool.score", "decoder": "head"}
    for theirs, ours in _HEADS.items():
        modules |= {f"{indicator}{theirs}.linear_{name[0]}": f"grounding.{ours}.{name}" for name in ("query", "key")}
    table = {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in modules.items() for part in _LINEAR}
    for theirs, ours in (("vid_encoder", "video"), ("qns_encoder", "question")):
        table |= {f"{theirs}.rnn.{name}": f"backbone.{ours}.onward.{name}" for name in _RECURRENT}
        table |= {f"{theirs}.rnn.{name}_reverse": f"backbone.{ours}.back.{name}" for name in _RECURRENT}
    for place, ours in ((1, "edge_inner"), (2, "edge_outer")):
        table[f"adj_learner.edge_layer_{place}.weight_g"] = f"backbone.graph.{ours}.length"
        table[f"adj_learner.edge_layer_{place}.weight_v"] = f"backbone.graph.{ours}.direction"
    table |= {f"gcn.layers.{index}.weight.weight": f"backbone.graph.layers.{index}.weight" for index in range(graph_layers)}
    for theirs, ours in FUSIONS.items():
        table |= {f"{theirs}.{name}": f"{ours}.{own}" for name, own in fusion_table(chunks).items()}
    return table


def fusion_table(chunks: int) -> dict[str, str]:
    """Reference key -> our key within one Block fusion."""
    modules = {"linear0": "first", "linear1": "second", "linear_out": "out"}
    for side, ours in enumerate(("merge_first", "merge_second")):
        modules |= {f"merge_linears{side}.{chunk}": f"{ours}.{chunk}" for chunk in range(chunks)}
    return {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in modules.items() for part in _LINEAR}


def counts(state: Mapping[str, Any]) -> dict[str, int]:
    """Graph layers and chunks, from the keys."""
    return {
        "graph_layers": len({key for key in state if re.fullmatch(r"gcn\.layers\.\d+\.weight\.weight", key)}),
        "chunks": len({key for key in state if re.fullmatch(r"fusion\.merge_linears0\.\d+\.weight", key)}),
    }


def same_keys(state: Mapping[str, Any], table: Mapping[str, str]) -> None:
    """Raises KeysDiffer for unknown or missing keys."""
    unknown, missing = set(state) - set(table), set(table) - set(state)
    if unknown or missing:
        raise KeysDiffer(unknown=unknown, missing=missing)


def sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields of `models.backbones.hga.Hga` that the shapes tell: all but dropout."""
    gates, hidden = state["vid_encoder.rnn.weight_hh_l0"].shape
    merged = state["fusion.merge_linears0.0.weight"]
    found = counts(state)
    return {
        "hidden": hidden,
        "words": state["qns_encoder.embedding.0.weight"].shape[0],
        "cell": "lstm" if gates == 4 * hidden else "gru",
        "graph_layers": found["graph_layers"],
        "fusion_inner": state["fusion.linear0.weight"].shape[0],
        "fusion_chunks": found["chunks"],
        "fusion_rank": merged.shape[0] // merged.shape[1],
    }


def widths(state: Mapping[str, Tensor]) -> dict[str, int]:
    """Channels per stream."""
    return {"video": state["vid_encoder.vid2hid.0.weight"].shape[1], "query": state["qns_encoder.embedding.0.weight"].shape[1]}


def backbone(state: Mapping[str, Tensor], given: Any, dropout: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """The backbone's settings, and those among them that nothing told.

    Raises ValueError if a size is given that is not that of the checkpoint.
    """
    own = dict(given) if isinstance(given, Mapping) else {}
    told = sizes(state)
    check_given(own, told, "backbone.")
    return {"dropout": dropout, **own, **told}, {} if "dropout" in own else {"backbone.dropout": dropout}


def check_given(given: Mapping[str, Any], told: Mapping[str, Any], prefix: str = "") -> None:
    """Raises ValueError for a given value that the shapes contradict."""
    for name, value in told.items():
        if name in given and given[name] != value:
            raise ValueError(f"{prefix}{name} is {value} by the shapes of the checkpoint, but {given[name]} by the configuration")


def to_ours(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """Reference tensors under our names; keys outside the table are left out, the caller reports them."""
    return {ours: state[theirs].contiguous() for theirs, ours in table.items() if theirs in state}


def to_reference(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    """The inverse of `to_ours`, for the keys that both have."""
    return {theirs: state[ours].contiguous() for theirs, ours in table.items() if ours in state}
