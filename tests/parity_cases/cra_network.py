"""CRA on TempCLIP and the TempCLIP baselines: whole passes, losses and gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.backbones.answers import AnswerPass
from models.backbones.tempclip import Roberta
from models.batch import GroundedQuestions
from models.layers.grounding_head import best_window
from models.methods.cra import RELEASED_STEPS, WINDOWS, Config, Draws, Model
from models.reference_keys import cra as keys
from tests.parity import Case, Comparison

FLOATS, RELATIVE = 5e-5, 1e-5  # allowed everywhere, and as a share of the largest magnitude
GRADIENTS, NO_GRADIENT = 1e-3, 1e-4  # relative; absolute where a gradient is zero in theory
# Zero in theory: key biases before a softmax, what is added to all scores of a softmax, the question under the released gate.
IDLE = (
    ".key.bias",
    ".k_lin.bias",
    ".linears.1.bias",
    "word_attn.0.bias",
    "grounding.3.bias",
    "frame.2.bias",
    "frame_gs.2.bias",
    "qa_proj.",
)
IDLE_POSTHOC = ("linear_text.bias", "output.LayerNorm.bias")  # of the last layer
ROBERTA = Roberta.__dataclass_fields__.keys()


def config_of(case: Case, kind: keys.Kind, **own: Any) -> Config:
    """The released Config of a case, without dropout."""
    sizes = case.config
    variant = "cra" if kind == "tempclip" else kind
    return Config(
        **{
            "numerics": "released",
            "variant": variant,
            "text": Roberta(**{name: sizes["roberta"][name] for name in ROBERTA}),
            "d_model": sizes["D"],
            "heads": sizes["heads"],
            "layers": sizes["dec_layers" if variant == "cra" else "mmt_layers"],
            "max_frames": sizes["max_feats"],
            "dropout_video": 0.0,
            "dropout": 0.0,
            "front_door": variant == "cra",
            "smoothing": True,
            "span_threshold": 0.5,
            "vq_weight": 1.0,
            "align_weight": 0.5,
            "temperature": sizes.get("temperature", 0.07),
            "negatives": sizes.get("negatives_per_sample", 32),
            "gauss_sigma": sizes.get("sigma", 9.0),
            "gauss_gamma": sizes.get("gamma", 1.0),
        }
        | own
    )


def load(case: Case, **own: Any) -> tuple[Model, dict[str, str | None]]:
    """The model with the case's weights, and the key table."""
    table = keys.table_of(case.weights)
    found = keys.convert(case.weights, {})
    config = config_of(case, keys.kind_of(case.weights), d_inner=found.model["d_inner"], **own)  # not every case states it
    model = Model(
        config, widths=found.widths, confounders={side: torch.zeros(shape) for side, shape in found.confounders.items()}
    )
    weights = {name: value for name, value in found.weights.items() if config.front_door or not _front(name)}
    model.load_state_dict(weights)
    model.network.text.once = False  # its insides are compared candidate by candidate
    return model, table


def _front(name: str) -> bool:
    return ".front_door." in name or ".norm_video." in name


def questions(case: Case, pad: int, *, training: bool, rows: slice = slice(None)) -> GroundedQuestions:
    """The batch of a case; every token that is not padding counts."""
    given = {name: torch.as_tensor(value)[rows] for name, value in case.inputs.items()}
    video = given["video"]
    mask = given["video_mask"].bool() if "video_mask" in given else torch.ones(video.shape[:2], dtype=torch.bool)
    batch = GroundedQuestions(
        video=video,
        video_mask=mask,
        duration=torch.ones(len(video)),
        answers=given["answer_tokens"],
        answers_mask=given["answer_tokens"] != pad,
    )
    if not training:
        return batch
    return replace(
        batch,
        answer_id=given["answer_id"],
        questions=given["question_tokens"],
        questions_mask=given["question_tokens"] != pad,
        question_id=given["question_id"],
    )


def near(check: Comparison, name: str, ours: Any, *, where: Any = None) -> None:
    """Within the tolerance of the case's page."""
    check.close(name, ours, FLOATS + RELATIVE * float(np.abs(check.expected[name]).max(initial=0.0)), where=where)


def each(check: Comparison, found: Mapping[str, Tensor]) -> None:
    """Compare what the case has of `found`."""
    for name, value in found.items():
        if name in check.expected:
            near(check, name, value)


