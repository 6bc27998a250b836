"""What a trained model says about every query of a split, batch by batch, in the order of the samples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.batch import Grounding, Moments
from models.method import Method
from stages.datasets.schema import MomentSample
from stages.predictions.moments import postprocess, submission_record
from stages.predictions.settings import Evaluate


class PredictionError(ValueError):
    """A prediction that cannot be made or published. The message names the sample, or the file, and the way out."""


class Feed(Protocol):
    """What inference needs of stages.training.batches.MomentFeed."""

    samples: list[MomentSample]

    def epoch(self, batch_size: int, *, targets: bool = False) -> Iterator[tuple[NDArray[np.int64], Grounding]]:
        """(places of the samples, their batch), every sample once, in order."""


class AnyFeed(Protocol):
    """What inference needs of the feed of any task."""

    @property
    def samples(self) -> Sequence[Any]:
        """In order."""

    def epoch(self, batch_size: int) -> Iterator[tuple[NDArray[np.int64], Any]]:
        """As Feed.epoch."""


def decode_all(
    model: Method, feed: AnyFeed, *, batch_size: int, device: torch.device | str = "cpu", label: str = ""
) -> Iterator[tuple[int, Any]]:
    """(place, result) of every sample of the feed, on the CPU. The model is used as it is: in eval state, on `device`."""
    bar = tqdm(total=len(feed.samples), desc=label or None, unit="query", dynamic_ncols=True, mininterval=0.5, leave=None)
    with torch.inference_mode(), bar:
        for places, batch in feed.epoch(batch_size):
            there = batch.to(device)
            yield from zip(places.tolist(), model.decode(model(there, None), there), strict=True)
            bar.update(len(places))


def decoded(model: Method, feed: Feed, *, batch_size: int, device: torch.device | str = "cpu", label: str = "") -> list[Moments]:
    """One result per sample of the feed.

    Raises PredictionError, naming the sample, if a window or a score is not finite.
    """
    out: list[Moments] = []
    for place, one in decode_all(model, feed, batch_size=batch_size, device=device, label=label):
        _check(one, feed.samples[place])
        out.append(one)
    return out


def _check(one: Moments, sample: MomentSample) -> None:
    if not (bool(torch.isfinite(one.windows).all()) and bool(torch.isfinite(one.saliency).all())):
        raise PredictionError(
            f"sample {sample.sample_id}: the model gives a window or saliency that is not finite; "
            "its weights or the features of this sample are damaged"
        )


def records(moments: Sequence[Moments], samples: Sequence[MomentSample], settings: Evaluate) -> list[dict[str, Any]]:
    """Submission records of decoded results, one per sample: windows clamped, rounded, suppressed, as `settings` says."""
    windows = postprocess(
        [one.windows.numpy() for one in moments],
        [sample.duration for sample in samples],
        rounding=settings.rounding,
        unit=settings.rounding_unit,
        nms_threshold=settings.nms_threshold,
        top=settings.top,
    )
    out = []
    for one, rows, sample in zip(moments, windows, samples, strict=True):
        vid, qid = published_ids(sample)
        out.append(submission_record(vid=vid, qid=qid, windows=rows, saliency=one.saliency.numpy(), answerable=one.answerable))
    return out


def published_ids(sample: MomentSample) -> tuple[str, Any]:
    """(vid, qid) as published: a number stays a number, because 7 and "7" are two ids to every scorer."""
    record = json.loads(sample.published)
    return record.get("vid", sample.video_id), record.get("qid", sample.query_id)


def predict(
    model: Method, feed: Feed, settings: Evaluate, *, device: torch.device | str = "cpu", label: str = ""
) -> list[dict[str, Any]]:
    """Submission records of every sample of the feed, in order."""
    moments = decoded(model, feed, batch_size=settings.batch_size, device=device, label=label)
    return records(moments, feed.samples, settings)
