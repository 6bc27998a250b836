"""Every number of a planted world of relations: what is planted, how strongly, how well a detector would see it."""

from __future__ import annotations

from dataclasses import dataclass

from stages.datasets.relation_schema import SEGMENT
from stages.worlds.settings import DType, Law, Packing, require


@dataclass(frozen=True, kw_only=True)
class RelationSplit:
    """One folder of annotations. Interventional: predicates uniform; reversed: others are usual, and rare ones frequent."""

    law: Law
    videos: int


@dataclass(frozen=True, kw_only=True)
class Detector:
    """What a made-up detector proposes, per segment."""

    missed: float  # probability that an object has no proposal
    spurious: float  # mean number of proposals that show nothing
    place_noise: float  # standard deviation of a proposal's offset per side, as a share of the object's size
    frame_noise: float  # the same, drawn anew in every frame
    short: float  # probability that a proposal begins late or ends early, by up to half of the segment
    class_noise: float  # standard deviation of the logits of the classes; the true one is 1 larger
    class_scale: float  # factor on these logits before the softmax


@dataclass(frozen=True, kw_only=True)
class PlantedRelations:
    """The structural causal model: class pair -> predicate -> geometry, and what is seen of it."""

    classes: int
    predicates: int
    zipf: float  # exponent of predicate frequencies
    usual: float  # probability that the predicate is one of the three usual ones of the class pair
    usual_shares: tuple[float, ...]  # of these
    amplitude: float  # length of a predicate's prototype
    noise: float  # standard deviation of the geometry per coordinate
    min_relations: int  # per video; each has two objects of its own
    max_relations: int
    frames: int  # of every video; relations last as long
    fps: float
    width: int
    height: int
    object_pixels: float  # side of a square object of mean size
    size_sd: float  # of the logarithm of this side
    drift: float  # pixels that a pair moves as a whole
    appearance_width: int
    appearance_noise: float  # per coordinate; the class's vector has length 1
    detector: Detector
    splits: dict[str, RelationSplit]
    dtype: DType
    packing: Packing

    def __post_init__(self) -> None:
        usual = len(self.usual_shares)
        require(
            usual >= 1 and abs(sum(self.usual_shares) - 1) < 1e-9 and min(self.usual_shares) >= 0,
            "usual_shares: expected shares that add up to 1",
        )
        require(
            self.predicates >= 2 * usual,
            f"predicates: {self.predicates} are too few for {usual} usual ones and as many others in the reversed split",
        )
        require(self.classes >= 2, "classes: need at least 2")
        require(self.appearance_width >= self.classes, "appearance_width: must hold one orthogonal vector per class")
        require(1 <= self.min_relations <= self.max_relations, "min_relations, max_relations: need 1 <= min <= max")
        require(self.frames >= SEGMENT, f"frames: {self.frames} is less than one segment of {SEGMENT}")
        require(
            all(0 <= share <= 1 for share in (self.usual, self.detector.missed, self.detector.short)),
            "usual, missed, short: are probabilities",
        )
        for name, split in self.splits.items():
            require(name.replace("_", "").isalnum(), f"{name!r}: names of splits are folder names: letters, digits, _")
            require(split.videos > 0, f"splits.{name}.videos: need at least one")
