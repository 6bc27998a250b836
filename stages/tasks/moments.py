"""Task "moments": a query in words, to be found in time; methods learn from the times.

batch models.batch.Grounding -> models.batch.Moments -> windows in the benchmark's submission format
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.method import Method
from stages.auditing.outcomes import REACHED, Outcomes, reached
from stages.confounders.files import read_rows
from stages.datasets.ground_truth import ground_truth, is_labelled
from stages.datasets.samples import read_samples, training_split
from stages.datasets.schema import DatasetError, MomentSample
from stages.features.store import StoreError
from stages.features.streams import Streams
from stages.metrics.localisation import overlap
from stages.metrics.report import baseline_numbers, split_report, validation_numbers
from stages.params import Run
from stages.predictions.baselines import baselines, shares
from stages.predictions.dictionary_attention import with_attention
from stages.predictions.inference import predict, published_ids
from stages.predictions.pages import examples
from stages.predictions.settings import Evaluate
from stages.tasks.task import Data, Finished, Inputs, Predicted, Prepared, Record, Results, Split
from stages.training.batches import MomentFeed
from stages.training.loop import TrainingError, Validate
from stages.training.runs import RunRecord
from stages.training.settings import Shown
from stages.training.shown import part

SHOWN = 6  # timelines of a split that is only predicted
NMS_THRESHOLD = 0.7  # of the published post-processing; only where params.yaml has no entry for the run
TOP = 50
MEASURES = REACHED

log = logging.getLogger(__name__)


def prepare(run: Run, inputs: Inputs, device: torch.device) -> Prepared:
    """Batches over resident features, the corrected metrics of the selection samples, the rows of the dictionaries."""
    streams = Streams(inputs.features, {"video": run.features.video, "query": run.features.query})
    feed, chosen = _feeds(run, inputs, streams, device)
    rows = {stream: torch.from_numpy(read_rows(path)) for stream, path in inputs.confounders.items()}
    return Prepared(feed=feed, validate=_validation(chosen, run.evaluate, device), rows=rows)


def _feeds(run: Run, inputs: Inputs, streams: Streams, device: torch.device) -> tuple[MomentFeed, MomentFeed]:
    """Batches to train on and to select by, over the same resident features.

    Raises StoreError or TrainingError: stores that cannot be fused, samples without features.
    """
    videos = streams.stores["video"]
    if len(rates := {store.info.fps for store in videos}) > 1 or None in rates:
        shown = ", ".join(f"{store.info.feature} {store.info.fps}" for store in videos)
        raise StoreError(f"{inputs.features}: video features need one and the same fps, got {shown}; set it under features")
    samples = training_split(inputs.samples, min_duration=run.train.min_duration, selection=run.train.selection)
    training, chosen = (_with_features(part, streams) for part in samples)
    both, budget = [*training, *chosen], run.train.budget_bytes
    # Queries first: they are the smaller part, so that it is the videos which are streamed where the budget does not do for both.
    query = streams.fused("query", (sample.query_id for sample in both), budget_bytes=budget, device=device)
    budget -= query.resident_bytes
    whole = streams.fused("video", (sample.video_id for sample in both), budget_bytes=budget, device=device)
    video = part(whole, run.features.shown)
    fps = float(rates.pop() or 0)
    feeds = [MomentFeed(part, video, query, fps, pad_multiple=run.train.pad_multiple) for part in (training, chosen)]
    return feeds[0], feeds[1]


def _with_features(samples: list[MomentSample], streams: Streams) -> list[MomentSample]:
    """The samples that have features. Others are an error unless the consolidation was told to drop them and counted them."""
    there = [streams.has("video", sample.video_id) and streams.has("query", sample.query_id) for sample in samples]
    kept = [sample for sample, found in zip(samples, there, strict=True) if found]
    if lost := len(samples) - len(kept):
        stores = [store for several in streams.stores.values() for store in several]
        if not kept or not any(store.info.quality.get(rule) for store in stores for rule in ("missing", "empty")):
            first = samples[there.index(False)]
            raise TrainingError(
                f"{lost} of {len(samples)} samples have no features in {', '.join(str(store.path) for store in stores)}; first "
                f"of them {first.sample_id} (video {first.video_id}, query {first.query_id}); run consolidate again"
            )
        log.warning(
            "%d of %d samples left out: their features are missing, and the consolidation was told so", lost, len(samples)
        )
    return kept


def _validation(feed: MomentFeed, settings: Evaluate, device: torch.device) -> Validate | None:
    """Corrected metrics on the selection samples, from windows as they would be published; None where they have no labels."""
    if not is_labelled(feed.samples):
        return None
    truth = ground_truth(feed.samples)
    return lambda model: validation_numbers(predict(model, feed, settings, device=device, label="validation"), truth)


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A run that is ready to predict: its model on `device`, the stores it reads, clips per second of its video features."""

    model: Method
    streams: Streams
    fps: float
    device: torch.device
    budget_bytes: int
    shown: Shown = "all"

    def available(self, samples: Sequence[MomentSample]) -> list[MomentSample]:
        """The samples whose video and query every store has."""
        has = self.streams.has
        return [sample for sample in samples if has("video", sample.video_id) and has("query", sample.query_id)]

    def feed(self, samples: Sequence[MomentSample]) -> MomentFeed:
        """Batches of the samples.

        Raises StoreError if features of one are not there.
        """
        video, query = (
            self.streams.fused(stream, ids, budget_bytes=self.budget_bytes, device=self.device)
            for stream, ids in (("video", [one.video_id for one in samples]), ("query", [one.query_id for one in samples]))
        )
        return MomentFeed(samples, part(video, self.shown), query, self.fps)

    def predict(self, samples: Sequence[MomentSample], settings: Evaluate, label: str) -> list[Record]:
        """Submission records of the samples.

        Raises StoreError if features of one are not there.
        """
        return predict(self.model, self.feed(samples), settings, device=self.device, label=label)


