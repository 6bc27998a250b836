"""CPL and CCR under `released` numerics: one pass (outputs, losses, gradients), and steps of training."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.batch import Description
from models.layers.gaussian_proposals import Reading, hardness
from models.losses.reconstruction import smoothed_nll
from models.method import load_method
from models.methods import ccr, cpl
from models.reference_keys import ccr as ccr_keys
from models.reference_keys import cpl as cpl_keys
from stages.training.checkpoints import Identity
from stages.training.loop import NORM, Training
from stages.training.processes import Processes
from stages.training.settings import Recipe
from tests.parity import Case, Comparison

LOGITS = 1e-4
LOSSES = 2e-5
STEP_LOSSES = 1e-4
RELATIVE = 1e-3  # gradients and norms
NEAR_ZERO = 1e-4  # absolute, gradients
UPDATES = 1e-2  # relative
RATES = 1e-9
NAMES = {"positive": "pos", "whole": "ref", "left": "neg_1", "right": "neg_2"}  # our branches, theirs
LOGGED = {
    "reconstruction": "final_loss",
    "rank_whole": "ref_loss",
    "rank_left": "neg_loss_1",
    "rank_right": "neg_loss_2",
    "side_rank_whole": "cf_ref_loss",
    "side_rank_left": "cf_neg_loss_1",
    "side_rank_right": "cf_neg_loss_2",
    "diversity": "div_loss",
}


class Pass(NamedTuple):
    """Everything that one pass goes through, all negatives included."""

    reading: Reading
    scene: ccr.Scene
    weights: dict[str, Tensor | None]
    states: dict[str, Tensor]
    logits: dict[str, Tensor]


def model_of(case: Case, numerics: str = "released", **changes: Any) -> tuple[Any, dict[str, str | None]]:
    """The model with the case's weights, and the key table."""
    config, method = case.config, case.config["method"]
    loss = config.get("loss", {})
    known = {
        "heads": config["heads"],
        "dropout": 0.0,
        "sigma": float(config["sigma"]),
        "gamma": float(config["gamma"]),
        "epochs": config["max_epoch"],
        "margin_1": loss.get("margin_1", 0.0),
        "margin_2": loss.get("margin_2", 0.0),
        "diversity": loss.get("lambda", 0.0),
        "alpha_1": float(loss.get("alpha_1", 0.0)),
        "alpha_2": float(loss.get("alpha_2", 0.0)),
        "numerics": numerics,
    }
    keys: Any = {"cpl": cpl_keys, "ccr": ccr_keys}[method]
    found = keys.convert(case.weights, known | changes)
    module = load_method(method)
    settings = found.model
    if settings.get("deviations"):
        settings = settings | {"deviations": module.Deviations(**settings["deviations"])}
    model = module.Model(module.Config(**settings), widths=found.widths, confounders={})
    model.load_state_dict(found.weights)
    table = keys.key_table(video_layers=settings["video_layers"], word_layers=settings["word_layers"])
    return model, table


def description(inputs: Mapping[str, Any], prefix: str = "") -> tuple[Description, Tensor]:
    """The batch of a case and its hidden words. Their column 0 of the words is a placeholder, ours does not have it."""
    given = {
        name: torch.as_tensor(inputs[prefix + name])
        for name in ("frames_feat", "frames_len", "words_feat", "words_id", "weights", "words_len", "masked_words")
    }
    frames, length = given["frames_feat"], given["words_id"].shape[1]
    batch = Description(
        video=frames,
        video_mask=torch.arange(frames.shape[1]) < given["frames_len"][:, None],
        words=given["words_feat"][:, 1:],
        word_mask=torch.arange(length) < given["words_len"][:, None],
        word_ids=given["words_id"],
        hiding=given["weights"],
    )
    return batch, given["masked_words"][:, 1:].bool()


def whole_pass(model: Any, batch: Description, hidden: Tensor, k: float) -> Pass:
    """The pass of a model from its own parts, with every negative."""
    core = model.core
    reading = core.read(batch.video, batch.video_mask, batch.words, batch.word_mask)
    keys = torch.cat((torch.ones_like(batch.word_mask[:, :1]), batch.word_mask[:, :-1]), dim=1)
    scene = ccr.Scene(reading=reading, sentence=core.incomplete(reading, hidden), keys=keys, counted=keys)
    left, right = core.negatives(reading, k)
    weights = {"positive": core.gaussians(reading), "whole": None, "left": left, "right": right}
    states = {name: core.reconstruct(reading, scene.sentence, keys, chosen) for name, chosen in weights.items()}
    return Pass(reading, scene, weights, states, {name: core.to_words(rows) for name, rows in states.items()})


