"""CPL and CCR around the network: words and frames to batches, Gaussians, ranking and metrics, optimiser and schedule."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.layers.gaussian_proposals import beside, hardness, proposals
from models.losses.reconstruction import smoothed_nll
from stages.datasets.schema import MomentSample
from stages.features.info import StoreInfo
from stages.features.resample import Resampled
from stages.features.store import FeatureStore, StoreWriter
from stages.features.words import Sentences, Vocabulary
from stages.metrics.localisation import MOST, elected, localisation, ranked
from stages.training.descriptions import DescriptionFeed
from stages.training.optimisers import build_optimiser, clip, set_rate
from stages.training.schedules import learning_rate
from stages.training.settings import Recipe
from tests.parity import Case, Comparison

GAUSSIANS = 1e-4
VALUES = 1e-6
METRICS = 1e-9
VOTES = {"CharadesSTA": "vote_weighted", "ActivityNet": "vote_plain"}


def data(case: Case, check: Comparison) -> None:
    """Tagged sentences and features of any length -> the batch that training gets."""
    config = case.config
    counts: dict[str, int] = dict(config["vocab"])
    vectors = {word: case.inputs["id2vec"][row + 1] for row, word in enumerate(counts)}
    vocabulary = Vocabulary.of(counts, vectors, config["vocab_cut"])
    check.exact("model_vocab_size", np.asarray(vocabulary.classes))
    encoded = [vocabulary.encode(*zip(*sentence, strict=True)) for sentence in config["tagged_sentences"]]
    for index, (classes, weights) in enumerate(encoded):
        check.exact(f"item{index}/words_id", classes)
        check.exact(f"item{index}/weights_raw", weights)
    names = [f"v{index}" for index in range(len(encoded))]
    texts = Sentences(
        vocabulary.vectors,
        names,
        [classes for classes, _ in encoded],
        [weights for _, weights in encoded],
        longest=config["max_num_words"],
    )
    samples = [_sample(name, duration) for name, duration in zip(names, config["durations"], strict=True)]
    for budget in (0, 2**30):  # read batch by batch, and resident
        with tempfile.TemporaryDirectory() as folder:
            store = _store(case, names, Path(folder))
            videos = Resampled([store], clips=config["max_num_frames"], budget_bytes=budget, ids=names)
            batch = DescriptionFeed(samples, videos, texts).batch(np.arange(len(names)))
        frames = case.outputs["batch/frames_feat"]
        check.close("batch/frames_feat" if budget else "(frames, not resident)", batch.video, VALUES, expected=frames)
    check.exact("batch/frames_len", batch.video_mask.sum(dim=1))
    # theirs has a placeholder in front, the vector of the first word, which the model overwrites; ours has none
    check.close("batch/words_feat", torch.cat((batch.words[:, :1], batch.words), dim=1), VALUES)
    check.exact("batch/words_id", batch.word_ids)
    check.exact("batch/words_len", batch.word_mask.sum(dim=1))
    check.close("batch/weights", batch.hiding, VALUES)


def _sample(name: str, duration: float) -> MomentSample:
    return MomentSample(
        sample_id=name,
        video_id=name,
        query_id=name,
        query="",
        duration=duration,
        spans=(),
        published=json.dumps({}),
        source="config.json",
        record=0,
    )


def _store(case: Case, names: list[str], folder: Path) -> FeatureStore:
    path = folder / "i3d.zarr"
    with StoreWriter(path) as writer:
        for name in sorted(names):
            writer.add(name, case.inputs[f"feat/{name}"])
        writer.finish(StoreInfo(dataset="case", feature="i3d", kind="clip"))
    return FeatureStore.open(path)


def gaussians(case: Case, check: Comparison) -> None:
    """Weights of proposals and negatives of given centres and widths."""
    config = case.config
    center, width = (torch.from_numpy(case.inputs[name]) for name in ("center", "width"))
    form: dict[str, Any] = {"sigma": float(config["sigma"]), "length": config["props_len"]}
    check.close("gauss_weight", proposals(center, width, **form), GAUSSIANS)
    for gamma in config["gammas"]:
        for epoch in config["epochs"]:
            sides = beside(center, width, hardness=hardness(epoch, config["max_epoch"], gamma), **form)
            for number, side in enumerate(sides, start=1):
                check.close(f"gamma{gamma}_epoch{epoch}/neg_weight_{number}", side, GAUSSIANS)


def decoding(case: Case, check: Comparison) -> None:
    """Logits to ranking, spans, votes and metrics."""
    config = case.config
    parts = [_ranked(case, f"batch{number}/", config["num_props"]) for number in range(config["num_batches"])]
    truth = np.concatenate(
        [
            case.inputs[f"batch{number}/gt_seconds"] / case.inputs[f"batch{number}/duration"][:, None]
            for number in range(config["num_batches"])
        ]
    )
    for dataset in config["datasets"]:
        for vote in (0, 1):
            profile, place = VOTES[dataset] if vote else "no_vote", f"{dataset}_vote{vote}"
            for number, spans in enumerate(parts):
                check.close(f"{place}/batch{number}/top1_span", elected(spans, profile), VALUES)
                check.close(f"{place}/batch{number}/topk_spans", spans[:, :MOST], VALUES)
            for name, value in localisation(np.concatenate(parts), truth, profile).items():
                check.close(f"{place}/{name}", value, METRICS)


def _ranked(case: Case, place: str, proposals_each: int) -> Any:
    given = {
        name: torch.from_numpy(case.inputs[place + name]) for name in ("words_logit", "words_id", "words_mask", "width", "center")
    }
    logits = given["words_logit"].unflatten(0, (-1, proposals_each))
    nll = smoothed_nll(logits, given["words_id"][:, None], given["words_mask"][:, None].bool())
    center, width = (given[name].unflatten(0, (-1, proposals_each)).numpy() for name in ("center", "width"))
    return ranked(center, width, nll.numpy())


def optimiser(case: Case, check: Comparison) -> None:
    """Given gradients through clipping, Adam and the schedule."""
    config = case.config
    names = sorted(name.removeprefix("param/") for name in case.inputs if name.startswith("param/"))
    model = nn.ParameterDict({name: nn.Parameter(torch.from_numpy(case.inputs[f"param/{name}"])) for name in names})
    settings = _settings(config["optimizer"], float(config["clip_norm"]))
    ours = build_optimiser(settings, model)
    rates, norms = [], []
    for step in range(config["steps"]):
        rates.append(learning_rate(settings, step=step, steps_per_epoch=config["steps"]))
        set_rate(ours, rates[-1])
        for name in names:
            model[name].grad = torch.from_numpy(case.inputs[f"step{step}/grad/{name}"]).clone()
        norms.append(float(clip(model.parameters(), settings.clip_norm)))
        ours.step()
        for name in names:
            check.close(f"step{step}/param/{name}", model[name], VALUES)
    check.close("lr_used", rates, METRICS)
    check.close("grad_norm_before_clip", norms, VALUES, relative_to=np.maximum(1, check.expected["grad_norm_before_clip"]))
    released = _settings(config["released_schedule"], None)
    updates = case.outputs["released_schedule_updates"]
    check.exact("released_schedule_updates", updates)
    check.close("released_schedule_lr", [learning_rate(released, step=int(n), steps_per_epoch=1) for n in updates], METRICS)


def _settings(given: dict[str, Any], clip_norm: float | None) -> Recipe:
    return Recipe(
        epochs=1,
        batch_size=1,
        lr=given["lr"],
        weight_decay=float(given["weight_decay"]),
        schedule="inverse_sqrt",
        warmup_steps=given["warmup_updates"],
        warmup_ratio=given["warmup_init_lr"] / given["lr"],
        clip_norm=clip_norm,
        optimiser="adam_fairseq",
    )
