"""Epochs of CausalVTG at the size of Charades-STA through the real feed and the real training loop, for benchmarks/gpu.py.

python -m benchmarks.gpu_epoch --out FILE [--device cuda] [--tiny]

Features are random numbers with the lengths and widths of CLIP + SlowFast. The recipe is the published one.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.consolidate import KINDS, publish
from benchmarks.gpu_steps import finish
from benchmarks.rounds import part_of_gpu, write_whole
from models.batch import Grounding
from models.method import Method, load_method
from stages.consolidation.build import build
from stages.datasets.ground_truth import ground_truth
from stages.datasets.schema import MomentSample
from stages.features.resident import Fused
from stages.features.store import FeatureStore, StoreInfo
from stages.metrics.report import validation_numbers
from stages.params import load_params
from stages.predictions.inference import predict
from stages.predictions.settings import Evaluate
from stages.training.batches import Indices, MomentFeed
from stages.training.checkpoints import Identity
from stages.training.loop import Training
from stages.training.processes import Processes

RUN = "causalvtg-charades-clip-released"
SIZES = {"videos": 5338, "queries": 12404, "tested_videos": 1334, "tested": 3720}  # of the two splits
TINY = {"videos": 16, "queries": 40, "tested_videos": 4, "tested": 8}
ENTRIES = 256
WARM, TIMED, READY = range(3)  # what each epoch is for
KEPT = 32  # batches that lie ready, one after the other, again and again


class TimedFeed(MomentFeed):
    """A feed that takes the time of three epochs: one to get warm, one as it is, one of batches that lie ready on the device.

    at             when each epoch began, once the device had done all that came before
    host_seconds   in which the host was at the batches of the second
    """

    def begin(self, steps: int, device: torch.device) -> None:
        """Of so many steps per epoch."""
        self.at: list[float] = []
        self.host_seconds, self._count, self._steps, self._device = 0.0, 0, steps, device
        self._ready: list[Grounding] = []

    def batch(self, indices: Indices, *, targets: bool = True) -> Grounding:
        """As the feed does, or one of those that are ready."""
        epoch, step = divmod(self._count, self._steps)
        if step == 0:
            finish(self._device.type)
            self.at.append(time.perf_counter())
        self._count += 1
        if epoch == READY:
            return self._ready[step % len(self._ready)]
        begin = time.perf_counter()
        found = super().batch(indices, targets=targets)
        if epoch == WARM and len(self._ready) < KEPT:
            there = found.to(self._device)
            copies = {field.name: getattr(there, field.name).clone() for field in fields(there)}
            self._ready.append(replace(there, **copies))  # the feed's own buffers are overwritten
        if epoch == TIMED:
            self.host_seconds += time.perf_counter() - begin
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
        record = {"qid": number, "vid": videos[video], "duration": duration, "relevant_windows": [span]}
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
                published=json.dumps(record),
            )
        )
    return found


def charades(device: str, *, tiny: bool) -> dict[str, Any]:
    """Seconds of an epoch and of a validation, the share of it that feeding takes, and what a whole training comes to."""
    run = load_params().runs[RUN]
    sizes = TINY if tiny else SIZES
    settings = replace(run.recipe, epochs=3, select=None, batch_size=8 if tiny else run.recipe.batch_size)
    model_settings = replace(run.model, hidden=32, heads=2) if tiny else run.model
    where = torch.device(device)
    with tempfile.TemporaryDirectory() as work:
        begin = time.perf_counter()
        clips, video_ids = stores(Path(work) / "video", ("clip", "slowfast"), sizes["videos"])
        texts, query_ids = stores(Path(work) / "query", ("text",), sizes["queries"])
        video = Fused(clips, normalise=True, budget_bytes=1 << 40, device=where, ids=video_ids)
        query = Fused(texts, normalise=True, budget_bytes=1 << 40, device=where, ids=query_ids)
        lengths = np.asarray(video.lengths(video_ids))
        feed = TimedFeed(samples(sizes["queries"], video_ids, lengths), video, query, fps=1.0)
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
        feed.begin(training.steps_per_epoch, where)
        prepared = time.perf_counter() - begin
        training.run("restart")
        finish(device)
        warm, fed, ready = np.diff([*feed.at, time.perf_counter()]).tolist()
        tested = MomentFeed(samples(sizes["tested"], video_ids[: sizes["tested_videos"]], lengths), video, query, fps=1.0)
        validation = _validation_seconds(model.eval(), tested, run.evaluate, where)
    epochs, steps = run.recipe.epochs, training.steps_per_epoch
    return {
        "queries": sizes["queries"],
        "batch": settings.batch_size,
        "precision": settings.amp,
        "steps": steps,
        "prepared_in_seconds": round(prepared, 1),
        "first_epoch_seconds": round(warm, 2),
        "epoch_seconds": round(fed, 2),
        "steps_per_second": round(steps / fed, 2),
        "epoch_seconds_with_batches_ready": round(ready, 2),
        "data_wait_share": round(max(0.0, 1 - ready / fed), 4),
        "host_share_of_feeding": round(feed.host_seconds / fed, 4),
        "validation_seconds": round(validation, 2),
        "minutes_of_a_whole_training": round((warm + (epochs - 1) * fed + epochs * validation) / 60, 1),
        "how": f"extrapolated: the first epoch, {epochs - 1} times the second, {epochs} validations of the test split's size",
    }


def _validation_seconds(model: Method, feed: MomentFeed, settings: Evaluate, device: torch.device) -> float:
    """Of predictions and corrected metrics as a training makes them, once the first have been made."""
    truth = ground_truth(feed.samples)
    seconds = 0.0
    for _ in range(2):
        begin = time.perf_counter()
        with torch.no_grad():
            validation_numbers(predict(model, feed, settings, device=device), truth)
        seconds = time.perf_counter() - begin
    return seconds


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    args = part_of_gpu(__doc__).parse_args(argv)
    write_whole(args.out, charades(args.device, tiny=args.tiny))


if __name__ == "__main__":
    main()
