"""Task "relations": moving objects, and how they relate; methods learn from annotated trajectories.

batch models.batch.Relations -> models.batch.PairScores -> relations of whole videos in the layout of the VidVRD scorer

features.video names the store of appearance, features.objects that of the proposals (stages/datasets/relation_schema.py).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from models.causal.prototypes import mean_cosine
from models.method import Method
from stages.auditing.outcomes import Outcomes
from stages.datasets.relation_schema import Relation, RelationSample
from stages.datasets.samples import read_samples, training_split
from stages.datasets.schema import DatasetError
from stages.features.store import FeatureStore, StoreError
from stages.metrics.long_tail import GROUPS, groups_by_count
from stages.metrics.relation_report import Training, numbers, pair_numbers, split_report
from stages.metrics.relations import average_precision, matches, ranked
from stages.metrics.report import Numbers
from stages.params import Run
from stages.predictions.inference import PredictionError
from stages.predictions.pages import spread
from stages.relations.feed import RelationFeed
from stages.relations.inference import Scores, Videos
from stages.relations.proposals import Proposals, for_training
from stages.relations.settings import RelationEvaluate
from stages.relations.vocabulary import FILE, Vocabulary
from stages.tasks.task import Data, Finished, Inputs, Predicted, Prepared, Record, Results, Split
from stages.training.loop import TrainingError, Validate

VERSION = "VERSION 1.0"  # of the published result files
RANKS = (1, 5, 10, 50, 100)  # places that outcomes look at
MEASURES = tuple(name for k in RANKS for name in (f"R@{k}", *(f"{group} R@{k}" for group in GROUPS)))
SHOWN = 20  # relations of an example, true and predicted

log = logging.getLogger(__name__)


def prepare(run: Run, inputs: Inputs, device: torch.device) -> Prepared:
    """Segments of the labelled durations, the metrics of the selection videos, the names.

    Raises TrainingError or StoreError: not one store of each kind, another number of classes or predicates than the model has, no
    segment with proposals.
    """
    proposals = open_proposals(inputs.features, run.features.stores())
    training, chosen = training_split(inputs.samples, RelationSample, selection=run.train.selection)
    names = Vocabulary.of(inputs.samples, training)
    _check(run, names, proposals)
    there = [sample for sample in training if proposals.has(sample.video_id)]
    segments, missing = for_training(there, proposals)
    if not segments:
        raise TrainingError(f"{inputs.features}: none of the labelled segments of {inputs.samples} has proposals")
    if missing or len(there) < len(training):
        lost = len(training) - len(there), len(training), missing, missing + len(segments)
        log.warning("no proposals: %d of %d training videos and %d of %d labelled segments of the others are left out", *lost)
    feed = RelationFeed(segments, proposals, classes=names.class_ids, predicates=names.predicate_ids)
    validate = _validation(Videos(chosen, proposals, names), run.evaluate, device)
    return Prepared(feed=feed, validate=validate, files={FILE: names.content()})


def open_proposals(folder: Any, features: dict[str, tuple[str, ...]]) -> Proposals:
    """The stores of a run. Raises StoreError unless it names one of each kind."""
    appearance, proposals = features.get("video", ()), features.get("objects", ())
    if len(appearance) != 1 or len(proposals) != 1 or features.get("query"):
        raise StoreError(
            f"{folder}: relations are read from one store of appearance (features.video) and one of proposals "
            f"(features.objects), and there are no queries; got {features}"
        )
    return Proposals(*(FeatureStore.open(folder / f"{name}.zarr") for name in (*proposals, *appearance)))


def _check(run: Run, names: Vocabulary, proposals: Proposals) -> None:
    found = {"classes": len(names.classes), "predicates": len(names.predicates)}
    for field, count in found.items():
        if (told := getattr(run.model, field)) != count:
            raise TrainingError(f"model.{field} is {told}, but the annotations of {run.dataset} name {count}; write that number")
    if proposals.classes != found["classes"]:
        raise TrainingError(
            f"{proposals.proposals.path}: {proposals.classes} class scores, but the annotations name {found['classes']} classes; "
            "scores have to be in the alphabetical order of all of them"
        )


def _training(names: Vocabulary, settings: RelationEvaluate) -> Training:
    return Training(
        counts=names.counts,
        triplets=set(names.triplets),
        head_share=settings.head_share,
        tail_below=settings.tail_below,
        recall_at=settings.recall_at,
    )


def _validation(videos: Videos, settings: RelationEvaluate, device: torch.device) -> Validate | None:
    """The corrected metrics of the relations that would be published of the selection videos."""
    truth = {sample.video_id: sample.truth() for sample in videos.samples}
    if not any(truth.values()):
        return None
    training = _training(videos.names, settings)

    def validate(model: Method) -> dict[str, float]:
        scores = videos.scores(model, batch_size=settings.batch_size, device=device, label="validation")
        found = numbers(videos.relations(scores, settings), truth, training) | _pairs(videos, scores, training)
        return {name: value for name, value in (found | _prototypes(model)).items() if value is not None}

    return validate


def _pairs(videos: Videos, scores: Sequence[Scores], training: Training) -> Numbers:
    return pair_numbers(*videos.right_pairs(scores), videos.names.predicates, training)


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A run that is ready to find relations."""

    finished: Finished
    proposals: Proposals
    names: Vocabulary
    settings: RelationEvaluate

    def videos(self, name: str, samples: Sequence[RelationSample]) -> Videos:
        """The samples that have proposals. Raises DatasetError if none has."""
        kept = [sample for sample in samples if self.proposals.has(sample.video_id)]
        if not kept:
            raise DatasetError(f"split {name}: none of its {len(samples)} videos has proposals in the stores of this run")
        return Videos(kept, self.proposals, self.names)

    def scores(self, name: str, videos: Videos) -> list[Scores]:
        """What the model says about every segment."""
        size, device = self.settings.batch_size, self.finished.device
        return videos.scores(self.finished.model, batch_size=size, device=device, label=name)

    def split(self, name: str, samples: Sequence[RelationSample]) -> Split:
        """Predict one split and score it."""
        videos, training = self.videos(name, samples), _training(self.names, self.settings)
        scores = self.scores(name, videos)
        relations = videos.relations(scores, self.settings)
        truth = {sample.video_id: sample.truth() for sample in videos.samples}
        report, trivial = None, dict[str, Numbers]()
        if any(truth.values()):
            more = _pairs(videos, scores, training) | _prototypes(self.finished.model)
            report = split_report(relations, truth, training, more)
            guesses = videos.guesses()
            trivial["frequency"] = numbers(videos.relations(guesses, self.settings), truth, training) | _pairs(
                videos, guesses, training
            )
        there = {sample.sample_id for sample in videos.samples}
        records = [record_of(sample, relations[sample.video_id], training) for sample in videos.samples]
        return Split(
            name=name,
            samples=videos.samples,
            predictions=records,
            dropped=[sample.sample_id for sample in samples if sample.sample_id not in there],
            report=report,
            baselines=trivial,
            examples=examples(videos.samples, relations, split=name, chosen=self.settings.examples),
            files={".results.json": submission(records)} if self.settings.submission else {},
        )


