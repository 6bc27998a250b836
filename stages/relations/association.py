"""From scored pairs of one segment to relations of a whole video.

Candidates    per pair the best products of subject class, predicate and object class; of these the best of the segment
Association   greedy, in the order of time (Shang et al., ACM MM 2017): a candidate extends the best relation of the segment
              before that says the same, still lasts, and whose subject and object both overlap it by a viou of 0.5 on the frames
              they share; boxes there become their mean. What extends nothing begins a relation. A relation's score is the mean of
              its segments' scores.

The published code gives relations that begin after the first segment the score 1 for their first one (`first_score_one`). It also
lets relations share their trajectories, so that extending one lengthens others: not done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.datasets.relation_schema import Float, Relation, viou

OVERLAP = 0.5


@dataclass(frozen=True)
class Candidate:
    """One relation of one segment: ids of subject class, predicate and object class; which proposals they are."""

    triplet: tuple[int, int, int]
    score: float
    subject: int
    object: int


@dataclass(frozen=True)
class Found:
    """What is predicted for one segment: its first frame, boxes (N, T, 4) of its proposals, candidates best first."""

    begin: int
    boxes: Float
    candidates: Sequence[Candidate]


def candidates(
    objects: NDArray[Any], pairs: NDArray[Any], predicates: NDArray[Any], *, per_pair: int, per_segment: int
) -> list[Candidate]:
    """objects (N, C), pairs (Q, 2), predicates (Q, P) probabilities -> the best candidates of a segment, best first.

    Of three falling lists, the product at places (i, j, k) can be among the best n only if (i + 1) (j + 1) (k + 1) <= n.
    """
    if not len(pairs):
        return []
    best_objects, best_predicates = (np.argsort(-part, axis=1, kind="stable")[:, :per_pair] for part in (objects, predicates))
    i, j, k = _reachable(per_pair, best_objects.shape[1], best_predicates.shape[1])
    subject, other = pairs.T
    names = best_objects[subject][:, i], best_predicates[:, j], best_objects[other][:, k]  # (Q, M) each
    rows = np.arange(len(pairs))[:, None]
    score = objects[subject[:, None], names[0]] * predicates[rows, names[1]] * objects[other[:, None], names[2]]
    kept = np.argsort(-score, axis=1, kind="stable")[:, :per_pair]
    pair, column = np.repeat(np.arange(len(pairs)), kept.shape[1]), kept.ravel()
    values = score[pair, column]
    order = np.argsort(-values, kind="stable")[:per_segment]
    triplets = np.stack([part[pair[order], column[order]] for part in names], axis=1).tolist()
    ends = pairs[pair[order]].tolist()
    return [
        Candidate((s, p, o), value, first, second)
        for (s, p, o), value, (first, second) in zip(triplets, values[order].tolist(), ends, strict=True)
    ]


def _reachable(best: int, classes: int, predicates: int) -> tuple[NDArray[np.int64], ...]:
    """Places (i, j, k) of the three lists that can be among the `best` products."""
    sizes = min(best, classes), min(best, predicates), min(best, classes)
    grid = np.indices(sizes).reshape(3, -1)
    return tuple(grid[:, (grid + 1).prod(axis=0) <= best])


@dataclass(eq=False)
class _Track:
    """A trajectory that relations may share, because it never changes: extending it makes another, once for all of them."""

    first: int
    boxes: Float
    extended: dict[int, _Track] = field(default_factory=dict)
    overlaps: dict[int, float] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.first + len(self.boxes)

    def overlap(self, place: int, begin: int, boxes: Float) -> float:
        """viou with proposal `place` of the newest segment on the frames that they share."""
        if place not in self.overlaps:
            shared = self.end - begin
            self.overlaps[place] = viou(self.boxes[-shared:], boxes[:shared], 0, 0)
        return self.overlaps[place]

    def extend(self, place: int, begin: int, boxes: Float) -> _Track:
        """With proposal `place` of the newest segment."""
        if place not in self.extended:
            shared = self.end - begin
            mean = (self.boxes[-shared:] + boxes[:shared]) / 2
            self.extended[place] = _Track(self.first, np.concatenate((self.boxes[:-shared], mean, boxes[shared:])))
        return self.extended[place]

    def forget(self) -> None:
        """What was said about the proposals of a segment that has passed."""
        self.extended, self.overlaps = {}, {}


@dataclass(eq=False)
class _Growing:
    """A relation that may yet be extended."""

    triplet: tuple[int, int, int]
    subject: _Track
    object: _Track
    scores: list[float]

    @property
    def score(self) -> float:
        return sum(self.scores) / len(self.scores)

    def takes(self, one: Candidate, found: Found) -> bool:
        """Whether the candidate goes on with this relation."""
        if self.subject.end <= found.begin:
            return False
        ends = ((self.subject, one.subject), (self.object, one.object))
        return all(track.overlap(place, found.begin, found.boxes[place]) >= OVERLAP for track, place in ends)

    def extend(self, one: Candidate, found: Found) -> None:
        self.subject = self.subject.extend(one.subject, found.begin, found.boxes[one.subject])
        self.object = self.object.extend(one.object, found.begin, found.boxes[one.object])
        self.scores.append(one.score)


def associate(
    segments: Sequence[Found], *, per_segment: int, first_score_one: bool = False
) -> list[tuple[tuple[int, int, int], float, int, Float, Float]]:
    """(triplet ids, score, first frame, subject boxes, object boxes) of every relation of a video, best first.

    segments       in the order of time
    per_segment    candidates of a segment that are used, the best ones
    """
    done: list[_Growing] = []
    touched: list[_Growing] = []
    for number, found in enumerate(segments):
        waiting: dict[tuple[int, int, int], list[_Growing]] = {}
        for relation in sorted(touched, key=lambda one: -one.score):
            relation.subject.forget()
            relation.object.forget()
            waiting.setdefault(relation.triplet, []).append(relation)
        tracks = [_Track(found.begin, boxes) for boxes in found.boxes]
        touched = []
        for one in found.candidates[:per_segment]:
            able = waiting.get(one.triplet, [])
            goes_on = next((other for other in able if other.takes(one, found)), None)
            if goes_on is not None:
                able.remove(goes_on)
                goes_on.extend(one, found)
                touched.append(goes_on)
            else:
                score = 1.0 if first_score_one and number else one.score
                touched.append(_Growing(one.triplet, tracks[one.subject], tracks[one.object], [score]))
                done.append(touched[-1])
    done.sort(key=lambda one: -one.score)
    return [(one.triplet, one.score, one.subject.first, one.subject.boxes, one.object.boxes) for one in done]


def named(
    found: Sequence[tuple[tuple[int, int, int], float, int, Float, Float]], classes: Sequence[str], predicates: Sequence[str]
) -> list[Relation]:
    """The same with names, as the scorer wants them."""
    return [
        Relation((classes[s], predicates[p], classes[o]), first, first + len(subject), subject, other, score)
        for (s, p, o), score, first, subject, other in found
    ]
