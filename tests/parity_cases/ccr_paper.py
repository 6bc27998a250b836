"""CCR as the paper writes it, equations 5 to 16, on frames, grid and word mask of the released code."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models.layers.gaussian_proposals import hardness
from models.losses.reconstruction import divergence, smoothed_nll
from models.methods.ccr import Draws, Model
from tests.parity import Case, Comparison
from tests.parity_cases.cpl_network import LOGITS, LOSSES, NAMES, NEAR_ZERO, RELATIVE, description, model_of, whole_pass

AGGREGATIONS = {"x*sigmoid(y)": "product", "sigmoid(x+y)": "sum"}
RELEASED_MASKS = {"padded_grid": True, "end_class": True, "side_heads": False}


def equations(case: Case, check: Comparison) -> None:
    """Logits, losses per row, the terms of equation 15, and the gradient of mu."""
    config = case.config
    aggregation = AGGREGATIONS[config["choices"]["rho"]]
    model: Any = model_of(case, "corrected", deviations=RELEASED_MASKS, aggregation=aggregation)[0]
    batch, hidden = description(case.inputs)
    k = hardness(config["epoch"], config["max_epoch"], config["gamma"])
    done = whole_pass(model, batch, hidden, k)
    target, counted = batch.word_ids[:, None], done.scene.counted[:, None]
    psi = model.core.to_words(done.scene.sentence)[:, None]
    assumed = model.aggregate(model.mu, psi)
    check.close("psi", psi[:, 0], LOGITS)
    check.close("q_c", assumed[:, 0], LOGITS)
    for branch, theirs in NAMES.items():
        phi = done.logits[branch]
        total = model.aggregate(phi, psi)
        rectified, kl = smoothed_nll(total - assumed, target, counted), divergence(total, assumed, counted)
        cost = rectified + smoothed_nll(total, target, counted)
        for name, logits in (("phi", phi), ("q", total), ("rectified_logits", total - assumed)):
            check.close(f"{name}/{theirs}", logits.flatten(0, 1), LOGITS)
        for name, rows in (("ce_rectified", rectified), ("l_c", cost), ("kl", kl)):
            check.close(f"{name}/{theirs}", rows[:, 0] if branch == "whole" else rows, LOSSES)
    _terms(model, batch, Draws(hidden=hidden, hardness=torch.tensor(k)), check)


def _terms(model: Model, batch: Any, draws: Draws, check: Comparison) -> None:
    """What the shipped pass and its losses say."""
    output = model(batch, draws)
    losses = model.losses(output, batch)
    check.exact("positive_index", output.nll.argmin(dim=1))
    rank = losses["rank_whole"] + losses["rank_left"] + losses["rank_right"]
    check.close("loss/l_c", rank, LOSSES)
    check.close("loss/l_q", losses["query"], LOSSES)
    check.close("loss/l_div", losses["diversity"], LOSSES)
    check.close("loss/l_rec_optional", losses["reconstruction"], LOSSES)
    check.close("loss/total_eq15", rank + losses["query"] + losses["diversity"], LOSSES)
    check.close("loss/l_kl", losses["divergence"], LOSSES)
    losses["total"].backward()
    assert model.mu.grad is not None
    others = [parameter.grad for name, parameter in model.named_parameters() if name != "mu"]
    check.equal("(every other parameter has a gradient)", all(gradient is not None for gradient in others), True)
    expected = check.expected["grad/mu_from_l_kl"]
    # of the total: mu gets no other gradient
    check.close("grad/mu_from_l_kl", model.mu.grad, 1.0, relative_to=np.maximum(NEAR_ZERO, RELATIVE * np.abs(expected)))