def _prototypes(model: Method) -> Numbers:
    """How alike the prototypes have become; nothing for a method without."""
    prototypes, count = getattr(model, "prototypes", None), getattr(model, "prototype_count", None)
    if prototypes is None or count is None or not bool((count > 0).any()):
        return {}
    return {"prototype cosine": mean_cosine(prototypes.float().cpu(), count.cpu())}


def record_of(sample: RelationSample, relations: Sequence[Relation], training: Training) -> Record:
    """The relations of a video in the published layout; and the rank, from 1, at which every true one is found, or null."""
    truth, group = sample.truth(), groups_by_count(training.counts, **training.grouping)
    match = matches(ranked(relations), truth)
    rank = {int(found): place + 1 for place, found in enumerate(match) if found >= 0}
    return {
        "sample_id": sample.sample_id,
        "video_id": sample.video_id,
        "average_precision": average_precision(match >= 0, len(truth)) if truth else None,
        "truth": [
            {
                "triplet": list(one.triplet),
                "duration": [one.first, one.end],
                "group": group.get(one.triplet[1], "tail"),
                "rank": rank.get(place),
            }
            for place, one in enumerate(truth)
        ],
        "results": [_published(one) for one in relations],
    }


def _published(one: Relation) -> Record:
    return {
        "triplet": list(one.triplet),
        "score": one.score,
        "duration": [one.first, one.end],
        "sub_traj": _plain(one.subject),
        "obj_traj": _plain(one.object),
    }


