"""Parameter names of the reference checkpoints of CRA (WissingChen/CRA-GQA) and of its TempCLIP baselines, and ours, both ways.

Kinds of checkpoint: "tempclip" (CRA), "posthoc" and "ngplus" (TempCLIP without CRA), "frozenbilm" (CRA). Left out are parameters
that the reference builds and never reads: poolers, `selector`, `time_reparam`, `attention_video_feature`, the head over the whole
vocabulary. The text encoders have the names of the library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor

from models.reference_keys.conversion import Converted, KeysDiffer, find

Kind = Literal["tempclip", "posthoc", "ngplus", "frozenbilm"]

_LINEAR = ("weight", "bias")
_NETWORK, _ENCODER, _LANGUAGE = "network", "network.text.encoder", "network.language.deberta"
_BERT_LAYER = (
    *(f"attention.self.{name}" for name in ("query", "key", "value")),
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)
_GROUNDING = {
    **{f"qa_proj.{place}": f"grounding.query.{place}" for place in (0, 1)},
    **{f"v_proj.{place}": f"grounding.frame.{place}" for place in (0, 1)},
    "grounding.0": "grounding.norm",
    "grounding.1": "grounding.score.0",
    "grounding.3": "grounding.score.2",
}
_FRONT_DOOR = {
    "prob_m": "mediator",
    "prob_x": "video",
    "prob_x_hat": "entry",
    "prob_x_m": "from_mediator",
    "prob_x_hat_x": "from_entries",
    "fc": "join",
}
_BACK_DOOR = {"do.q": "query", "do.k": "key", "do.v": "value", "norm": "norm"}
_POST_NORM = {
    **{f"attention.{name}_lin": f"attention.{name}" for name in ("q", "k", "v", "out")},
    "sa_layer_norm": "norm_attention",
    "ffn.lin1": "inner",
    "ffn.lin2": "outer",
    "output_layer_norm": "norm_inner",
}
_PRE_NORM = {
    **{f"self_attn.linears.{place}": f"attention.{name}" for place, name in enumerate(("q", "k", "v", "out"))},
    "feed_forward.w_1": "inner",
    "feed_forward.w_2": "outer",
    "self_attn.selector": None,
    "self_attn.time_reparam": None,
}

# What no checkpoint tells: numbers of the published configurations.
_ASSUMED: dict[str, Any] = {
    "heads": 8,
    "max_frames": 32,
    "dropout_video": 0.3,
    "dropout": 0.1,
    "front_door": True,
    "smoothing": True,
    "span_threshold": 0.5,
    "vq_weight": 1.0,
    "align_weight": 0.5,
    "temperature": 0.07,
}
_TEXT_DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
_HEAD_WIDTH = 64  # of RoBERTa and DeBERTa-v2, in all published sizes


def kind_of(state: Mapping[str, Any]) -> Kind:
    """Which network a checkpoint is of, by its keys."""
    if any(key.startswith("deberta.") for key in state):
        return "frozenbilm"
    if "logit_gauss.1.weight" in state:
        return "ngplus"
    return "posthoc" if "linear_video.weight" in state else "tempclip"


def key_table(kind: Kind, *, text_layers: int, layers: int) -> dict[str, str | None]:
    """Reference key -> our key, in a fixed order; None for what is left out."""
    if kind == "frozenbilm":
        modules, single = _frozenbilm(text_layers, layers)
    else:
        modules, single = _roberta(text_layers)
        more, others = _tempclip(layers) if kind == "tempclip" else _baseline(kind, layers)
        modules, single = modules | more, single | others
    table = dict(single)
    for theirs, ours in modules.items():
        table |= {f"{theirs}.{part}": None if ours is None else f"{ours}.{part}" for part in _LINEAR}
    return table


def settings(reference: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the Config that a configuration of the reference repository tells."""
    return {"temperature": value} if (value := next(find(reference, "temperature"), None)) is not None else {}


