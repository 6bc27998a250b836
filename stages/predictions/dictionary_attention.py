"""What a method read off its confounder dictionary when it answered: for the timelines of a results page.

Methods with a front door only. The model is used as it is; its adjustment is watched from outside.
B batch, T clips, K dictionary entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.causal.front_door import FrontDoor
from models.causal.mediated_front_door import MediatedFrontDoor
from models.method import Method
from stages.predictions.inference import AnyFeed

SHOWN = 5  # entries of the dictionary, those that count most
SIDE = "video"  # of a method that reads more than one side

Watched = tuple[Tensor, Tensor | None]  # weights (B, T, K), T = 1: of the video as a whole; gates (B, T)


@contextmanager
def watched(model: Method) -> Iterator[list[Watched]]:
    """What the video side of the model reads in the passes that are made meanwhile, one entry each."""
    seen: list[Watched] = []

    def rows(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], _: Tensor) -> None:
        assert isinstance(module, FrontDoor)
        if inputs[1] is not None:
            seen.append(module.looked_at(*inputs, **named))

    def whole(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], _: Tensor) -> None:  # noqa: ARG001
        assert isinstance(module, MediatedFrontDoor)
        seen.append((module.looked_at(inputs[1])[:, None], None))

    hooks = [
        module.register_forward_hook(rows if isinstance(module, FrontDoor) else whole, with_kwargs=True)
        for name, module in model.named_modules()
        if (isinstance(module, FrontDoor) and SIDE in name) or isinstance(module, MediatedFrontDoor)
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def with_attention(
    examples: Sequence[dict[str, Any]], model: Method, feed: AnyFeed, device: torch.device | str
) -> list[dict[str, Any]]:
    """Examples of a page (stages/predictions/pages.py) with the key "dictionary"; the feed has their samples, in order."""
    found = [one for _, batch in feed.epoch(max(len(examples), 1)) for one in dictionary_attention(model, batch.to(device))]
    return [example | {"dictionary": one} for example, one in zip(examples, found, strict=True)]


def dictionary_attention(model: Method, batch: Any) -> list[dict[str, Any] | None]:
    """Per row of the batch {"entries": [place, ...], "weights": [[per clip], ...], "gate": [per clip] or None, "size": K}.

    The entries that count most, over all clips. None for every row where the method reads no dictionary.
    """
    with torch.inference_mode(), watched(model) as seen:
        model(batch, None)
    if not seen or any(len(weights) != len(batch) for weights, _ in seen):
        return [None] * len(batch)
    weights = torch.stack([one for one, _ in seen]).mean(dim=0)  # a method may read once per candidate
    gates = seen[0][1]
    lengths = batch.video_mask.sum(dim=1).tolist()
    return [
        _told(weights[row, :count].cpu().numpy(), None if gates is None else gates[row, :count].cpu().numpy())
        for row, count in enumerate(lengths)
    ]


def _told(weights: np.ndarray, gate: np.ndarray | None) -> dict[str, Any]:
    """weights (T, K), gate (T,)."""
    order = np.argsort(-weights.mean(axis=0), kind="stable")[:SHOWN]
    return {
        "entries": [int(entry) for entry in order],
        "weights": np.round(weights[:, order].T.astype(np.float64), 4).tolist(),
        "gate": None if gate is None else np.round(gate.astype(np.float64), 4).tolist(),
        "size": int(weights.shape[1]),
    }
