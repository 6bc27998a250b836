"""What a weakly supervised method answers: proposals for every query of a split, and the window that is chosen among them.

Which words are hidden is drawn per query from the run's seed and the sample's id, so an answer depends neither on the batch nor
on the order; several draws can be averaged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from models.batch import Description
from models.method import Method
from stages.datasets.schema import MomentSample

Record = dict[str, Any]


class Feed(Protocol):
    """What inference needs of stages.training.descriptions.DescriptionFeed."""

    samples: list[MomentSample]

    def epoch(self, batch_size: int) -> Iterator[tuple[NDArray[np.int64], Description]]:
        """(places of the samples, their batch), every sample once, in order."""


def generators(seed: int, sample_id: str, count: int) -> list[torch.Generator]:
    """One generator per draw: the first seeded with the first 8 bytes of sha256("<seed>:<sample id>"), others add ":<draw>"."""
    texts = [f"{seed}:{sample_id}", *(f"{seed}:{sample_id}:{draw}" for draw in range(1, count))]
    digests = (hashlib.sha256(text.encode()).digest()[:8] for text in texts)
    return [torch.Generator().manual_seed(int.from_bytes(digest, "big")) for digest in digests]


def predict(
    model: Method, feed: Feed, *, batch_size: int, seed: int, masks: int, device: torch.device | str = "cpu", label: str = ""
) -> list[Record]:
    """One record per sample of the feed, in order: index, vid, and center, width, nll of its proposals, 32-bit values.

    The model is used as it is: in eval state, on `device`. `masks` draws of hidden words are averaged in nll.
    """
    out: list[Record] = []
    bar = tqdm(total=len(feed.samples), desc=label or None, unit="query", dynamic_ncols=True, mininterval=0.5, leave=None)
    with torch.inference_mode(), bar:
        for places, batch in feed.epoch(batch_size):
            there = batch.to(device)
            drawn = [generators(seed, feed.samples[place].sample_id, masks) for place in places]
            nll: Tensor | None = None
            for number in range(masks):
                draws: Any = model.draw_each(there, [row[number] for row in drawn])  # type: ignore[operator]
                found = model.decode(model(there, draws), there)
                part = torch.stack([one.nll for one in found]).double()
                nll = part if nll is None else nll + part
            assert nll is not None
            for place, one, value in zip(places.tolist(), found, (nll / masks).float(), strict=True):
                row = {"center": one.center.tolist(), "width": one.width.tolist(), "nll": value.tolist()}
                out.append({"index": place, "vid": feed.samples[place].video_id, **row})
            bar.update(len(places))
    return out


def reconstruction_rates(
    model: Method,
    feed: Feed,
    *,
    batch_size: int,
    seed: int,
    kinds: Mapping[str, NDArray[np.bool_]],
    device: torch.device | str = "cpu",
    label: str = "",
) -> dict[str, float]:
    """Share of words reconstructed right, percent: from the best proposal, and abnormally, from what lies beside it.

    "before" is the plain prediction, "after" the one from which the query's own share is subtracted, where the method does that.
    kinds      words of all samples of the feed to be told apart, name -> (Q, L): "abnormal reconstruction after, <name> words"
    """
    right: dict[tuple[str, str], int] = {}
    words: dict[str, int] = {}
    bar = tqdm(total=len(feed.samples), desc=label or None, unit="query", dynamic_ncols=True, mininterval=0.5, leave=None)
    with torch.inference_mode(), bar:
        for places, batch in feed.epoch(batch_size):
            there = batch.to(device)
            drawn = [generators(seed, feed.samples[place].sample_id, 1)[0] for place in places]
            found = model.reconstructions(there, model.draw_each(there, drawn))  # type: ignore[operator]
            length = there.word_mask.shape[1]
            sorts = {"": batch.word_mask.numpy()} | {f", {kind} words": of[places, :length] for kind, of in kinds.items()}
            for kind, those in sorts.items():
                words[kind] = words.get(kind, 0) + int(those.sum())
                for name, value in found.items():
                    right[name, kind] = right.get((name, kind), 0) + int((value.cpu().numpy() & those).sum())
            bar.update(len(places))
    rates = {(name, kind): 100 * count / words[kind] for (name, kind), count in right.items() if words[kind]}
    out: dict[str, float] = {}
    for name, kind in rates:
        side, _, when = name.partition(".")
        if side == "positive":
            out[f"normal reconstruction {when}{kind}"] = rates[name, kind]
            out[f"abnormal reconstruction {when}{kind}"] = (rates[f"left.{when}", kind] + rates[f"right.{when}", kind]) / 2
    return out


def windows(spans: NDArray[np.floating[Any]], answers: NDArray[np.floating[Any]], durations: Sequence[float]) -> list[list[Any]]:
    """Ranked spans (Q, K, 2) and answers (Q, 2), fractions -> per query [start, end, score] in seconds, the answer first.

    Scores fall with the rank: proposals have no probability of their own.
    """
    out = []
    for ranked, answer, duration in zip(spans.tolist(), answers.tolist(), durations, strict=True):
        rows = [answer, *(row for row in ranked if row != answer)]
        out.append([[start * duration, end * duration, 1 / (rank + 1)] for rank, (start, end) in enumerate(rows)])
    return out