def one_pass(case: Case, check: Comparison) -> None:
    """Modes eval and train."""
    config = case.config
    model, table = model_of(case)
    batch, hidden = description(case.inputs)
    k = hardness(config["epoch"], config["max_epoch"], config["gamma"])
    train = config["mode"] == "train"
    model.train(train)
    seen = {} if train else _tapped(model)
    done = whole_pass(model, batch, hidden, k)
    _outputs(done, check)
    if not train:
        _inside(done, seen, model, check)
    if config["method"] == "ccr":
        _sides(model, done, batch, train, check)
    draws: Any = (ccr.Draws if config["method"] == "ccr" else cpl.Draws)(hidden=hidden, hardness=torch.tensor(k))
    if train:
        _losses(model, done, batch, draws, table, case, check)
    else:
        _shipped(model, done, batch, draws, check)


def _outputs(done: Pass, check: Comparison) -> None:
    check.close("center", done.reading.center.flatten(), LOGITS)
    check.close("width", done.reading.width.flatten(), LOGITS)
    check.exact("words_mask", done.scene.keys)
    for branch, name in (("positive", "gauss_weight"), ("left", "neg_weight_1"), ("right", "neg_weight_2")):
        weights = done.weights[branch]
        assert weights is not None
        check.close(name, weights.flatten(0, 1), LOGITS)
    for branch, theirs in NAMES.items():
        name = {"pos": "words_logit", "ref": "ref_words_logit"}.get(theirs, theirs.replace("neg_", "neg_words_logit_"))
        check.close(name, done.logits[branch].flatten(0, 1), LOGITS)


