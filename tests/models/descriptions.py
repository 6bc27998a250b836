"""Random batches of sentences on videos, and CPL and CCR models, for the laws that tests state about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from models.batch import Description
from models.layers.masks import prefix_mask
from models.method import Method, load_method

WIDTHS = {"video": 12, "words": 10, "classes": 23}


def config(method: str, numerics: str = "corrected", **changes: Any) -> Any:
    """A small network without dropout, so that one pass is a function."""
    values: dict[str, Any] = {
        "numerics": numerics,
        "hidden": 16,
        "heads": 2,
        "video_layers": 2,
        "word_layers": 2,
        "dropout": 0.0,
        "proposals": 3,
        "grid": 10,
        "sigma": 9.0,
        "gamma": 0.5,
        "epochs": 4,
        "margin_1": 0.1,
        "margin_2": 0.15,
        "diversity": 0.2,
        "alpha_1": 1.0,
        "alpha_2": 5.0,
    }
    return load_method(method).Config(**(values | changes))


def model(method: str, settings: Any, seed: int = 0) -> Any:
    """Every parameter at random, norms and biases too, as after a training."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built: Method = load_method(method).Model(settings, widths=WIDTHS, confounders={})
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in built.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.3 * noise)
    return built


def batch(frames: Sequence[int], words: Sequence[int], *, seed: int = 0) -> Description:
    """Videos and sentences of these lengths."""
    generator = torch.Generator().manual_seed(seed)
    video_mask, word_mask = (prefix_mask(torch.tensor(list(count)), max(count)) for count in (frames, words))
    hiding = torch.rand(word_mask.shape, generator=generator).add(0.1) * word_mask
    return Description(
        video=torch.randn(*video_mask.shape, WIDTHS["video"], generator=generator) * video_mask[..., None],
        video_mask=video_mask,
        words=torch.randn(*word_mask.shape, WIDTHS["words"], generator=generator) * word_mask[..., None],
        word_mask=word_mask,
        word_ids=torch.randint(1, WIDTHS["classes"], word_mask.shape, generator=generator) * word_mask,
        hiding=hiding / hiding.sum(dim=1, keepdim=True),
    )


def alone(of: Description, index: int) -> Description:
    """One sample without its padding."""
    frames, words = int(of.video_mask[index].sum()), int(of.word_mask[index].sum())
    one = slice(index, index + 1)
    return Description(
        video=of.video[one, :frames],
        video_mask=of.video_mask[one, :frames],
        words=of.words[one, :words],
        word_mask=of.word_mask[one, :words],
        word_ids=of.word_ids[one, :words],
        hiding=of.hiding[one, :words],
    )


def padded(of: Description, frames: int, words: int, *, filling: float = 0.0) -> Description:
    """The same batch with so many more frames and words of padding, which hold `filling`."""

    def longer(values: Tensor, more: int) -> Tensor:
        return torch.cat((values, values.new_zeros(values.shape[0], more, *values.shape[2:])), dim=1)

    video_mask, word_mask = longer(of.video_mask, frames), longer(of.word_mask, words)
    return replace(
        of,
        video=longer(of.video, frames).masked_fill(~video_mask[..., None], filling),
        video_mask=video_mask,
        words=longer(of.words, words).masked_fill(~word_mask[..., None], filling),
        word_mask=word_mask,
        word_ids=longer(of.word_ids, words),
        hiding=longer(of.hiding, words),
    )