def features(record: RunRecord, entry: Run | None) -> dict[str, tuple[str, ...]]:
    """Store names per stream; of an imported run that does not know them, those of its entry."""
    if record.features or entry is None:
        return record.features
    return {"video": entry.features.video, "query": entry.features.query}


def _predictor(finished: Finished, entry: Run | None, data: Data) -> Predictor:
    return Predictor(
        model=finished.model,
        streams=Streams(data.features, features(finished.record, entry)),
        fps=finished.record.fps,
        device=finished.device,
        budget_bytes=finished.budget_bytes,
        shown=finished.record.shown,
    )


def results(finished: Finished, entry: Run, data: Data) -> Results:
    """Every split; what was trained on gives the lengths of the baselines' windows."""
    predictor = _predictor(finished, entry, data)
    training, _ = training_split(data.samples, selection=entry.train.selection)
    lengths = shares(training)
    splits = [
        _split(name, read_samples(data.samples, name), predictor, entry.evaluate, lengths) for name in entry.evaluate.splits
    ]
    return Results(splits=splits, recipes=predictor.streams.recipes())


def _split(name: str, samples: list[MomentSample], predictor: Predictor, settings: Evaluate, lengths: NDArray[Any]) -> Split:
    """Predict one split and score it.

    Raises DatasetError if no sample of the split has features.
    """
    kept = predictor.available(samples)
    there = {sample.sample_id for sample in kept}
    dropped = [sample.sample_id for sample in samples if sample.sample_id not in there]
    if not kept:
        raise DatasetError(f"split {name}: none of its {len(samples)} samples has features in the stores of this run")
    if dropped:
        log.warning("split %s: %d samples have no features and are not scored, the first is %s", name, len(dropped), dropped[0])
    predictions = predictor.predict(kept, settings, name)
    report, trivial = None, {}
    if is_labelled(kept):
        truth = ground_truth(kept)
        may_reject = all(sample.answerable is not None for sample in kept)
        guesses = baselines(kept, lengths, seed=settings.baseline_seed, unanswerable=may_reject)
        report = split_report(predictions, truth)
        trivial = {label: baseline_numbers(rows, truth) for label, rows in guesses.items()}
    return Split(
        name=name,
        samples=kept,
        predictions=predictions,
        dropped=dropped,
        report=report,
        baselines=trivial,
        examples=_with_attention(
            predictor, kept, examples(kept, predictions, split=name, fps=predictor.fps or 1.0, chosen=settings.examples)
        ),
    )


def _with_attention(predictor: Predictor, samples: Sequence[MomentSample], shown: list[Record]) -> list[Record]:
    """Examples with what the method read off its dictionary, where it has one."""
    if not shown:
        return []
    by_id = {sample.sample_id: sample for sample in samples}
    feed = predictor.feed([by_id[one["sample_id"]] for one in shown])
    return with_attention(shown, predictor.model, feed, predictor.device)


def predicted(finished: Finished, entry: Run | None, data: Data, split: str, settings: Evaluate) -> Predicted:
    """Raises DatasetError or StoreError if samples or features are not there: a submission has to be complete."""
    samples = read_samples(data.samples, split)
    records = _predictor(finished, entry, data).predict(samples, settings, split)
    shown = examples(samples, records, split=split, fps=finished.record.fps, chosen=SHOWN)
    return Predicted(samples=samples, records=records, examples=shown)


def post_processing(record: RunRecord, entry: Run | None, rounding_unit: float | None) -> Evaluate:
    """How windows are published: the settings of the run's entry, or those that were published with the method.

    rounding_unit    seconds, instead of the entry's
    """
    given = entry.evaluate if entry else None
    return Evaluate(
        splits=(),
        batch_size=given.batch_size if given else 64,
        top=given.top if given else TOP,
        nms_threshold=given.nms_threshold if given else NMS_THRESHOLD,
        rounding_unit=rounding_unit if rounding_unit is not None else given.rounding_unit if given else None,
        rounding=given.rounding if given else "released" if record.model.get("numerics") == "released" else "corrected",
        primary=(),
        published=None,
        baseline_seed=0,
        examples=SHOWN,
    )


def outcomes(data: Data, split: str, records: Sequence[Record]) -> Outcomes:
    """IoU of the best window, and whether it reaches 0.5 and 0.7, per query that has an answer."""
    samples = {published_ids(sample): sample for sample in read_samples(data.samples, split)}
    kept = [(sample, record) for record in records if (sample := samples[record["vid"], record["qid"]]).spans]
    spans = [overlap(np.array(record["pred_relevant_windows"][0][:2]), np.array(sample.spans)) for sample, record in kept]
    return reached([sample.sample_id for sample, _ in kept], np.array([values.max() for values in spans]))