def convert(state: Mapping[str, Tensor], given: Mapping[str, Any]) -> Converted:
    """A reference state dict in our terms, under `released` numerics unless `given` says otherwise.

    Raises KeysDiffer for unknown or missing keys, ValueError if sizes are given that are not those of the checkpoint.
    """
    kind = kind_of(state)
    table = table_of(state)
    unknown, missing = set(state) - set(table), {key for key, ours in table.items() if ours is not None} - set(state)
    if unknown or missing:
        raise KeysDiffer(unknown=unknown, missing=missing)
    sizes = _sizes(kind, state)
    for name, value in sizes.items():
        if name in given and given[name] != value and name != "text":
            raise ValueError(f"{name} is {value} by the shapes of the checkpoint, but {given[name]} by the configuration")
    told = {"numerics": "released", **given, **sizes}
    assumed = {**_ASSUMED, "negatives": None if kind == "frozenbilm" else 32}
    text, guessed = _text_sizes(kind, state, told.get("text"))
    frames = {"tempclip": "decoder.do.visual_clusters", "frozenbilm": "do._vis_do.visual_clusters"}.get(kind)
    graphs = {"tempclip": "do.node", "frozenbilm": "do._lin_do.node"}.get(kind)
    projection = {"tempclip": "video_model.proj", "frozenbilm": "deberta.embeddings.linear_video"}.get(kind, "linear_video")
    shapes = {side: tuple(state[key].shape) for side, key in (("video", frames), ("query", graphs)) if key is not None}
    return Converted(
        model={**assumed, **told, "text": text},
        widths={"video": state[f"{projection}.weight"].shape[1]},
        confounders=shapes,
        weights=to_ours(state, table),
        assumed={name: value for name, value in assumed.items() if name not in told} | guessed,
    )


def table_of(state: Mapping[str, Any]) -> dict[str, str | None]:
    """The key table of a reference checkpoint."""
    return key_table(
        kind_of(state),
        text_layers=_count(r".*\.encoder\.layer\.(\d+)\..*", state),
        layers=_count(r"(?:decoder\.layers|mmt\.layer|trans\.layer)\.(\d+)\..*", state),
    )