class Taps:
    """Results of modules by name, every call in a list, as a pass runs."""

    def __init__(self, places: Mapping[str, nn.Module | None]) -> None:
        self.seen: dict[str, list[Any]] = {name: [] for name in places}
        for name, module in places.items():
            if module is not None:
                module.register_forward_hook(lambda _module, _inputs, result, name=name: self._note(name, result))

    def _note(self, name: str, result: Any) -> None:  # a hook that returns something would replace what it looks at
        self.seen[name].append(result)

    def first(self, name: str) -> Any:
        """The result of the first call."""
        return self.seen[name][0]


def taps(model: Model) -> Taps:
    """The intermediate results of CRA on TempCLIP that cases store."""
    net: Any = model.network
    inside = net.interventions
    places = {
        "bert": net.text.encoder,
        "pool": net.text.pool,
        "text": net.text,
        "video_f": net.video,
        "dec_layer0": net.layers[0],
    }
    places |= {"x_bar": net.norm, "grounding": inside.grounding, "project": net.project, "front_door": inside.front_door}
    return Taps(places)


def spans(key: Tensor, prefix: str = "") -> dict[str, Tensor]:
    """The released span of frame weights (B, T), in the forms that cases store."""
    window = best_window(key, WINDOWS)
    ends = window / RELEASED_STEPS
    exact = {"max_indices": window, "start": ends[:, 0], "end": ends[:, 1], "frame_mask": window_frames(window, key.shape[1])}
    return {prefix + name: value for name, value in exact.items()}


def window_frames(window: Tensor, length: int) -> Tensor:
    """window (B, 2) -> (B, length) bool: the frames from start to end, both included."""
    place = torch.arange(length)
    return (place >= window[:, :1]) & (place <= window[:, 1:])


def evaluate(case: Case, check: Comparison) -> None:
    """One pass without labels, and everything on the way."""
    model, _ = load(case, front_door="do=false" not in case.config["mode"].replace(" ", ""))
    batch = questions(case, model.config.text.pad_token_id, training=False)
    seen = taps(model)
    with torch.no_grad():
        said = model.eval()(batch).vqa
    text, weights = seen.first("text"), seen.first("grounding")
    m_in = seen.first("project")
    found = {
        "bert_hidden": seen.first("bert").last_hidden_state,
        "word_attn": seen.first("pool")[1][..., None],
        "answer_g": text,
        "answer_proj": text,
        "video_f": seen.first("video_f"),
        "dec_layer0": seen.first("dec_layer0"),
        "x_bar": seen.first("x_bar"),
        "v_proj": weights.frames,
        "qa_proj": weights.query,
        "ori_key": weights.scores,
        "key": weights.weights,
        "fatt": said.weights[:, 0],
        "qsn_g": text.amax(dim=1),
        "m_in": m_in,
        "video_proj": said.video[:, 0],
        "grounding_feature": said.video[:, 0],
        "logits": said.scores,
    }
    if model.config.front_door:
        found |= {"frontdoor_out": seen.first("front_door"), "x_star": seen.seen["project"][1]}
    each(check, found)
    for name, value in spans(said.weights[:, 0]).items():
        if name in check.expected:
            check.close(name, value, 1e-6 if value.is_floating_point() else 0.0)
    if "start" in check.expected:
        assert said.span is not None
        check.close("decoded span", said.span[:, 0, 0], 1e-6, expected=check.expected["start"])


def batch_dependence(case: Case, check: Comparison) -> None:
    """All samples at once, and one by one."""
    model, _ = load(case)
    pad = model.config.text.pad_token_id
    model.eval()
    count = len(case.inputs["video"])
    with torch.no_grad():
        together = model(questions(case, pad, training=False)).vqa
        alone = [model(questions(case, pad, training=False, rows=slice(i, i + 1))).vqa for i in range(count)]
    for name, said in (("batch", together), ("single", _stacked(alone))):
        found = {
            "video_proj": said.video[:, 0],
            "grounding_feature": said.video[:, 0],
            "key": said.text,
            "answer_proj": said.text,
        }
        found |= {"fatt": said.weights[:, 0], "logits": said.scores}  # what is called the key holds the vectors of the candidates
        each(check, {f"{output}_{name}": value for output, value in found.items()})


