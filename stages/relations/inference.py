"""What a trained model, or mere frequency, says about the relations of whole videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from models.method import Method
from stages.datasets.relation_schema import Relation, RelationSample
from stages.relations.association import Found, associate, candidates, named
from stages.relations.feed import RelationFeed, ordered_pairs
from stages.relations.proposals import Proposals, Segment, whole_video
from stages.relations.settings import RelationEvaluate
from stages.relations.vocabulary import Vocabulary


@dataclass(frozen=True)
class Scores:
    """Of one segment: objects (N, C), pairs (Q, 2), predicates (Q, P), probabilities."""

    objects: NDArray[Any]
    pairs: NDArray[Any]
    predicates: NDArray[Any]


class Videos:
    """The segments of some videos, video by video in the order of time; videos without proposals have none."""

    def __init__(self, samples: Sequence[RelationSample], proposals: Proposals, names: Vocabulary) -> None:
        self.samples, self.proposals, self.names = list(samples), proposals, names
        segments = [
            (sample, segment)
            for sample in samples
            if proposals.has(sample.video_id)
            for segment in whole_video(sample, proposals.segments(sample.video_id))
        ]
        self.feed = RelationFeed(segments, proposals, classes=names.class_ids, predicates=names.predicate_ids)

    def scores(self, model: Method, *, batch_size: int, device: torch.device, label: str) -> list[Scores]:
        """What the model, in eval state on `device`, says about every segment of the feed."""
        out: list[Scores] = []
        bar = tqdm(total=len(self.feed), desc=label, unit="segment", dynamic_ncols=True, mininterval=0.5, leave=None)
        with torch.inference_mode(), bar:
            for begin in range(0, len(self.feed), batch_size):
                places = np.arange(begin, min(begin + batch_size, len(self.feed)))
                batch = self.feed.batch(places, targets=False).to(device)
                found = model.decode(model(batch, None), batch)
                out += [Scores(one.objects.numpy(), one.pairs.numpy(), one.predicates.numpy()) for one in found]
                bar.update(len(places))
        return out

    def guesses(self) -> list[Scores]:
        """What the training frequencies of the detected class pairs say, without a look at the trajectories."""
        table = frequencies(self.names)
        return [self._guess(segment, table) for _, segment in self.feed.segments]

    def _guess(self, segment: Segment, table: NDArray[np.float64]) -> Scores:
        objects = np.asarray(self.proposals.detections(segment).scores, dtype=np.float64)
        pairs = ordered_pairs(len(objects))
        subject, other = objects[pairs[:, 0]], objects[pairs[:, 1]]
        return Scores(objects, pairs, np.einsum("qs,qo,sop->qp", subject, other, table))

    def relations(self, scores: Sequence[Scores], settings: RelationEvaluate) -> dict[str, list[Relation]]:
        """Video id -> its relations, best first; every video of the samples has an entry."""
        out: dict[str, list[Relation]] = {sample.video_id: [] for sample in self.samples}
        for video, found in self._by_video(scores, settings):
            grown = associate(found, per_segment=settings.associated, first_score_one=settings.first_score_one)[: settings.kept]
            rounded = [(t, s, first, a.round(settings.decimals), b.round(settings.decimals)) for t, s, first, a, b in grown]
            out[video] = named(rounded, self.names.classes, self.names.predicates)
        return out

    def _by_video(self, scores: Sequence[Scores], settings: RelationEvaluate) -> Iterator[tuple[str, list[Found]]]:
        video, found = "", list[Found]()
        for (_, segment), one in zip(self.feed.segments, scores, strict=True):
            if segment.video_id != video:
                if found:
                    yield video, found
                video, found = segment.video_id, []
            form = {"per_pair": settings.per_pair, "per_segment": settings.per_segment}
            best = candidates(one.objects, one.pairs, one.predicates, **form)
            found.append(Found(segment.begin, self.proposals.detections(segment).filled(), best))
        if found:
            yield video, found

    def right_pairs(self, scores: Sequence[Scores]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of every true (pair, predicate) of the segments: the predicate id, and the one that the scores put first."""
        truth, first = [], []
        for index, one in enumerate(scores):
            rows = self.feed.labels(index).relations
            if len(rows):
                subject, other, predicate = rows.T
                count = len(one.objects)
                place = subject * (count - 1) + other - (other > subject)
                truth.append(predicate)
                first.append(one.predicates[place].argmax(axis=1))
        none = np.empty(0, dtype=np.int64)
        return np.concatenate([none, *truth]), np.concatenate([none, *first])


def frequencies(names: Vocabulary) -> NDArray[np.float64]:
    """(C, C, P): P(predicate | class pair) in training."""
    table = np.full((len(names.classes), len(names.classes), len(names.predicates)), 1e-9)
    for (subject, predicate, other), count in names.triplets.items():
        table[names.class_ids[subject], names.class_ids[other], names.predicate_ids[predicate]] += count
    return np.asarray(table / table.sum(axis=2, keepdims=True))