def _tapped(model: Any) -> dict[str, list[Any]]:
    """What goes through the video decoder and into the last attention over it, in the order of the calls."""
    seen: dict[str, list[Any]] = {"video": [], "cross": []}
    core = model.core
    core.video_decoder.register_forward_hook(lambda _module, _inputs, result: seen["video"].append(result))

    def note(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen["cross"].append((inputs, named))

    core.word_decoder.layers[-1].cross.register_forward_pre_hook(note, with_kwargs=True)
    return seen


def _inside(done: Pass, seen: dict[str, list[Any]], model: Any, check: Comparison) -> None:
    check.close("dec1_words_enc", done.reading.memory, LOGITS)
    check.close("dec1_frames_out", done.reading.states, LOGITS)
    check.close("pos_video_enc", seen["video"][1], LOGITS)  # the first is that of the proposals
    for branch, name in (("positive", "pos"), ("left", "neg1"), ("right", "neg2"), ("whole", "ref")):
        check.close(f"{name}_words_out", done.states[branch].flatten(0, 1), LOGITS)
    attention = model.core.word_decoder.layers[-1].cross
    (x, memory), named = seen["cross"][0]
    q, k, _, allowed = attention.project(x, memory, named["allowed"], named["seen"])
    weights = attention.weights(q, k, allowed, named["log_weight"])  # (R, 1, H, L, T)
    check.close("pos_cross_attn_last_layer", weights.mean(dim=2)[:, 0], LOGITS)


def _sides(model: ccr.Model, done: Pass, batch: Description, train: bool, check: Comparison) -> None:
    for branch, theirs in NAMES.items():
        side = model.side(done.scene, branch, done.logits[branch], batch.word_ids)
        rows = done.logits[branch]
        for name, value in (
            ("logits_all", side.total),
            ("logits_cfvqa", side.difference),
            ("logits_tar", side.query),
            ("z_nde", side.assumed),
        ):
            check.close(f"cf_{theirs}/{name}", value.expand(rows.shape).flatten(0, 1), LOGITS)
        loss = {"pos": "cf_pos_loss", "ref": "cf_ref_loss"}.get(theirs, theirs.replace("neg_", "cf_neg_loss_"))
        check.close(loss, side.loss.flatten(), LOSSES)
        if train:
            check.close(f"cf_{theirs}/kl", side.kl, LOSSES)
            check.close(f"cf_{theirs}/nll_query_only", side.nll_query.expand(rows.shape[:2]).flatten(), LOSSES)
            check.close(f"cf_{theirs}/nll_aggregated", side.nll_total.flatten(), LOSSES)
        elif branch == "positive":
            check.close("words_logit_mode_test", side.difference.flatten(0, 1), LOGITS)


def _shipped(model: Any, done: Pass, batch: Description, draws: Any, check: Comparison) -> None:
    """What the methods themselves return agrees with the pass above, beyond what the case states."""
    output = model(batch, draws)
    nll = smoothed_nll(done.logits["positive"], batch.word_ids[:, None], done.scene.counted[:, None])
    check.close("(nll of the shipped pass)", output.nll, LOSSES, expected=nll.detach())
    check.close("(weights of the shipped pass)", output.weights, LOGITS, expected=done.weights["positive"].detach())  # type: ignore[union-attr]


def _losses(
    model: Any, done: Pass, batch: Description, draws: Any, table: Mapping[str, str | None], case: Case, check: Comparison
) -> None:
    target, counted = batch.word_ids[:, None], done.scene.counted[:, None]
    for branch, theirs in NAMES.items():
        nll = smoothed_nll(done.logits[branch], target, counted)
        check.close(f"nll/{theirs}", nll[:, 0] if branch == "whole" else nll, LOSSES)
        right = (done.logits[branch].argmax(dim=-1) == target) & counted
        check.close(f"acc/{theirs}", right.sum() / counted.expand_as(right).sum(), LOSSES)
    output = model(batch, draws)
    losses = model.losses(output, batch)
    for ours, name in LOGGED.items():
        if ours in losses:
            check.close(f"loss_dict/{name}", losses[ours], LOSSES)
    ivc = losses["total"] - losses["reconstruction"]
    check.close("loss/rec", losses["reconstruction"], LOSSES)
    check.close("loss/ivc", ivc, LOSSES)
    check.close("loss/total", losses["total"], LOSSES)
    check.close("loss_dict/ivc_loss", ivc, LOSSES)
    check.close("loss_dict/nll_loss", output.nll.amin(dim=1).mean(), LOSSES)
    whole = smoothed_nll(done.logits["whole"], target, counted)[:, 0]
    check.close("loss_dict/ref_nll_loss", whole.mean(), LOSSES)
    _gradients(model, losses["total"], table, case, check)


def _gradients(model: nn.Module, total: Tensor, table: Mapping[str, str | None], case: Case, check: Comparison) -> None:
    total.backward()
    parameters = dict(model.named_parameters())
    gradients = {theirs: parameters[ours].grad for theirs, ours in table.items() if ours is not None}
    norms = {}
    for name, gradient in gradients.items():
        assert gradient is not None
        norms[name] = float(gradient.norm())
        if (place := f"grad_norm/{name}") in check.expected:
            _near(place, norms[name], check)
        if (place := f"grad/{name}") in check.expected:
            _near(place, gradient, check)
    _near("grad_total_norm", np.sqrt(sum(norm**2 for norm in norms.values())), check)


def _near(name: str, ours: Any, check: Comparison) -> None:
    """Relative, and absolute where the gradient is next to nothing."""
    check.close(name, ours, 1.0, relative_to=np.maximum(NEAR_ZERO, RELATIVE * np.abs(check.expected[name])))


class _Steps:
    """The batches of a train_steps case, one sample range per step."""

    def __init__(self, case: Case) -> None:
        self.given = [description(case.inputs, f"step{step}/") for step in range(case.config["num_steps"])]

    def __len__(self) -> int:
        return len(self.given)

    def names(self, indices: Any) -> list[str]:
        return [str(index) for index in indices]

    def batch(self, indices: Any, *, targets: bool = True) -> Description:
        batch: Description = self.given[int(indices[0])][0]
        return batch


def train_steps(case: Case, check: Comparison) -> None:
    """Real steps of the project's training loop: schedule, clipping, Adam as the reference has it."""
    config, given = case.config, _Steps(case)
    model, table = model_of(case)
    optimiser, seen = config["optimizer"], []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    k = torch.tensor(hardness(config["epoch"], config["max_epoch"], config["gamma"]))
    kind: Any = ccr.Draws if config["method"] == "ccr" else cpl.Draws

    class Recorded(Training):
        """The stored batches in the stored order; notes what every step says."""

        def _batches(self, epoch: int) -> list[Any]:
            return [np.array([step]) for step in range(len(given))]

        def _step(self, step: int, indices: Any) -> dict[str, Tensor]:
            hidden = given.given[step][1]
            self.model.draw = lambda batch, generator: kind(hidden=hidden, hardness=k)  # type: ignore[method-assign]
            terms = super()._step(step, indices)
            seen.append({name: float(value) for name, value in terms.items()} | {"lr": self.optimiser.param_groups[0]["lr"]})
            return terms

    settings = Recipe(
        epochs=1,
        batch_size=1,
        lr=optimiser["lr"],
        weight_decay=float(optimiser["weight_decay"]),
        schedule="inverse_sqrt",
        warmup_steps=optimiser["warmup_updates"],
        warmup_ratio=optimiser["warmup_init_lr"] / optimiser["lr"],
        clip_norm=float(config["clip_norm"]),
        optimiser="adam_fairseq",
    )
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(device=torch.device("cpu"))
        identity = Identity(recipe={}, code={})
        Recorded(model, given, settings, seed=0, folder=Path(folder), identity=identity, processes=processes).run()

    check.close("loss/total", [step["total"] for step in seen], STEP_LOSSES)
    check.close("loss/rec", [step["reconstruction"] for step in seen], STEP_LOSSES)
    check.close("loss/ivc", [step["total"] - step["reconstruction"] for step in seen], STEP_LOSSES)
    norms = check.expected["grad_total_norm_before_clip"]
    check.close("grad_total_norm_before_clip", [step[NORM] for step in seen], RELATIVE, relative_to=norms)
    check.close("lr_used", [step["lr"] for step in seen], RATES)
    after = model.state_dict()
    for theirs, ours in table.items():
        assert ours is not None
        for name, value, allowed in (
            ("update_norm", (after[ours] - before[ours]).norm(), UPDATES),
            ("final_norm", after[ours].norm(), RELATIVE),
        ):
            expected = check.expected[f"{name}/{theirs}"]
            check.close(f"{name}/{theirs}", value, allowed, relative_to=np.abs(expected))
