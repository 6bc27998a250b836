"""CausalVTG, everything around the network that is fed: samples and batches, dictionary, learning rate."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.confounders.kmeans import pool, released
from stages.datasets.schema import MomentSample
from stages.features.info import StoreInfo
from stages.features.resident import Fused
from stages.features.store import FeatureStore
from stages.features.writer import StoreWriter
from stages.training.batches import MomentFeed
from stages.training.schedules import learning_rate
from stages.training.settings import Recipe
from tests.parity import Case, Comparison

FEATURES = 1e-5
SECONDS = 1e-4
RATES = 1e-9  # relative
SOURCES = {"set1": ("clip", "slowfast"), "set2": ("internvideo2",)}
MIN_DURATION = 5.0
LLOYD_STEPS = 300  # the default of the library at its pinned version


def dataset(case: Case, check: Comparison) -> None:
    """Raw files -> stores -> fused batches with targets, as training and evaluation get them."""
    with tempfile.TemporaryDirectory() as folder:
        for name, sources in SOURCES.items():
            samples = [_sample(label) for label in case.config["labels"][name] if label["duration"] >= MIN_DURATION]
            kept = case.config["kept_qids"][name]
            check.equal(f"kept_qids/{name}", [int(sample.query_id) for sample in samples], kept)
            feed = MomentFeed(samples, *_features(case, sources, samples, Path(folder)), float(case.config["fps"][name]))
            for index, sample in enumerate(samples):
                _record(feed, index, f"{name}/{sample.query_id}", check)
            if name == "set1":
                batched = re.findall(r"\d+", case.config["batch"].split("qids")[1].split("(")[0])
                _collated(feed, [kept.index(int(qid)) for qid in batched], check)


def _sample(label: Mapping[str, Any]) -> MomentSample:
    flag = label.get("no_answer")
    return MomentSample(
        sample_id=str(label["qid"]),
        video_id=label["vid"],
        query_id=str(label["qid"]),
        query=label["query"],
        duration=label["duration"],
        spans=tuple((start, end) for start, end in label.get("relevant_windows") or ()),
        relevant_clips=None if label.get("relevant_clip_ids") is None else tuple(label["relevant_clip_ids"]),
        saliency_scores=None if label.get("saliency_scores") is None else tuple(tuple(row) for row in label["saliency_scores"]),
        answerable=None if flag is None else not flag,
        published=json.dumps(label),
        source="config.json",
        record=label["qid"],
    )


def _features(case: Case, sources: tuple[str, ...], samples: list[MomentSample], folder: Path) -> tuple[Fused, Fused]:
    def fused(kinds: tuple[str, ...], ids: list[str], prefix: str) -> Fused:
        stores = []
        for kind in kinds:
            path = folder / f"{kind}-{sources[0]}.zarr"
            with StoreWriter(path) as writer:
                for item in sorted(set(ids)):
                    writer.add(item, case.inputs[f"{kind}/{prefix}{item}"])
                writer.finish(StoreInfo(dataset="case", feature=kind, kind="clip"))
            stores.append(FeatureStore.open(path))
        return Fused(stores, normalise=True, budget_bytes=2**30, ids=sorted(set(ids)))

    return fused(sources, [sample.video_id for sample in samples], ""), fused(("text",), [s.query_id for s in samples], "qid")


def _record(feed: MomentFeed, index: int, place: str, check: Comparison) -> None:
    """One record on its own, so nothing is padded."""
    sample = feed.samples[index]
    batch = feed.batch(np.array([index]), targets=f"{place}/boundary" in check.expected)
    check.close(f"{place}/video", batch.video[0], FEATURES)
    check.close(f"{place}/query", batch.query[0], FEATURES)
    if batch.spans is not None and batch.saliency is not None:
        check.close(f"{place}/boundary", batch.spans[0], SECONDS)
        check.close(f"{place}/saliency", batch.saliency[0], FEATURES)
        check.exact(f"{place}/pos_candidates", batch.saliency[0].nonzero()[:, 0])
    if f"{place}/no_answer" in check.expected:
        check.exact(f"{place}/no_answer", np.asarray(int(sample.answerable is False)))


def _collated(feed: MomentFeed, indices: list[int], check: Comparison) -> None:
    """Several records: ours is padded with zeros beside a mask, the reference's with infinity."""
    batch = feed.batch(np.array(indices))
    assert batch.spans is not None
    assert batch.spans_mask is not None
    for name, values, mask, tolerance in (
        ("video", batch.video, batch.video_mask, FEATURES),
        ("query", batch.query, batch.query_mask, FEATURES),
        ("boundary", batch.spans, batch.spans_mask, SECONDS),
    ):
        check.close(f"batch/{name}", values.masked_fill(~mask[..., None], np.inf), tolerance)
    check.close("batch/saliency", batch.saliency, FEATURES)


def lr_schedule(case: Case, check: Comparison) -> None:
    """The learning rate of every optimiser step."""
    for number, given in enumerate(case.config["settings"]):
        settings = Recipe(
            epochs=given["epochs"],
            batch_size=64,
            lr=given["lr"],
            weight_decay=1e-4,
            schedule="step",
            steps=tuple(given["step"]),
            warmup_steps=given["warmup"],
            clip_norm=35.0,
        )
        steps = range(given["epochs"] * given["iters"])
        ours = [learning_rate(settings, step=step, steps_per_epoch=given["iters"]) for step in steps]
        check.close(f"lr/{number}", ours, RATES, relative_to=np.abs(check.expected[f"lr/{number}"]))


def kmeans(case: Case, check: Comparison) -> None:
    """Pooling, clustering, choice of members; files in the order of their numbers."""
    items = [pool(rows) for rows in case.indexed("file")]
    mean, maximum = (np.stack([item[part] for item in items]) for part in (0, 1))
    clusters = released(mean, maximum, k=case.config["n_clusters"], seed=case.config["numpy_seed"], iterations=LLOYD_STEPS)
    for how, pooled, found in (("mean", mean, clusters["mean"]), ("max", maximum, clusters["max"])):
        check.close(f"pooled_{how}", pooled, FEATURES)
        check.exact(f"labels_{how}", found.labels)
        check.exact(f"picked_{how}", found.members)
        check.close(f"{how}_pool_c", pooled[found.members], FEATURES)