def to_ours(state: Mapping[str, Tensor], table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """Reference tensors under our names; keys outside the table are left out, the caller reports them."""
    return {
        ours: (state[theirs][0] if theirs.endswith(".pe") else state[theirs]).contiguous()
        for theirs, ours in table.items()
        if ours is not None and theirs in state
    }


def to_reference(state: Mapping[str, Tensor], table: Mapping[str, str | None]) -> dict[str, Tensor]:
    """The inverse of `to_ours`, for the keys that both have."""
    return {
        theirs: state[ours][None] if theirs.endswith(".pe") else state[ours]
        for theirs, ours in table.items()
        if ours is not None and ours in state
    }


_Modules = tuple[dict[str, str | None], dict[str, str | None]]


def _roberta(text_layers: int) -> _Modules:
    """Modules (weight and bias), single parameters."""
    at = "lang_model.bert.bert"
    modules: dict[str, str | None] = {
        "lang_model.linear_text": f"{_NETWORK}.text.project",
        f"{at}.embeddings.LayerNorm": f"{_ENCODER}.embeddings.LayerNorm",
        f"{at}.pooler.dense": None,
    }
    for index in range(text_layers):
        modules |= {f"{at}.encoder.layer.{index}.{name}": f"{_ENCODER}.encoder.layer.{index}.{name}" for name in _BERT_LAYER}
    names = [f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")]
    return modules, {f"{at}.{name}": f"{_ENCODER}.{name}" for name in names}


def _tempclip(layers: int) -> _Modules:
    inside = f"{_NETWORK}.interventions"
    modules: dict[str, str | None] = {
        "lang_model.word_attn.0": f"{_NETWORK}.text.pool.score",
        "video_model.proj": f"{_NETWORK}.video.project",
        "video_model.norm": f"{_NETWORK}.video.norm",
        "decoder.video_proj.1": f"{_NETWORK}.project.1",
        "decoder.attention_video_feature.0": None,
        "decoder.attention_video_feature.2": None,
        "decoder.do.norm": f"{_NETWORK}.norm_video",
        **{f"decoder.grounding_module.{theirs}": f"{inside}.{ours}" for theirs, ours in _GROUNDING.items()},
        **{f"decoder.do.do.{theirs}": f"{inside}.front_door.{ours}" for theirs, ours in _FRONT_DOOR.items()},
        **{f"do.{theirs}": f"{inside}.back_door.{ours}" for theirs, ours in _BACK_DOOR.items()},
    }
    single: dict[str, str | None] = {
        "video_model.position_embedding.pe": f"{_NETWORK}.video.table",
        "decoder.grounding_module.gs_filter.sigma": f"{inside}.grounding.filter.sigma",
        "decoder.do.visual_clusters": f"{inside}.front_door.dictionary",
        **_graph("do", inside),
    }
    norms = {"decoder.norm": f"{_NETWORK}.norm"}
    for index in range(layers):
        theirs, ours = f"decoder.layers.{index}", f"{_NETWORK}.layers.{index}"
        modules |= {f"{theirs}.{name}": None if own is None else f"{ours}.{own}" for name, own in _PRE_NORM.items()}
        norms |= {f"{theirs}.sublayer_self.norm": f"{ours}.norm_attention", f"{theirs}.sublayer_ff.norm": f"{ours}.norm_inner"}
    single |= {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in norms.items() for part in ("gamma", "beta")}
    return modules, single


def _baseline(kind: Kind, layers: int) -> _Modules:
    modules: dict[str, str | None] = {
        "linear_video": f"{_NETWORK}.video.project",
        "norm_video": f"{_NETWORK}.video.norm",
        "position_v.LayerNorm": f"{_NETWORK}.video.norm_placed",
        "vpos_proj.1": f"{_NETWORK}.fuse.1",
        **{f"satt_pool_frame.{place}": f"{_NETWORK}.pool.score.{place}" for place in (0, 2)},
        **_post_norm("mmt", layers),
    }
    if kind == "ngplus":
        modules |= {f"satt_pool_frame_gs.{place}": f"{_NETWORK}.asked_pool.score.{place}" for place in (0, 2)}
        modules["logit_gauss.1"] = f"{_NETWORK}.gauss.1"
    table: dict[str, str | None] = {"position_v.position_embeddings.weight": f"{_NETWORK}.video.table"}
    return modules, {**table, "position_v.modality_embedding.weight": None}


def _frozenbilm(text_layers: int, layers: int) -> _Modules:
    inside, language = f"{_NETWORK}.interventions", f"{_NETWORK}.language"
    modules: dict[str, str | None] = {
        "deberta.embeddings.linear_video": f"{language}.project",
        **{f"deberta.{name}": f"{_LANGUAGE}.{name}" for name in ("embeddings.LayerNorm", "encoder.LayerNorm")},
        **{f"deberta.encoder.conv.{name}": f"{_LANGUAGE}.encoder.conv.{name}" for name in ("conv", "LayerNorm")},
        "lm_predictions.lm_head.dense": f"{language}.head.dense",
        "lm_predictions.lm_head.LayerNorm": f"{language}.head.norm",
        "lm_predictions.lm_head.decoder": None,
        "word_attn.0": f"{_NETWORK}.pool.score",
        "do.vis_norm": f"{_NETWORK}.norm",
        "do.lin_norm": None,
        **{f"grounding_module.{theirs}": f"{inside}.{ours}" for theirs, ours in _GROUNDING.items()},
        **{f"do._vis_do.do.{theirs}": f"{inside}.front_door.{ours}" for theirs, ours in _FRONT_DOOR.items()},
        **{f"do._lin_do.{theirs}": f"{inside}.back_door.{ours}" for theirs, ours in _BACK_DOOR.items()},
        **_post_norm("trans", layers),
    }
    for theirs, ours in (("fusion", "fuse_video"), ("fusion_lin", "fuse_text")):
        modules |= {f"{theirs}.0": f"{_NETWORK}.{ours}.norm", f"{theirs}.1": f"{_NETWORK}.{ours}.join"}
    for index in range(text_layers):
        theirs, ours = f"deberta.encoder.layer.{index}", f"{_LANGUAGE}.encoder.layer.{index}"
        projections = [f"{name}_proj" for name in ("query", "key", "value")]
        modules |= {f"{theirs}.attention.self.{name}": f"{ours}.attention.self.attention.{name}" for name in projections}
        modules[f"{theirs}.intermediate.dense"] = f"{ours}.intermediate.dense"
        for part in ("attention.output", "output"):
            modules |= {f"{theirs}.{part}.adapter.{name}": f"{ours}.{part}.dense.{name}" for name in ("down", "up")}
            modules[f"{theirs}.{part}.dense"] = f"{ours}.{part}.dense.dense"
            modules[f"{theirs}.{part}.LayerNorm"] = f"{ours}.{part}.LayerNorm"
    return modules, {
        "deberta.embeddings.word_embeddings.weight": f"{_LANGUAGE}.embeddings.word_embeddings.weight",
        "deberta.embeddings.position_embeddings.weight": f"{language}.positions.weight",
        "deberta.embeddings.position_ids": None,
        "deberta.encoder.rel_embeddings.weight": f"{_LANGUAGE}.encoder.rel_embeddings.weight",
        "lm_predictions.lm_head.bias": None,
        "answer_embeddings.weight": f"{language}.head.words",
        "answer_bias": f"{language}.head.bias",
        "grounding_module.gs_filter.sigma": f"{inside}.grounding.filter.sigma",
        "do._vis_do.visual_clusters": f"{inside}.front_door.dictionary",
        **_graph("do._lin_do", inside),
    }


def _graph(theirs: str, inside: str) -> dict[str, str | None]:
    return {
        f"{theirs}.node": f"{inside}.back_door.nodes",
        f"{theirs}.gcn.bias": f"{inside}.back_door.convolution.bias",
        f"{theirs}.gcn.lin.weight": f"{inside}.back_door.convolution.weight.weight",
    }


def _post_norm(at: str, layers: int) -> dict[str, str | None]:
    names = [(index, theirs, ours) for index in range(layers) for theirs, ours in _POST_NORM.items()]
    return {f"{at}.layer.{index}.{theirs}": f"{_NETWORK}.layers.{index}.{ours}" for index, theirs, ours in names}


def _count(pattern: str, state: Mapping[str, Any]) -> int:
    return 1 + max((int(match[1]) for key in state if (match := re.fullmatch(pattern, key))), default=-1)


def _sizes(kind: Kind, state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Fields of the Config that the shapes tell."""
    width, inner, places = {
        "tempclip": ("lang_model.linear_text", "decoder.layers.0.feed_forward.w_1", "video_model.position_embedding.pe"),
        "frozenbilm": ("do._vis_do.do.prob_x_hat", "trans.layer.0.ffn.lin1", None),
    }.get(kind, ("lang_model.linear_text", "mmt.layer.0.ffn.lin1", "position_v.position_embeddings.weight"))
    return {
        "variant": "cra" if kind in ("tempclip", "frozenbilm") else kind,
        "d_model": len(state[f"{width}.bias"]),
        "d_inner": len(state[f"{inner}.bias"]),
        "layers": _count(r"(?:decoder\.layers|mmt\.layer|trans\.layer)\.(\d+)\..*", state),
        **({} if places is None else {"max_frames": state[places].shape[-2]}),
    }


def _text_sizes(kind: Kind, state: Mapping[str, Tensor], given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sizes of the text encoder: all of them, and those that nothing told."""
    at = "deberta" if kind == "frozenbilm" else "lang_model.bert.bert"
    words, positions = (state[f"{at}.embeddings.{name}_embeddings.weight"] for name in ("word", "position"))
    told: dict[str, Any] = {
        "vocab_size": words.shape[0],
        "hidden_size": words.shape[1],
        "num_hidden_layers": _count(r".*\.encoder\.layer\.(\d+)\..*", state),
        "intermediate_size": len(state[f"{at}.encoder.layer.0.intermediate.dense.bias"]),
        "max_position_embeddings": positions.shape[0],
    }
    guessed: dict[str, Any] = {"num_attention_heads": max(words.shape[1] // _HEAD_WIDTH, 1), **_TEXT_DROPOUT}
    if kind == "frozenbilm":
        narrow = [len(state[f"deberta.encoder.layer.0.{part}.adapter.down.bias"]) for part in ("attention.output", "output")]
        told |= {
            "position_buckets": len(state["deberta.encoder.rel_embeddings.weight"]) // 2,
            "conv_kernel_size": state["deberta.encoder.conv.conv.weight"].shape[-1],
            **dict(zip(("adapter_attention", "adapter_feed_forward"), (words.shape[1] // one for one in narrow), strict=True)),
        }
        guessed |= {"layer_norm_eps": 1e-7, "pad_token_id": 0, "adapter_dropout": 0.1, "mask_token_id": 128000}
        guessed["yes_no_token_ids"] = [_row_of(row, words) for row in state["answer_embeddings.weight"]]
    else:
        told["type_vocab_size"] = len(state[f"{at}.embeddings.token_type_embeddings.weight"])
        guessed |= {"layer_norm_eps": 1e-5, "pad_token_id": 1}
    own = dict(given) if isinstance(given, Mapping) else {}
    return {**guessed, **own, **told}, {f"text.{name}": value for name, value in guessed.items() if name not in own}


def _row_of(vector: Tensor, rows: Tensor) -> int:
    """The row of `rows` that is `vector`, the first among equals; 0 where there is none."""
    return int((rows == vector).all(dim=1).int().argmax())
