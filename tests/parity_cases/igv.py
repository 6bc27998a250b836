"""Parity of IGV under `released` numerics: a training pass with its gradients, the same in evaluation; Block fusion alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from models.backbones.hga import Hga
from models.batch import Questions
from models.causal.invariant import ClipBank
from models.layers.bilinear import BlockFusion, chunk_sizes
from models.layers.masks import prefix_mask
from models.methods.igv import Config, Draws, Model, Output
from models.reference_keys import hga
from models.reference_keys import igv as keys
from tests.parity import Case, Comparison

VALUES = 2e-5
GRADIENTS = 1e-3  # relative, beside 1e-6: rounding in the signed root
FLOOR = 1e-6


def compare(case: Case, check: Comparison) -> None:
    """Compare every output of the case: a whole network, or a Block fusion where config.json has a `module`."""
    if "module" in case.config:
        fusion(case, check)
    else:
        whole(case, check)


def whole(case: Case, check: Comparison) -> None:
    """The network, in training and in evaluation, with the stored noise and the stored foreign clips."""
    model, table = load(case)
    bank = torch.from_numpy(case.inputs["memory_bank"])
    model.bank = ClipBank(bank.flatten(end_dim=1).float(), torch.arange(len(bank) + 1) * bank.shape[1])
    batch = questions(case)
    draws = Draws(gumbel=torch.from_numpy(case.inputs["gumbel_noise"]), foreign=torch.from_numpy(case.inputs["bank_flat_index"]))
    output = model.train()(batch, draws)
    _sequences(output, check)
    branches = {"f": output.causal, "b": output.environment, "m": output.intervened}
    for name, branch in branches.items():
        assert branch is not None
        check.close(f"out_{name}", branch.logits, VALUES)
    losses = model.losses(output, batch)
    for theirs, ours in {"loss_ce": "ce", "loss_kl_mixed": "kl_do", "loss_kl_env": "kl_env", "loss_total": "total"}.items():
        check.close(theirs, losses[ours], VALUES)
    losses["total"].backward()
    gradients(model, table, check)
    with torch.no_grad():
        output = model.eval()(batch, draws)
    for name, branch in {"f": output.causal, "b": output.environment, "m": output.intervened}.items():
        assert branch is not None
        check.close(f"eval_out_{name}", branch.logits, VALUES)


def load(case: Case) -> tuple[Model, dict[str, str]]:
    """The model with the case's weights, without dropout, and the key table."""
    config = case.config
    given = {"tau": config["tau"], "w_do": config["alpha"], "w_env": config["beta"], "backbone": {"dropout": 0.0}}
    found = keys.convert(case.weights, given)
    stated = {"answers": config["vocab_num"], "hidden": config["hidden_dim"], "graph_layers": config["gcn_layers"] + 1}
    told = {**found.model, **found.model["backbone"]}
    if any(told[name] != value for name, value in stated.items()):
        raise ValueError(f"{case.folder}: config.json and weights disagree: {stated}, {told}")
    model = Model(Config(**{**found.model, "backbone": Hga(**found.model["backbone"])}), widths=found.widths, confounders={})
    model.load_state_dict(found.weights)
    return model, keys.key_table(**hga.counts(case.weights))


def questions(case: Case) -> Questions:
    """The batch; lengths are those that the case states."""
    video, words = (torch.from_numpy(case.inputs[name]).float() for name in ("vid_feats", "qns"))
    return Questions(
        video=video,
        video_mask=torch.ones(video.shape[:2], dtype=torch.bool),
        answer=torch.from_numpy(case.inputs["answers"]).long(),
        video_index=torch.from_numpy(case.inputs["vid_idx"]).long(),
        question=words,
        question_mask=prefix_mask(torch.from_numpy(case.inputs["qns_lengths"]), words.shape[1]),
    )


def _sequences(output: Output, check: Comparison) -> None:
    """What was encoded: the reference cuts sequences to the longest of the batch, ours keep their padding."""
    longest = int(output.question.mask.sum(dim=1).max())
    check.close("q_local", output.question.rows[:, :longest], VALUES)
    check.close("q_global", output.question.summary, VALUES)
    check.close("fg_score", output.split.causal_score, VALUES)
    check.close("bg_score", output.split.environment_score, VALUES)
    check.close("fg_mask_sampled", output.split.causal, VALUES)
    check.close("bg_mask_sampled", output.split.environment, VALUES)
    for name, length, branch in (("f", "fg_len", output.causal), ("b", "bg_len", output.environment)):
        assert branch is not None
        count = branch.video.mask.sum(dim=1)
        check.exact(length, count.float())
        check.close(f"v_local_{name}", branch.video.rows[:, : int(count.max())], VALUES)
        check.close(f"v_global_{name}", branch.video.summary, VALUES)
    assert output.intervened is not None
    check.close("v_local_m", output.intervened.video.rows, VALUES)
    check.close("v_global_m", output.intervened.video.summary, VALUES)


def gradients(
    model: nn.Module,
    table: Mapping[str, str],
    check: Comparison,
    *,
    prefix: str = "grad.",
    tolerance: float = GRADIENTS,
    floor: float = FLOOR,
) -> None:
    """The norm of every parameter's gradient; no parameter may be left over on either side."""
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    check.equal(f"parameters of {prefix}", set(table.values()), set(parameters))
    for theirs, ours in table.items():
        gradient = parameters[ours].grad
        expected = np.asarray(check.expected[f"{prefix}{theirs}"])
        check.close(
            f"{prefix}{theirs}", torch.zeros(()) if gradient is None else gradient.norm(), floor + tolerance * np.abs(expected)
        )


def fusion(case: Case, check: Comparison) -> None:
    """Block fusion alone."""
    config = case.config
    check.equal("sizes", chunk_sizes(config["mm_dim"], config["chunks"]), config["sizes"])
    first, second = config["input_dims"]
    block = BlockFusion(
        d_first=first,
        d_second=second,
        d_out=config["output_dim"],
        d_inner=config["mm_dim"],
        chunks=config["chunks"],
        rank=config["rank"],
        dropout=0.0,
    )
    table = hga.fusion_table(config["chunks"])
    block.load_state_dict(keys.to_ours(case.weights, table))
    out = block(*(torch.from_numpy(case.inputs[name]).float() for name in ("x0", "x1")))
    check.close("out", out, VALUES)
    loss = out.square().sum()
    check.close("loss_total", loss, VALUES)
    loss.backward()
    gradients(block, table, check)
