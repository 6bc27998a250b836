"""Task "weak_moments": the same queries, but methods never see a time; they learn by filling in hidden words.

batch models.batch.Description -> models.batch.Proposals -> proposals with their losses, and the window that answers
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.method import Method
from stages.auditing.outcomes import REACHED, Outcomes, reached
from stages.datasets.ground_truth import fractions
from stages.datasets.samples import quality_report, read_samples, training_split
from stages.datasets.schema import DatasetError, MomentSample
from stages.features.guesses import Guesses, word_kinds
from stages.features.resample import Resampled
from stages.features.store import FeatureStore
from stages.features.vocabularies import read_sentences
from stages.metrics.localisation import MOST, elected, overlap
from stages.metrics.report import Numbers, SplitReport
from stages.metrics.weak_report import baselines, groups, numbers, ranked_spans, recall
from stages.params import Run
from stages.predictions.inference import PredictionError
from stages.predictions.pages import examples
from stages.predictions.proposals import predict, reconstruction_rates, windows
from stages.predictions.settings import WeakEvaluate
from stages.tasks.task import Data, Finished, Inputs, Predicted, Prepared, Record, Results, Split
from stages.training.descriptions import DescriptionFeed
from stages.training.loop import TrainingError, Validate
from stages.training.runs import VOCABULARY, RunRecord

CLIP_RATE = 1.0  # of the time axis of examples: resampled clips are not spaced in time
MEASURES = (*REACHED, "R5@0.5")

log = logging.getLogger(__name__)


def prepare(run: Run, inputs: Inputs, device: torch.device) -> Prepared:
    """No dictionaries; the vocabulary is the file of the query stream, and goes into the run folder.

    Raises VocabularyError, StoreError or TrainingError: no vocabulary, another store than needed, nothing to train on.
    """
    if not run.features.video or run.features.query or run.features.clips is None:
        raise TrainingError(f"{run.method} reads video features, resampled (clips), and no query features")
    stores = [FeatureStore.open(inputs.features / f"{name}.zarr") for name in run.features.video]
    facts = quality_report(inputs.samples)
    splits = facts["train"], run.train.selection or facts["validation"] or facts["train"]
    parts = training_split(inputs.samples, min_duration=run.train.min_duration, selection=run.train.selection)
    if not run.train.hold_out and splits[0] == splits[1]:
        parts = [*parts[0], *parts[1]], []
    there = {sample.video_id for part in parts for sample in part}
    there = {video for video in there if all(video in store for store in stores)}
    videos = Resampled(stores, clips=run.features.clips, budget_bytes=run.train.budget_bytes, ids=sorted(there))
    feeds = []
    for split, part in zip(splits, parts, strict=True):
        texts = read_sentences(inputs.confounders["query"], split)
        kept = [sample for sample in part if sample.video_id in there and sample.sample_id in texts]
        if len(kept) < len(part):
            log.warning("%d of %d samples left out: no features, or no word of the vocabulary", len(part) - len(kept), len(part))
        feeds.append(DescriptionFeed(kept, videos, texts))
    feed, chosen = feeds
    if not len(feed):
        raise TrainingError(f"{inputs.samples}: none of its training samples has both features and words")
    return Prepared(
        feed=feed,
        validate=_validation(chosen, run, device) if len(chosen) else None,
        files={VOCABULARY: inputs.confounders["query"].read_bytes()},
    )


def _validation(feed: DescriptionFeed, run: Run, device: torch.device) -> Validate:
    """The corrected metrics of the answers that would be given on the selection samples."""
    truth, settings = fractions(feed.samples), run.evaluate

    def validate(model: Method) -> dict[str, float]:
        form = {"batch_size": settings.batch_size, "seed": run.seed, "masks": settings.masks}
        found = predict(model, feed, device=device, label="validation", **form)
        return numbers(ranked_spans(found), truth, settings.vote)

    return validate


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the training split says by itself: windows (n, 2) for trivial baselines, and which words follow which."""

    windows: NDArray[Any]
    guesses: Guesses


