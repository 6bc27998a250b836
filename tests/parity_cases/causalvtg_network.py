"""CausalVTG under `released` numerics: one pass (outputs, losses, gradients, memory), six training steps, the first memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.batch import Grounding
from models.causal.memory import nearest_entry
from models.layers.points import assign
from models.methods.causalvtg import Config, Draws, LossWeights, Model, Output
from models.reference_keys import causalvtg as keys
from stages.training.checkpoints import Identity
from stages.training.loop import NORM, Training
from stages.training.processes import Processes
from stages.training.settings import Recipe
from tests.parity import Case, Comparison

FEATURES = 1e-5  # features, logits, losses, weights
SECONDS = 1e-4
GRADIENTS = 2e-5  # relative to 1 + norm
RATES = 1e-9  # relative
IDLE_BIASES = 1e-3  # key biases have no true gradient, so Adam amplifies rounding noise there
TERMS = ("cls", "reg", "sal", "neg")


def released(config: Mapping[str, Any]) -> Config:
    """The Config of a case; what its config.json leaves out is the same in all published configurations."""
    return Config(
        numerics="released",
        hidden=config["hidden_dims"],
        heads=config.get("heads", 8),
        ffn_ratio=config.get("ffn_ratio", 4),
        strides=tuple(config["strides"]),
        dropout=0.0,
        attention_dropout=0.0,
        drop_path=0.0,
        top=config.get("max_num_moment", 50),
        sample_radius=config.get("sample_radius", 1.5),
        focal_gamma=2.0,
        temperature=config.get("nce_temperature", 0.07),
        loss_weights=LossWeights(**{name: config["loss_weights"][name] for name in TERMS}),
    )


def load(case: Case, kind: Callable[..., Model] = Model) -> tuple[Model, dict[str, str | None]]:
    """The model with the case's weights, and the key table."""
    config = released(case.config)
    table = keys.key_table(config.strides)
    found = keys.convert(case.weights, {})
    model = kind(config, widths=found.widths, confounders={side: torch.zeros(shape) for side, shape in found.confounders.items()})
    model.load_state_dict(found.weights)
    return model, table


def grounding(fields: Mapping[str, Any], groups: list[Any]) -> Grounding:
    """A batch from tensors padded with infinity: the mask is channel 0, anything else that is not finite becomes 0."""
    given = {name: torch.as_tensor(value) for name, value in fields.items()}
    video, query = given["video"], given["query"]
    spans = given.get("boundary")
    return Grounding(
        video=video.nan_to_num(0.0, 0.0, 0.0),
        video_mask=video[..., 0].isfinite(),
        query=query.nan_to_num(0.0, 0.0, 0.0),
        query_mask=query[..., 0].isfinite(),
        fps=given["fps"],
        duration=torch.zeros(len(video)),
        video_group=torch.tensor([groups.index(group) for group in groups]),
        spans=None if spans is None else spans.nan_to_num(0.0, 0.0, 0.0),
        spans_mask=None if spans is None else spans.isfinite().all(dim=-1),
        saliency=given.get("saliency"),
    )


def one_pass(case: Case, check: Comparison) -> None:
    """Modes test, val and train."""
    mode = case.config["mode"]
    model, table = load(case)
    model.train(mode == "train")
    batch = grounding(case.inputs, [label["vid"] for label in case.config["labels"]])
    draws = None if mode == "test" else Draws(positive=torch.as_tensor(case.inputs["pos_clip"])[:, 0])
    if mode == "train":
        _memory(model, batch, check)
    seen = _tapped(model)
    output = model(batch, draws)
    _features(batch, output, seen, check)
    if mode != "test":
        _losses(model, batch, output, check)
    if mode == "train":
        _gradients(model, model.losses(output, batch)["total"], table, case, check)
    if mode != "train":
        _decoded(model, batch, output, check)


