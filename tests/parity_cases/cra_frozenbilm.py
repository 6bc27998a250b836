"""CRA on FrozenBiLM: one candidate with everything on the way; a training step with the recorded negatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models.backbones.frozenbilm import ADDED, FIXED, Deberta
from models.batch import GroundedQuestions
from models.methods.cra import Config, Draws, Model
from models.reference_keys import cra as keys
from tests.parity import Case, Comparison
from tests.parity_cases.cra_network import Taps, each, gradients, near, questions

LIBRARY = Deberta.__dataclass_fields__.keys() - ADDED


def load(case: Case) -> tuple[Model, dict[str, str | None]]:
    """The model with the case's weights, and the key table."""
    sizes = case.config
    if different := {
        name: sizes["deberta"][name] for name, value in FIXED.items() if _plain(sizes["deberta"][name]) != _plain(value)
    }:
        raise ValueError(f"no DeBERTa-v2 as published: {different}")
    text = Deberta(
        **{name: sizes["deberta"][name] for name in LIBRARY},
        adapter_attention=sizes["ds_factor_attn"],
        adapter_feed_forward=sizes["ds_factor_ff"],
        adapter_dropout=0.0,
        mask_token_id=sizes["mask_token_id"],
        yes_no_token_ids=tuple(sizes["yes_no_token_ids"]),
    )
    config = Config(
        numerics="released",
        variant="cra",
        text=text,
        d_model=sizes["D"],
        heads=sizes["trans"]["heads"],
        layers=sizes["trans"]["layers"],
        d_inner=sizes["trans"]["ff"],
        max_frames=sizes["max_feats"],
        dropout_video=0.0,
        dropout=0.0,
        front_door=True,
        smoothing=True,
        span_threshold=0.5,
        vq_weight=1.0,
        align_weight=0.5,
        temperature=sizes.get("temperature", 0.07),
        negatives=sizes.get("negatives_per_sample"),
    )
    found = keys.convert(case.weights, {"text": {"yes_no_token_ids": sizes["yes_no_token_ids"]}})
    model = Model(
        config, widths=found.widths, confounders={side: torch.zeros(shape) for side, shape in found.confounders.items()}
    )
    model.load_state_dict(found.weights)
    return model, keys.table_of(case.weights)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def evaluate(case: Case, check: Comparison) -> None:
    """One candidate of each question."""
    model, _ = load(case)
    model.eval()
    net: Any = model.network
    encoder = net.language.deberta.encoder
    previous = encoder.conv if len(encoder.layer) == 2 else encoder.layer[-2]  # the convolution is the end of the first layer
    seen = Taps(
        {"embed": net.language.deberta.embeddings, "previous": previous, "last": encoder.layer[-1], "trans": net.layers[-1]}
    )
    inside = Taps(
        {
            "pool": net.pool,
            "grounding": net.interventions.grounding,
            "front_door": net.interventions.front_door,
            "video": net.fuse_video,
        }
    )
    given = {name: torch.as_tensor(value) for name, value in case.inputs.items()}
    ids, real, frames = given["input_ids"], given["attention_mask"].bool(), given["video"].shape[1]
    check.equal("video_mask", bool(given["video_mask"].bool().all()), True)
    with torch.no_grad():
        reading = net.language(given["video"], ids, real, attention=True)
        last = seen.first("last")[0]
        read, key, moment, states = net.revised(reading, real, frames)
        logits = net.language.head(states)
        batch = GroundedQuestions(
            video=given["video"],
            video_mask=given["video_mask"].bool(),
            duration=torch.ones(len(ids)),
            answers=ids[:, None],
            answers_mask=real[:, None],
        )
        shipped = model(batch).vqa
    words = ~reading.at_mask[:, frames:]
    weights = inside.first("pool")[1]
    each(
        check,
        {
            "word_attn": weights[words].reshape(len(ids), -1, 1),
            "x_dot": read,
            "ori_key": inside.first("grounding").scores,
            "key": key,
            "trans": seen.first("trans"),
            "x_star": inside.seen["video"][1],
            "x_bar": moment,
            "prob_x": inside.first("front_door"),
            "new_hidden": states,
            "last_hidden": reading.hidden,
            "logits": logits,
            "mask_logits": logits[reading.at_mask],
            "posthoc_att": reading.attention,
            "encoder_embed": seen.first("embed"),
            "encoder_prev": seen.first("previous") if len(encoder.layer) == 2 else seen.first("previous")[0],
            "encoder_last": last,
            "p_yes": shipped.scores[:, 0].sigmoid(),
            "start": shipped.span[:, 0, 0],
            "end": shipped.span[:, 0, 1],
        },
    )


def train(case: Case, check: Comparison) -> None:
    """Both passes, their losses and the gradients of what learns."""
    model, table = load(case)
    model.train()
    batch = questions(case, case.config["pad_token_id"], training=True)
    draws = Draws(**{name: torch.as_tensor(case.inputs[f"neg_idx_{name}"]) for name in ("vqa", "vq")})
    output = model(batch, draws)
    assert output.vq is not None
    losses = model.losses(output, batch)
    for name, said, label in (("vqa", output.vqa, batch.answer_id), ("vq", output.vq, batch.question_id)):
        assert label is not None
        probability = said.scores.sigmoid()
        each(check, {f"{name}_vfeat": said.video, f"{name}_wfeat": said.text, f"{name}_p_yes": probability})
        right = torch.nn.functional.one_hot(label, said.scores.shape[1]).bool()
        each(
            check,
            {f"{name}_bce_pos": -probability[right].log().mean(), f"{name}_bce_neg": -(1 - probability[~right]).log().mean()},
        )
        near(check, f"align_{name}", losses[f"align_{name}"])
        expected = (check.expected[f"{name}_bce_pos"] + check.expected[f"{name}_bce_neg"]) / 2
        check.close(f"{name} loss", losses[name], 1e-5, expected=np.asarray(expected))
    near(check, "total_loss", losses["total"])
    gradients(model, losses["total"], table, case, check)