def _spoken(vocabulary: Path, split: str) -> list[list[int]]:
    texts = read_sentences(vocabulary, split)
    return [texts.words(item) for item in texts.ids]


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A run that proposes instead of predicting: its model on `device`, the stores it reads, its vocabulary file."""

    model: Method
    stores: Sequence[FeatureStore]
    vocabulary: Path
    clips: int
    seed: int
    device: torch.device
    budget_bytes: int

    def feed(self, split: str, samples: Sequence[MomentSample]) -> DescriptionFeed:
        """The samples of a split that have features and words."""
        texts = read_sentences(self.vocabulary, split)
        kept = [
            sample for sample in samples if sample.sample_id in texts and all(sample.video_id in store for store in self.stores)
        ]
        if not kept:
            raise DatasetError(f"split {split}: none of its {len(samples)} samples has both features and words")
        ids = sorted({sample.video_id for sample in kept})
        videos = Resampled(self.stores, clips=self.clips, budget_bytes=self.budget_bytes, ids=ids)
        return DescriptionFeed(kept, videos, texts)

    def propose(self, name: str, feed: DescriptionFeed, settings: WeakEvaluate) -> list[Record]:
        """Proposals with their losses, one record per sample; the answer's window stands first."""
        form: dict[str, Any] = {"batch_size": settings.batch_size, "seed": self.seed, "device": self.device, "label": name}
        found = predict(self.model, feed, masks=settings.masks, **form)
        spans = ranked_spans(found)
        answers = windows(spans, elected(spans, settings.vote), [sample.duration for sample in feed.samples])
        return [
            {**row, "qid": sample.sample_id, "pred_relevant_windows": rows}
            for row, sample, rows in zip(found, feed.samples, answers, strict=True)
        ]

    def split(self, name: str, samples: Sequence[MomentSample], settings: WeakEvaluate, known: Known) -> Split:
        """Predict one split and score it."""
        feed = self.feed(name, samples)
        predictions = self.propose(name, feed, settings)
        spans, truth = ranked_spans(predictions), fractions(feed.samples)
        metrics: Numbers = dict(numbers(spans, truth, settings.vote))
        if settings.abnormal:
            metrics |= reconstruction_rates(
                self.model,
                feed,
                batch_size=settings.batch_size,
                seed=self.seed,
                kinds=word_kinds(known.guesses, read_sentences(self.vocabulary, name), [one.sample_id for one in feed.samples]),
                device=self.device,
                label=name,
            )
        kept = {sample.sample_id for sample in feed.samples}
        return Split(
            name=name,
            samples=feed.samples,
            predictions=predictions,
            dropped=[sample.sample_id for sample in samples if sample.sample_id not in kept],
            report=SplitReport(metrics, recall(spans, truth, settings.vote), groups(spans, truth, settings.vote)),
            baselines={label: dict(values) for label, values in baselines(known.windows, truth, settings.baseline_seed).items()},
            examples=examples(feed.samples, predictions, split=name, fps=CLIP_RATE, chosen=settings.examples),
        )


def _predictor(finished: Finished, entry: Run, data: Data) -> Predictor:
    names = (finished.record.features or {"video": entry.features.video})["video"]
    return predictor_of(finished, entry, stores=[FeatureStore.open(data.features / f"{name}.zarr") for name in names])


def predictor_of(finished: Finished, entry: Run, *, stores: Sequence[FeatureStore]) -> Predictor:
    """What the run's folder says; what an imported checkpoint does not say, its entry does.

    Raises LookupError if neither says to how many clips videos are resampled.
    """
    record = finished.record
    clips = record.clips or entry.features.clips
    if clips is None:
        raise LookupError(f"{finished.folder}: neither the run nor params.yaml says to how many clips its videos are resampled")
    return Predictor(
        model=finished.model,
        stores=stores,
        vocabulary=_vocabulary(finished.folder, entry),
        clips=clips,
        seed=_seed(record, entry),
        device=finished.device,
        budget_bytes=finished.budget_bytes,
    )


def _vocabulary(folder: Path, entry: Run) -> Path:
    """The run's own; an imported checkpoint has none."""
    own = folder / VOCABULARY
    return own if own.is_file() else Path(entry.confounders.query)


def _seed(record: RunRecord, entry: Run) -> int:
    return entry.seed if record.seed is None else record.seed


def results(finished: Finished, entry: Run, data: Data) -> Results:
    """Every split; the windows that were trained on are what the baselines know."""
    predictor, settings = _predictor(finished, entry, data), entry.evaluate
    known = Known(
        windows=fractions(training_split(data.samples, selection=entry.train.selection)[0]),
        guesses=Guesses(_spoken(predictor.vocabulary, quality_report(data.samples)["train"])),
    )
    return Results(
        splits=[predictor.split(name, read_samples(data.samples, name), settings, known) for name in settings.splits],
        recipes={store.path.stem: store.info.recipe for store in predictor.stores},
    )


def predicted(finished: Finished, entry: Run | None, data: Data, split: str, settings: WeakEvaluate) -> Predicted:
    """Raises PredictionError for a run that params.yaml does not know: how its proposals answer is said there alone."""
    if entry is None:
        raise PredictionError(
            f"{finished.folder}: params.yaml has no entry {finished.record.run!r} that says how proposals answer; "
            "name one with --settings"
        )
    predictor = _predictor(finished, entry, data)
    feed = predictor.feed(split, read_samples(data.samples, split))
    records = predictor.propose(split, feed, settings)
    shown = examples(feed.samples, records, split=split, fps=CLIP_RATE, chosen=settings.examples)
    return Predicted(samples=feed.samples, records=records, examples=shown)


def outcomes(data: Data, split: str, records: Sequence[Record]) -> Outcomes:
    """IoU of the window that answers, whether it reaches 0.5 and 0.7, and whether one of the first five reaches 0.5."""
    samples = {sample.sample_id: sample for sample in read_samples(data.samples, split)}
    kept = [samples[record["qid"]] for record in records]
    truth, durations = fractions(kept), np.array([sample.duration for sample in kept])
    answers = np.array([record["pred_relevant_windows"][0][:2] for record in records]) / durations[:, None]
    found = reached([sample.sample_id for sample in kept], overlap(answers, truth))
    best = overlap(ranked_spans(records)[:, :MOST], truth[:, None]).max(axis=1)
    return Outcomes(found.ids, {**found.values, "R5@0.5": 100.0 * (best >= 0.5)})
