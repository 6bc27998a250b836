"""A planted world of relations: pairs of moving boxes whose predicate shows in how they lie and move, and in who they are.

    predicate ~ usual . (one of the three usual ones of the class pair) + (1 - usual) . Zipf              -> RelationScm.law
    g = amplitude . u_predicate + N(0, noise^2 I_6),    u a unit vector                                   -> RelationScm.video
    g = (dx, dy, ln of the ratio of areas at the first frame; what is added to each until the last)
        dx, dy: from the object's centre to the subject's, in widths and heights of the object

The class pair is the confounder: do() makes all predicates as likely for all pairs; `reversed` makes others usual and the rare
ones frequent. What a predicate looks like is the same in every split.
C classes, P predicates, six coordinates of geometry.  Pixels, frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.worlds.relation_settings import PlantedRelations
from stages.worlds.settings import Law
from stages.worlds.streams import stream

GEOMETRY = 6
CLASS_NAMES = ("bear", "bicycle", "cart", "cat", "child", "dog", "drone", "goat", "horse", "kite", "robot", "sledge")
PREDICATE_NAMES = (
    "assist", "call", "chase", "escort", "feed", "greet", "guard", "guide", "haul", "herd", "hinder", "join",
    "lure", "nudge", "shield", "signal", "tease", "tow", "trail", "train", "tug", "warn", "watch", "welcome",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PlantedRelation:
    """One relation with its two objects.

    subject, object, predicate    indices
    usual                         the predicate is the one that the class pair suggests most, in training
    geometry (6,)                 see above
    boxes (2, T, 4)               inclusive pixels of subject and object, whole numbers
    """

    subject: int
    object: int
    predicate: int
    usual: bool
    geometry: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True, kw_only=True)
class RelationVideo:
    """Relations of one video, all of them from its first frame to its last; the objects of relation k are 2 k and 2 k + 1."""

    split: str
    index: int
    relations: tuple[PlantedRelation, ...]

    @property
    def video_id(self) -> str:
        """The published id."""
        return f"{self.split}_{self.index:05d}"

    @property
    def objects(self) -> list[tuple[int, np.ndarray]]:
        """(class, boxes (T, 4)) by object id."""
        return [
            (which, boxes) for one in self.relations for which, boxes in zip((one.subject, one.object), one.boxes, strict=True)
        ]


def names(count: int, known: tuple[str, ...], kind: str) -> list[str]:
    """`count` words in alphabetical order, so that a name's place is the id that data sets give it."""
    return sorted(known[:count]) if count <= len(known) else [f"{kind}{number:03d}" for number in range(count)]