def _tapped(model: Model) -> dict[str, Tensor]:
    """Intermediate results of the first, positive pass, filled in as it runs."""
    seen: dict[str, Tensor] = {}
    places = {
        "video_map": model.video_map.outer,
        "query_map": model.query_map.outer,
        "video_fd": model.video_front_door,
        "query_fd": model.query_front_door,
        "cq": model.context_query,
        "video_emb": model.decoder,
        "query_pooled": model.pooling,
    }

    def note(name: str, value: Tensor) -> None:  # a hook that returns something would replace what it looks at
        seen.setdefault(name, value)

    for name, module in places.items():
        module.register_forward_hook(lambda _module, _inputs, result, name=name: note(name, result))
    model.decoder.register_forward_pre_hook(lambda _module, inputs: note("pe", inputs[4]))
    for level, module in enumerate(model.pyramid.levels):
        module.register_forward_hook(lambda _module, _inputs, result, level=level: note(f"level{level}", result))
    return seen


def _features(batch: Grounding, output: Output, seen: dict[str, Tensor], check: Comparison) -> None:
    for name in ("video_mask", "query_mask"):
        check.exact(name, getattr(batch, name).long())
    for name, value in seen.items():
        check.close(name, value, FEATURES)
    check.close("relevance_logit", output.answerable[:, None], FEATURES)
    check.close("out_class", output.logits[..., None], FEATURES)
    check.close("out_coord", output.offsets, FEATURES)
    check.exact("level_sizes", torch.tensor(output.sizes))
    check.exact("point", output.points)


def _losses(model: Model, batch: Grounding, output: Output, check: Comparison) -> None:
    assert batch.spans is not None
    assert batch.spans_mask is not None
    assert output.negatives is not None
    losses, weights = model.losses(output, batch), model.config.loss_weights
    for name in TERMS:
        check.close(f"loss_{name}", getattr(weights, name) * losses[name], FEATURES)
    check.close("loss", losses["total"], FEATURES)
    check.close("neg_relevance_logit", output.negatives.logits.reshape(-1, 1), FEATURES)
    check.exact("neg_mask", output.negatives.foreign.reshape(-1))
    if "hard_index" in check.expected:
        check.exact("hard_index", output.negatives.index[1])
    windows = batch.spans * batch.fps[:, None, None]
    positive, distances = assign(output.points, windows, batch.spans_mask, radius=model.config.sample_radius)
    check.exact("cls_tgt", positive.float())
    check.close("reg_tgt", distances, FEATURES, where=positive.numpy())
    check.exact("point_mask", output.point_mask.long())


def _gradients(model: Model, total: Tensor, table: Mapping[str, str | None], case: Case, check: Comparison) -> None:
    total.backward()
    names = {ours: theirs for theirs, ours in table.items()}
    gradients = {names[name]: p.grad for name, p in model.named_parameters() if p.grad is not None}
    without = {names[name] for name, p in model.named_parameters() if p.grad is None}
    check.equal("parameters_without_gradient", without, set(case.config["parameters_without_gradient"]))
    for name, gradient in gradients.items():
        expected = check.expected.get(f"grad_norm/{name}", np.float32(0))
        check.close(f"grad_norm/{name}", gradient.norm(), GRADIENTS, relative_to=1 + expected, expected=expected)


def _memory(model: Model, batch: Grounding, check: Comparison) -> None:
    for side, memory, features in (("video", model.video_memory, batch.video), ("query", model.query_memory, batch.query)):
        with torch.no_grad():
            check.exact(f"{side}_memory_index", nearest_entry(memory.map(features.mean(dim=1)), memory.rows[0]))
    model.observe(batch)
    for side, memory in (("video", model.video_memory), ("query", model.query_memory)):
        check.close(f"{side}_memory_after", memory.rows, FEATURES)


def _decoded(model: Model, batch: Grounding, output: Output, check: Comparison) -> None:
    for index, moments in enumerate(model.decode(output, batch)):
        check.close(f"boundary/{index}", moments.windows, [SECONDS, SECONDS, FEATURES])
        check.close(f"saliency/{index}", moments.saliency, FEATURES)
        check.close(f"relevance/{index}", [moments.answerable], FEATURES)


