"""Parity of EIGV under `released` numerics: a training pass in single precision, its gradients in both, and evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from models.backbones.hga import Hga
from models.batch import Questions
from models.causal.invariant import ClipBank
from models.layers.masks import prefix_mask
from models.methods.eigv import Config, Draws, Model, Output
from models.reference_keys import eigv as keys
from models.reference_keys import hga
from tests.parity import Case, Comparison
from tests.parity_cases.igv import gradients

VALUES = 2e-5
GRADIENTS, FLOOR = 5e-2, 1e-6  # another order of summation alone moves single precision by percents: the signed root
GRADIENTS_64, FLOOR_64 = 1e-6, 1e-9


def compare(case: Case, check: Comparison) -> None:
    """Compare every output of the case."""
    model, table = load(case, torch.float32)
    batch = questions(case, torch.float32)
    output = model.train()(batch, stored_draws(case, torch.float32))
    losses = model.losses(output, batch)
    _forward(output, check)
    for theirs, ours in {"loss_xe": "xe", "loss_nce": "nce", "loss_total": "total"}.items():
        check.close(theirs, losses[ours], VALUES)
    losses["total"].backward()
    gradients(model, table, check, tolerance=GRADIENTS, floor=FLOOR)
    with torch.no_grad():
        check.close("out_eval", model.eval()(batch).scores, VALUES)

    double, _ = load(case, torch.float64)
    batch = questions(case, torch.float64)
    double.losses(double.train()(batch, stored_draws(case, torch.float64)), batch)["total"].backward()
    gradients(double, table, check, prefix="grad64.", tolerance=GRADIENTS_64, floor=FLOOR_64)


def load(case: Case, dtype: torch.dtype) -> tuple[Model, dict[str, str]]:
    """The model with the case's weights and bank, without dropout, and the key table."""
    config = case.config
    given = {
        "tau": config["tau_gumbel"],
        "tau_nce": config["tau_nce"],
        "w_nce": config["beta"],
        "negatives": config["neg"],
        "backbone": {"dropout": 0.0},
    }
    found = keys.convert(case.weights, given)
    stated = (2 * config["app_pool5_dim"], config["module_dim"], config["word_dim"])
    told = (found.widths["video"], found.model["backbone"]["hidden"], found.model["backbone"]["words"])
    if stated != told:
        raise ValueError(f"{case.folder}: config.json and weights disagree: {stated}, {told}")
    model = Model(Config(**{**found.model, "backbone": Hga(**found.model["backbone"])}), widths=found.widths, confounders={})
    model.load_state_dict(found.weights)
    bank = torch.from_numpy(case.inputs["memory_bank"])
    model.bank = ClipBank(bank.flatten(end_dim=1).to(dtype), torch.arange(len(bank) + 1) * bank.shape[1])
    return model.to(dtype), keys.key_table(**hga.counts(case.weights))


def questions(case: Case, dtype: torch.dtype) -> Questions:
    """The batch; lengths are those that the case states."""
    video, words = (torch.from_numpy(case.inputs[name]).to(dtype) for name in ("vid_feats", "qas"))
    length = torch.from_numpy(case.inputs["qas_lengths"])
    return Questions(
        video=video,
        video_mask=torch.ones(video.shape[:2], dtype=torch.bool),
        answer=torch.from_numpy(case.inputs["answers"]).long(),
        video_index=torch.from_numpy(case.inputs["vid_idx"]).long(),
        candidates=words,
        candidates_mask=prefix_mask(length.flatten(), words.shape[2]).unflatten(0, length.shape),
    )


def stored_draws(case: Case, dtype: torch.dtype) -> Draws:
    """The stored noise, indices and shares."""

    def stored(name: str) -> Tensor:
        return torch.from_numpy(case.inputs[name])

    return Draws(
        causal=torch.tensor(case.config["lam_1"], dtype=dtype),
        environment=torch.tensor(case.config["lam_2"], dtype=dtype),
        partner=stored("mix_index"),
        gumbel=stored("gumbel_noise_1").to(dtype),
        gumbel_mixed=stored("gumbel_noise_2").to(dtype),
        positive=stored("bank_flat_index_pos"),
        negative=stored("bank_flat_index_neg"),
        question=stored("question_perm") % len(stored("mix_index")),  # row copy * B + b has the question of sample b
    )


def _forward(output: Output, check: Comparison) -> None:
    mixture, views = output.mixture, output.views
    assert mixture is not None
    assert views is not None
    for place, split in (("1", output.split), ("2", views.split)):
        check.close(f"fg_score_{place}", split.causal_score, VALUES)
        check.close(f"bg_score_{place}", split.environment_score, VALUES)
        check.close(f"fg_mask_{place}", split.causal, VALUES)
    longest = int(mixture.question.counted.sum(dim=1).max())  # the reference cuts to the longest candidate of the batch
    check.close("q_local_gt_mixed", mixture.question.rows[:, :longest], VALUES)
    check.close("q_global_gt_mixed", mixture.question.summary, VALUES)
    check.close("v_local_mixed", mixture.video.rows, VALUES)
    check.close("v_global_mixed", mixture.video.summary, VALUES)
    check.close("out_train", output.scores, VALUES)
    check.close("target", mixture.target, VALUES)
    check.close("out_anchor", views.anchor, VALUES)
    check.close("out_pos", views.positive, VALUES)
    check.close("out_neg", views.negatives, VALUES)
