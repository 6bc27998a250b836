"""Parity of TranSTR under `released` numerics: a training pass with its gradients, evaluation hard or soft."""

from __future__ import annotations

import torch
from torch import Tensor

from models.batch import Questions
from models.layers.topk import best_pairs
from models.methods.transtr import Config, Draws, Model, Recorded
from models.reference_keys import transtr as keys
from tests.parity import Case, Comparison
from tests.parity_cases.igv import gradients

VALUES = 2e-5
GRADIENTS, FLOOR = 1e-4, 1e-6  # relative, absolute
OPEN_ENDED = ("msvd", "msrvtt")


def compare(case: Case, check: Comparison) -> None:
    """Compare every output of the case."""
    model, table = load(case)
    batch = questions(case)
    draws = Draws(frames=_stored(case, "frame_noise"), objects=_stored(case, "obj_noise"))
    output = model.train()(batch, draws)
    check.close("train_logits", output.logits, VALUES)
    check.close("train_frame_att", output.frame_attention, VALUES)
    check.close("train_frame_select", output.by_frame.weights.mT, VALUES)
    check.close("train_obj_att", output.object_attention, VALUES)
    check.close("train_obj_select", output.by_object.weights.mT, VALUES)
    check.close("train_mem", output.memory, VALUES)
    loss = model.losses(output, batch)["total"]
    check.close("loss_total", loss, VALUES)
    loss.backward()
    gradients(model, table, check, tolerance=GRADIENTS, floor=FLOOR)
    with torch.no_grad():
        model.eval()
        if "evalsoft_logits" in check.expected:
            check.close("evalsoft_logits", model(batch, draws).logits, VALUES)
        if "eval_logits" in check.expected:
            _hard(model, batch, check)


def load(case: Case) -> tuple[Model, dict[str, str]]:
    """The model with the case's weights, without dropout, and the key table."""
    config, objects = case.config, case.inputs["obj_feat"].shape
    given = {
        "frames": objects[1],
        "objects": objects[2],
        "k_frames": config["frame_topK_effective"],
        "k_objects": config["obj_topK_effective"],
        "heads": config["nheads"],
        "activation": config["activation"],
        "dropout": 0.0,
        "samples": config["num_samples"],
        "sigma": config["sigma"],
        "answers": config["num_answers"] - 1 if config["variant"] in OPEN_ENDED else None,
        "layers": config["num_encoder_layers"],
        "d_inner": config["dim_feedforward"],
    }
    found = keys.convert(case.weights, given)
    model = Model(Config(**found.model), widths=found.widths, confounders={})
    model.load_state_dict(found.weights)
    return model, keys.key_table(layers=keys.layers_of(case.weights))


def questions(case: Case) -> Questions:
    """The batch; the reference's candidates are candidate-major rows."""
    video, objects = _stored(case, "frame_feat"), _stored(case, "obj_feat")
    candidates = None
    if case.config["variant"] not in OPEN_ENDED:
        candidates = _stored(case, "ans_feat").unflatten(0, (-1, len(video))).transpose(0, 1)  # (B, M, L', D)
    return Questions(
        video=video,
        video_mask=torch.ones(video.shape[:2], dtype=torch.bool),
        answer=torch.from_numpy(case.inputs["answers"]).long(),
        question=_stored(case, "qns_feat"),
        question_mask=torch.from_numpy(case.inputs["qns_mask"]).bool(),
        candidates=candidates,
        objects=objects,
    )


def _stored(case: Case, name: str) -> Tensor:
    return torch.from_numpy(case.inputs[name]).float()


def _hard(model: Model, batch: Questions, check: Comparison) -> None:
    """With the recorded choices in their recorded order; our own choices; and the recorded ones in order of time."""
    recorded = Recorded(
        frames=torch.from_numpy(check.expected["eval_frame_topk_flat_index"]).long(),
        objects=torch.from_numpy(check.expected["eval_obj_topk_flat_index"]).long(),
    )
    output = model(batch, recorded)
    check.close("eval_logits", output.logits, VALUES)
    check.close("eval_frame_local", output.frames, VALUES)
    check.close("eval_frame_att", output.frame_attention, VALUES)
    check.close("eval_obj_att", output.object_attention, VALUES)
    check.close("eval_fo", output.joined, VALUES)
    check.close("eval_mem", output.memory, VALUES)
    check.close("eval_ans", output.queries, VALUES)
    for name, attention, theirs in (
        ("frame", output.frame_attention, recorded.frames),
        ("obj", output.object_attention, recorded.objects),
    ):
        ours = best_pairs(attention, None, theirs.shape[1], ascending=True)
        check.exact(f"eval_{name}_topk_flat_index", ours, expected=theirs.sort(dim=1).values.numpy())
    check.close("eval_logits_sorted_selection", _ascending(model)(batch).logits, VALUES)


def _ascending(model: Model) -> Model:
    """The same network, but choices in ascending order: the corrected rule."""
    changed = {**vars(model.config.deviates), "unsorted_selection": False}
    config = Config(**{**vars(model.config), "deviations": type(model.config.deviates)(**changed)})
    other = Model(config, widths=model.widths, confounders={})
    other.load_state_dict(model.state_dict())
    return other.eval()