def memory_init(case: Case, check: Comparison) -> None:
    """The first memory, from dictionary rows."""
    sources = sorted((int(name.rsplit("_", 1)[1]), name) for name in case.inputs if name.startswith("video_mean_pool_c_"))
    rows = {
        "video": np.concatenate([case.inputs[name] for _, name in sources], axis=1),
        "query": case.inputs["query_mean_pool_c"],
    }
    widths = {side: value.shape[1] for side, value in rows.items()}
    hidden = len(case.weights["adapter.video_map_cluster_mean.6.bias"])
    config = released({"hidden_dims": hidden, "strides": [1], "loss_weights": dict.fromkeys(TERMS, 1.0), **case.config})
    confounders = {side: torch.from_numpy(value) for side, value in rows.items()}
    model = Model(config, widths=widths, confounders=confounders)
    table = keys.key_table(config.strides)
    model.load_state_dict(keys.to_ours(case.weights, table), strict=False)
    for side, memory in (("video", model.video_memory), ("query", model.query_memory)):
        memory.fill(confounders[side])
        check.close(f"{side}_memory", memory.rows, FEATURES)


class _RawFeed:
    """The samples of a train_loop case, padded per batch."""

    def __init__(self, case: Case) -> None:
        self.samples = {name: case.indexed(name) for name in ("video", "query", "boundary", "saliency")}
        self.fps = float(case.config["fps"])

    def __len__(self) -> int:
        return len(self.samples["video"])

    def names(self, indices: Any) -> list[str]:
        return [str(index) for index in indices]

    def batch(self, indices: Any, *, targets: bool = True) -> Grounding:
        fields = {name: _padded([rows[index] for index in indices]) for name, rows in self.samples.items()}
        fields["saliency"] = torch.where(fields["saliency"].isfinite(), fields["saliency"], 0.0)
        return grounding(fields | {"fps": torch.full((len(indices),), self.fps)}, [int(index) for index in indices])


def _padded(arrays: list[Any]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(array) for array in arrays], batch_first=True, padding_value=torch.inf
    )


def train_loop(case: Case, check: Comparison) -> None:
    """Real steps of the project's training loop: schedule, clipping, AdamW, memory updates."""
    hyper, order = case.config["hyper"], [np.array(batch) for batch in case.config["batches"]]
    positives = [torch.as_tensor(positive) for positive in case.indexed("pos_clip")]
    steps: list[dict[str, float]] = []

    class Recorded(Training):
        """The stored batches in the stored order; notes what every step says."""

        def _batches(self, epoch: int) -> list[Any]:
            return order

        def _step(self, step: int, indices: Any) -> dict[str, Tensor]:
            self.model.positives = torch.cat([positives[index] for index in indices])
            terms = super()._step(step, indices)
            steps.append({name: float(value) for name, value in terms.items()} | {"lr": self.optimiser.param_groups[0]["lr"]})
            return terms

    class Drawn(Model):
        """Takes the stored positive clips."""

        positives: Tensor

        def draw(self, batch: Grounding, generator: torch.Generator) -> Draws:
            return Draws(positive=self.positives)

    model, table = load(case, Drawn)
    settings = Recipe(
        epochs=hyper["epochs"],
        batch_size=hyper["batch_size"],
        lr=hyper["lr"],
        weight_decay=hyper["weight_decay"],
        schedule="step",
        warmup_steps=hyper["warmup_steps"],
        warmup_ratio=hyper.get("warmup_ratio", 0.001),
        steps=tuple(hyper["step"]),
        clip_norm=hyper["max_norm"],
    )
    with tempfile.TemporaryDirectory() as folder:
        processes = Processes(device=torch.device("cpu"))
        identity = Identity(recipe={}, code={})
        Recorded(model, _RawFeed(case), settings, seed=0, folder=Path(folder), identity=identity, processes=processes).run()

    after = keys.to_reference(model.state_dict(), table)
    changed = {name for name in after if f"after/{name}" in check.expected}
    for name in sorted(changed):
        idle = name.endswith((".k.bias", ".key.bias"))
        check.close(f"after/{name}", after[name], IDLE_BIASES if idle else FEATURES)
    moved = {name for name in after.keys() - changed if not torch.equal(after[name], case.weights[name])}
    check.equal("unchanged", moved, set())
    weights = model.config.loss_weights
    for name in TERMS:
        check.close(f"iter/loss_{name}", [np.float32(step[name] * getattr(weights, name)) for step in steps], FEATURES)
    check.close("iter/loss", [step["total"] for step in steps], FEATURES)
    norms = check.expected["iter/grad_norm"]
    check.close("iter/grad_norm", [step[NORM] for step in steps], GRADIENTS, relative_to=1 + norms)
    check.close("iter/lr", [step["lr"] for step in steps], RATES, relative_to=np.abs(check.expected["iter/lr"]))
