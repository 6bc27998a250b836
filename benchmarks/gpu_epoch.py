"""One epoch of CausalVTG at the size of Charades-STA through the real feed and the real training loop, for benchmarks/gpu.py."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.consolidate import KINDS, publish
from models.method import load_method
from stages.consolidation.build import build
from stages.datasets.schema import MomentSample
from stages.features.resident import Fused
from stages.features.store import FeatureStore, StoreInfo
from stages.params import load_params
from stages.training.batches import Indices, MomentFeed
from stages.training.checkpoints import Identity
from stages.training.loop import Training
from stages.training.processes import Processes

RUN = "causalvtg-charades-clip-released"
VIDEOS, QUERIES = 5338, 12404  # of the training split
ENTRIES = 256


class TimedFeed(MomentFeed):
    """A feed that knows how long the host was at it."""

    seconds = 0.0

    def batch(self, indices: Indices, *, targets: bool = True) -> Any:
        """As the feed does."""
        begin = time.perf_counter()
        found = super().batch(indices, targets=targets)
        self.seconds += time.perf_counter() - begin
        return found


def stores(work: Path, names: tuple[str, ...], items: int) -> tuple[list[FeatureStore], list[str]]:
    """Stores of random rows with the lengths of the real data set, and their ids."""
    ids: list[str] = []
    for name in names:
        ids = publish(work / "raw", KINDS[name], items)
        info = StoreInfo(dataset="benchmark", feature=name, kind=KINDS[name].feature.kind)
        build(work / f"{name}.zarr", KINDS[name].feature, work / "raw", ids, info)
    return [FeatureStore.open(work / f"{name}.zarr") for name in names], ids


def samples(queries: int, videos: list[str], lengths: np.ndarray[Any, Any]) -> list[MomentSample]:
    """One moment each, in the middle third of its video."""
    found = []
    for number in range(queries):
        video = number % len(videos)
        duration = float(lengths[video])
        span = (duration / 3, 2 * duration / 3)
        found.append(
            MomentSample(
                sample_id=str(number),
                video_id=videos[video],
                query_id=f"{number:05d}",
                query="",
                duration=duration,
                spans=(span,),
                source="benchmark",
                record=number + 1,
                published="{}",
            )
        )
    return found


def charades_epoch(device: str, *, tiny: bool) -> dict[str, Any]:
    """Seconds of the epoch, steps per second, and the share of it in which the host prepared batches."""
    run = load_params().runs[RUN]
    videos, queries = (16, 40) if tiny else (VIDEOS, QUERIES)
    settings = replace(run.recipe, epochs=1, select=None, batch_size=8 if tiny else run.recipe.batch_size)
    model_settings = replace(run.model, hidden=32, heads=2) if tiny else run.model
    where = torch.device(device)
    with tempfile.TemporaryDirectory() as work:
        begin = time.perf_counter()
        clips, video_ids = stores(Path(work) / "video", ("clip", "slowfast"), videos)
        texts, query_ids = stores(Path(work) / "query", ("text",), queries)
        video = Fused(clips, normalise=True, budget_bytes=1 << 40, device=where, ids=video_ids)
        query = Fused(texts, normalise=True, budget_bytes=1 << 40, device=where, ids=query_ids)
        lengths = np.asarray(video.lengths(video_ids))
        feed = TimedFeed(samples(queries, video_ids, lengths), video, query, fps=1.0)
        confounders = {
            side: F.normalize(torch.randn(8 if tiny else ENTRIES, width), dim=-1) for side, width in feed.widths.items()
        }
        model = load_method(run.method).Model(model_settings, widths=feed.widths, confounders=confounders)
        training = Training(
            model,
            feed,
            settings,
            seed=0,
            folder=Path(work) / "run",
            identity=Identity(recipe={}, code={}),
            processes=Processes(device=where),
        )
        ready = time.perf_counter()
        training.run("restart")
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - ready
    return {
        "queries": queries,
        "steps": training.steps_per_epoch,
        "prepared_in_seconds": round(ready - begin, 1),
        "epoch_seconds": round(seconds, 2),
        "steps_per_second": round(training.steps_per_epoch / seconds, 2),
        "host_share_of_feeding": round(feed.seconds / seconds, 4),
        "minutes_of_a_whole_training": round(run.recipe.epochs * seconds / 60, 1),
    }