def _plain(boxes: Any) -> list[list[float]]:
    """Whole numbers without a point: half the file."""
    whole = boxes.astype(np.int64)
    listed: list[list[float]] = (whole if (whole == boxes).all() else boxes).tolist()
    return listed


def submission(records: Sequence[Record]) -> bytes:
    """The file that the published scorers read."""
    content = {"version": VERSION, "results": {record["video_id"]: record["results"] for record in records}}
    return (json.dumps(content, ensure_ascii=False) + "\n").encode()


def examples(
    samples: Sequence[RelationSample], relations: dict[str, list[Relation]], *, split: str, chosen: int
) -> list[dict[str, Any]]:
    """Some videos for the results page: true relations with the rank at which each is found, predicted ones, hit or not."""
    return [_example(samples[place], relations[samples[place].video_id], split) for place in spread(len(samples), chosen)]


def _example(sample: RelationSample, relations: Sequence[Relation], split: str) -> dict[str, Any]:
    truth, best = sample.truth(), ranked(relations)
    match = matches(best, truth)
    rank = {int(found): place + 1 for place, found in enumerate(match) if found >= 0}

    def told(one: Relation) -> dict[str, Any]:
        return {"triplet": list(one.triplet), "span": [one.first / sample.fps, one.end / sample.fps]}

    return {
        "split": split,
        "sample_id": sample.sample_id,
        "query": f"Relations in video {sample.video_id}",
        "video_id": sample.video_id,
        "duration": sample.duration,
        "truth": [],
        "windows": [],
        "saliency": [],
        "seconds_per_clip": 1 / sample.fps,
        "answerable_probability": None,
        "saliency_truth": None,
        "relations": {
            "truth": [{**told(one), "rank": rank.get(place)} for place, one in enumerate(truth[:SHOWN])],
            "predicted": [
                {**told(one), "score": one.score, "hit": bool(found >= 0)}
                for one, found in zip(best[:SHOWN], match, strict=False)
            ],
        },
    }


def _predictor(finished: Finished, data: Data, settings: RelationEvaluate) -> Predictor:
    return Predictor(
        finished=finished,
        proposals=open_proposals(data.features, finished.record.features),
        names=Vocabulary.read(finished.folder),
        settings=settings,
    )


def results(finished: Finished, entry: Run, data: Data) -> Results:
    """Every split of entry.evaluate.splits."""
    predictor = _predictor(finished, data, entry.evaluate)
    splits = [predictor.split(name, read_samples(data.samples, name, RelationSample)) for name in entry.evaluate.splits]
    return Results(splits=splits, recipes=predictor.proposals.recipes())


def predicted(
    finished: Finished,
    entry: Run | None,
    data: Data,
    split: str,
    settings: RelationEvaluate | None,
) -> Predicted:
    """One split, without scores of its own.

    Raises PredictionError for a run that params.yaml does not know: how pairs become relations of videos is said there alone.
    """
    if entry is None or settings is None:
        raise PredictionError(
            f"{finished.folder}: params.yaml has no entry {finished.record.run!r} that says how pairs become relations; name one "
            "with --settings"
        )
    predictor = _predictor(finished, data, settings)
    videos = predictor.videos(split, read_samples(data.samples, split, RelationSample))
    relations = videos.relations(predictor.scores(split, videos), settings)
    training = _training(predictor.names, settings)
    records = [record_of(sample, relations[sample.video_id], training) for sample in videos.samples]
    return Predicted(samples=videos.samples, records=records, examples=[])


def outcomes(data: Data, split: str, records: Sequence[Record]) -> Outcomes:  # noqa: ARG001  every task's function has both
    """Per true relation whether it is among the K best of its video, in percent; of all, and of head, body and tail alone."""
    rows = [(f"{record['sample_id']}#{place}", one) for record in records for place, one in enumerate(record["truth"])]
    values: dict[str, Any] = {}
    for k in RANKS:
        found = np.array([100.0 * (one["rank"] is not None and one["rank"] <= k) for _, one in rows])
        values[f"R@{k}"] = found
        for group in GROUPS:
            inside = np.array([one["group"] == group for _, one in rows])
            values[f"{group} R@{k}"] = np.where(inside, found, np.nan)
    texts = {name: " ".join(one["triplet"]) for name, one in rows}
    return Outcomes([name for name, _ in rows], values, texts)