def _stacked(passes: list[AnswerPass]) -> AnswerPass:
    fields = {
        name: torch.cat([getattr(said, name) for said in passes]) for name in ("scores", "weights", "span", "text", "video")
    }
    return AnswerPass(**fields)


def train(case: Case, check: Comparison) -> None:
    """Losses of both passes with the recorded negatives, and gradient norms."""
    model, table = load(case)
    batch = questions(case, model.config.text.pad_token_id, training=True)
    model.train()
    negatives = {name: torch.as_tensor(case.inputs[f"neg_idx_{name}"]) for name in ("vqa", "vq")}
    output = model(batch, Draws(**negatives))
    assert output.vq is not None
    assert batch.answer_id is not None
    assert batch.question_id is not None
    row = torch.arange(len(batch))
    for name, said, label in (("vqa", output.vqa, batch.answer_id), ("vq", output.vq, batch.question_id)):
        key = said.weights[:, 0]
        each(
            check,
            {
                f"{name}_logits": said.scores,
                f"{name}_key": key,
                f"{name}_grounding_feature": said.video[:, 0],
                f"{name}_align_gt": said.text[row, label],
                f"{name}_qsn_g": said.text.amax(dim=1) if name == "vqa" else said.text[row, label],
            },
        )
        check.exact(f"{name}_max_indices", spans(key)["max_indices"])
    losses = model.losses(output, batch)
    ag = losses["align_vq"] + losses["align_vqa"]
    each(check, {"vq_loss": losses["vq"], "vqa_loss": losses["vqa"], "ag_loss": ag, "total_loss": losses["total"]})
    each(check, {name: losses[name] for name in ("align_vq", "align_vqa")})
    gradients(model, losses["total"], table, case, check)


def gradients(model: Model, total: Tensor, table: Mapping[str, str | None], case: Case, check: Comparison, *idle: str) -> None:
    """Norms of all gradients, and which parameters have none."""
    total.backward()  # type: ignore[no-untyped-call]
    names = {ours: theirs for theirs, ours in table.items() if ours is not None}
    parameters = dict(model.named_parameters())
    norms = {names[name]: p.grad.norm() for name, p in parameters.items() if p.grad is not None}
    without = {names[name] for name, p in parameters.items() if p.grad is None}
    stated = set(case.config["no_grad_keys"]) | set(case.config.get("frozen_keys", ()))
    check.equal("no_grad_keys", without, {name for name in stated if table[name] in parameters})
    for name, norm in norms.items():
        expected = float(check.expected[f"grad_norm/{name}"])
        zero = any(part in name for part in (*IDLE, *idle))
        check.close(f"grad_norm/{name}", norm, NO_GRADIENT if zero else GRADIENTS * abs(expected) + 1e-9)


def baseline(case: Case, check: Comparison) -> None:
    """Post-hoc and NG+: evaluation, then losses and gradients."""
    model, table = load(case)
    net: Any = model.network
    seen = Taps({"text": net.text, "norm": net.video.norm, "video": net.video, "asked": net.asked_pool, "gauss": net.gauss})
    batch = questions(case, model.config.text.pad_token_id, training=True)
    with torch.no_grad():
        said = model.eval()(replace(batch, questions=None)).vqa
    found = {
        "answer_g": seen.first("text"),
        "video_f": seen.first("norm"),
        "video_fp": seen.first("video"),
        "fusion_proj": said.video[:, 0],
        "fatt": said.weights[:, 0, :, None],
        "logits": said.scores,
    }
    if model.config.variant == "ngplus":
        center, width = seen.first("gauss").sigmoid().unbind(dim=-1)
        found |= {"query_frame_attn": seen.first("asked")[1][..., None], "gcenter": center, "gwidth": width}
        found |= {"gweight": net.emphasis(center, width, batch.video_mask), "span": said.span[:, 0]}
    each(check, found)
    model.train()
    output = model(batch)
    losses = model.losses(output, batch)
    each(check, {"vqa_loss": losses["vqa"], "total_loss": losses["total"]})
    if output.vq is not None:
        each(check, {"vq_loss": losses["vq"], "vq_logits": output.vq.scores})
    last = case.config["roberta"]["num_hidden_layers"] - 1
    idle = () if model.config.variant == "ngplus" else (IDLE_POSTHOC[0], f"layer.{last}.{IDLE_POSTHOC[1]}")
    gradients(model, losses["total"], table, case, check, *idle)
