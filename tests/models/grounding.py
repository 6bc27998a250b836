"""Random grounding batches and CausalVTG models for the laws that tests state about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from models.batch import Grounding
from models.layers.masks import prefix_mask
from models.methods.causalvtg import Config, Deviations, LossWeights, Model

WIDTHS = {"video": 12, "query": 10}
ENTRIES = 7


def config(numerics: str = "corrected", **changes: Any) -> Config:
    """A small network without dropout, so that one pass is a function."""
    values: dict[str, Any] = {
        "numerics": numerics,
        "hidden": 16,
        "heads": 2,
        "ffn_ratio": 2,
        "strides": (1, 2, 4, 8),
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "drop_path": 0.0,
        "top": 50,
        "sample_radius": 1.5,
        "focal_gamma": 2.0,
        "temperature": 0.07,
        "loss_weights": LossWeights(cls=1.0, reg=0.2, sal=0.1, neg=0.1),
    }
    return Config(**(values | changes))


def deviating(**changes: bool) -> Deviations:
    """None of the deviations but those named."""
    return replace(Deviations.all(False), **changes)


def model(settings: Config, seed: int = 0) -> Model:
    """Every parameter at random, norms and biases too, as after a training."""
    generator = torch.Generator().manual_seed(seed)
    confounders = {side: torch.randn(ENTRIES, width, generator=generator) for side, width in WIDTHS.items()}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = Model(settings, widths=WIDTHS, confounders=confounders)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.2 * noise)
            if name.startswith("offset_head.outer"):
                parameter.mul_(0.3)  # its exponential is a distance in strides
    return built


def batch(clips: Sequence[int], tokens: Sequence[int], *, videos: Sequence[int] | None = None, seed: int = 0) -> Grounding:
    """A batch of videos of these lengths; `videos` numbers them, equal numbers have equal features. One window per sample."""
    generator = torch.Generator().manual_seed(seed)
    size, longest, words = len(clips), max(clips), max(tokens)
    video_mask, query_mask = prefix_mask(torch.tensor(clips), longest), prefix_mask(torch.tensor(tokens), words)
    start = torch.rand(size, generator=generator) * 0.5
    ends = torch.stack((start, start + 0.5), dim=1) * torch.tensor(clips)[:, None]
    spans = torch.stack((ends[:, 0].floor(), ends[:, 1].ceil()), dim=1)[:, None]  # (B, 1, 2) on whole clips
    where = torch.arange(longest) + 0.5
    return Grounding(
        video=torch.randn(size, longest, WIDTHS["video"], generator=generator) * video_mask[..., None],
        video_mask=video_mask,
        query=torch.randn(size, words, WIDTHS["query"], generator=generator) * query_mask[..., None],
        query_mask=query_mask,
        fps=torch.ones(size),
        duration=torch.tensor(clips, dtype=torch.float32),
        video_group=torch.arange(size) if videos is None else torch.tensor(videos),
        spans=spans,
        spans_mask=torch.ones(size, 1, dtype=torch.bool),
        saliency=((where >= spans[..., 0]) & (where <= spans[..., 1]) & video_mask).float(),
    )


def rows(of: Grounding, index: Sequence[int]) -> Grounding:
    """Some samples of a batch, in this order, as padded as they are."""
    chosen = {field.name: getattr(of, field.name)[list(index)] for field in fields(of)}
    return Grounding(**chosen)


def alone(of: Grounding, index: int) -> Grounding:
    """One sample of a batch without its padding."""
    one = rows(of, [index])
    clips, words = int(one.video_mask.sum()), int(one.query_mask.sum())
    assert one.saliency is not None
    return replace(
        one,
        video=one.video[:, :clips],
        video_mask=one.video_mask[:, :clips],
        query=one.query[:, :words],
        query_mask=one.query_mask[:, :words],
        saliency=one.saliency[:, :clips],
    )


def padded(of: Grounding, clips: int, tokens: int, *, filling: float = 0.0) -> Grounding:
    """The same batch with so many more padded clips and tokens; the padding of the features is `filling`."""

    def longer(values: Tensor, more: int) -> Tensor:
        return torch.cat((values, values.new_zeros(values.shape[0], more, *values.shape[2:])), dim=1)

    assert of.saliency is not None
    video_mask, query_mask = longer(of.video_mask, clips), longer(of.query_mask, tokens)
    return replace(
        of,
        video=longer(of.video, clips).masked_fill(~video_mask[..., None], filling),
        video_mask=video_mask,
        query=longer(of.query, tokens).masked_fill(~query_mask[..., None], filling),
        query_mask=query_mask,
        saliency=longer(of.saliency, clips),
    )