class RelationScm:
    """The tables of one world, drawn once from its seed.

    rank (P,)             frequency rank of each predicate, 0 = most frequent
    prototypes (P, 6)     unit vectors
    tables                law -> (C, C, P): P(predicate | subject class, object class)
    """

    def __init__(self, settings: PlantedRelations, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.classes = names(settings.classes, CLASS_NAMES, "class")
        self.predicates = names(settings.predicates, PREDICATE_NAMES, "predicate")
        self.rank = stream(seed, "relation ranks").permutation(settings.predicates)
        directions = stream(seed, "relation prototypes").standard_normal((settings.predicates, GEOMETRY))
        self.prototypes = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        frequent, rare = (_zipf(rank, settings.zipf) for rank in (self.rank, settings.predicates - 1 - self.rank))
        usual = self._usual(frequent, "usual predicates", None)
        other = self._usual(rare, "usual predicates, reversed", usual)
        uniform = np.full((settings.classes, settings.classes, settings.predicates), 1 / settings.predicates)
        self.tables: dict[Law, np.ndarray] = {
            "biased": self._table(usual, frequent),
            "interventional": uniform,
            "reversed": self._table(other, rare),
        }

    def _usual(self, zipf: np.ndarray, purpose: str, avoided: np.ndarray | None) -> np.ndarray:
        """(C, C, 3) predicates of each class pair by falling share, drawn from the Zipf law without those avoided."""
        settings, count = self.settings, len(self.settings.usual_shares)
        out = np.empty((settings.classes, settings.classes, count), dtype=np.int64)
        for subject in range(settings.classes):
            for other in range(settings.classes):
                weight = zipf.copy()
                if avoided is not None:
                    weight[avoided[subject, other]] = 0
                generator = stream(self.seed, purpose, subject, other)
                out[subject, other] = generator.choice(settings.predicates, count, replace=False, p=weight / weight.sum())
        return out

    def _table(self, usual: np.ndarray, zipf: np.ndarray) -> np.ndarray:
        chosen = np.zeros((*usual.shape[:2], self.settings.predicates))
        np.put_along_axis(chosen, usual, np.array(self.settings.usual_shares), axis=2)
        return np.asarray(self.settings.usual * chosen + (1 - self.settings.usual) * zipf)

    def law(self, split: str) -> np.ndarray:
        """(C, C, P): P(predicate | class pair) in a split."""
        return self.tables[self.settings.splits[split].law]

    def video(self, split: str, index: int) -> RelationVideo:
        """Draw one video. It depends on the world's seed, the split's name and law, and the index, on nothing else."""
        settings, law = self.settings, self.law(split)
        generator = stream(self.seed, "relation video", split, index)
        count = int(generator.integers(settings.min_relations, settings.max_relations + 1))
        relations = []
        for _ in range(count):
            subject, other = (int(one) for one in generator.integers(settings.classes, size=2))
            predicate = int(generator.choice(settings.predicates, p=law[subject, other]))
            noise = generator.normal(0.0, settings.noise, GEOMETRY)
            geometry = settings.amplitude * self.prototypes[predicate] + noise
            suggested = int(self.tables["biased"][subject, other].argmax())
            boxes = self._boxes(geometry, generator)
            relations.append(
                PlantedRelation(
                    subject=subject,
                    object=other,
                    predicate=predicate,
                    usual=predicate == suggested,
                    geometry=geometry,
                    boxes=boxes,
                )
            )
        return RelationVideo(split=split, index=index, relations=tuple(relations))

    def _boxes(self, geometry: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(2, T, 4) of subject and object, placed so that both stay within the frame where there is room."""
        settings = self.settings
        time = np.linspace(0.0, 1.0, settings.frames)[:, None]  # (T, 1)
        dx, dy, area = (geometry[:3] + time * geometry[3:]).T  # (T,) each
        side = settings.object_pixels * np.exp(generator.normal(0.0, settings.size_sd))
        stretch = np.exp(generator.normal(0.0, settings.size_sd, 2))  # width over height of subject and object
        object_size = np.array([side * stretch[1] ** 0.5, side / stretch[1] ** 0.5])
        subject_size = np.exp(area / 2)[:, None] * side * np.array([stretch[0] ** 0.5, stretch[0] ** -0.5])
        moved = time * generator.normal(0.0, settings.drift, 2)
        object_centre = moved
        subject_centre = moved + np.stack((dx, dy), axis=1) * object_size
        half = np.stack((subject_size, np.broadcast_to(object_size, subject_size.shape))) / 2
        centre = np.stack((subject_centre, object_centre))
        low, high = (centre - half).min(axis=(0, 1)), (centre + half).max(axis=(0, 1))
        room = np.array([settings.width, settings.height]) - (high - low) - 2
        start = 1 - low + np.where(room > 0, generator.random(2) * room, room / 2)
        corners = np.rint(np.concatenate((centre - half + start, centre + half + start - 1), axis=2))
        corners[..., 2:] = np.maximum(corners[..., 2:], corners[..., :2])
        return np.asarray(corners, dtype=np.int64)


def _zipf(rank: np.ndarray, exponent: float) -> np.ndarray:
    weight = (rank + 1.0) ** -exponent
    return np.asarray(weight / weight.sum())
