"""Every number of a world: what is planted, how strongly, how much of it, and how it is packed.

Two kinds of world share one entry of the section `worlds`:

    Planted     a structural causal model whose biases are known; all of it is made up
    Rehearsal   features of real widths planted under real annotation files, to rehearse a benchmark before downloading it

Numbers have no defaults: their home is the parameter file. Seconds and clips are named in the fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Packing = Literal["files", "tar", "tar.gz"]
Law = Literal["biased", "interventional", "reversed"]
DType = Literal["float16", "float32"]
KINDS = ("object", "verb", "next", "previous", "why", "how", "who", "count", "yes_no")  # of questions; their order numbers them
OPTIONS = 5  # of a multiple-choice question, as NExT-QA has them


class WorldError(ValueError):
    """A world that cannot be built as asked. The message names the setting or the record, and the way out."""


def require(condition: bool, message: str) -> None:
    """Raise WorldError(message) unless the condition holds."""
    if not condition:
        raise WorldError(message)


@dataclass(frozen=True, kw_only=True)
class View:
    """One kind of clip features: how strongly it shows what, how noisy it is, how wide it is published.

    Signal and noise live in the latent space; `width` only decides how many columns the fixed lift has.
    """

    actor: float
    predicate: float
    object: float
    scene: float
    sigma: float  # standard deviation of the noise per latent coordinate
    width: int  # upstream width, at least `latent` + the number of function words


@dataclass(frozen=True, kw_only=True)
class Text:
    """Token features of the queries.

    `like` names the view whose concept vectors (and, at equal width, whose lift) the words share, as CLIP's words share the space
    of its frames.
    """

    like: str
    width: int
    noise: float  # length of the noise vector of a token, in units of a concept vector
    scene_words: bool  # let a template name the scene; off, because the scene is the confounder


@dataclass(frozen=True, kw_only=True)
class Raters:
    """Three simulated raters of saliency, 0 to 4 per clip that touches the queried span."""

    level: float  # mean rating of a clip wholly inside the span; a clip half inside gets half of it
    leniency: float  # standard deviation of a rater's own offset, per query
    noise: float  # standard deviation per single rating


@dataclass(frozen=True, kw_only=True)
class Split:
    """One file of annotations with the videos it speaks about.

    `biased` keeps every arrow; `interventional` cuts the events off from the scene, from language and from place;
    `reversed` gives every scene the preferences of a scene with other objects and mirrors the places.
    """

    law: Law
    videos: int
    first_qid: int  # query ids count up from here, so another split never renumbers this one
    unanswerable_per_query: (
        int  # > 0 writes rf_<split> too; hard and easy take turns, so 1 gives half of each and 2 both to every query
    )


@dataclass(frozen=True, kw_only=True)
class Long:
    """Some videos last longer: as many clips, each of more seconds, so that an event fills a smaller part of one."""

    share: float
    clip_seconds: float


@dataclass(frozen=True, kw_only=True)
class Planted:
    """The structural causal model, its views, its splits."""

    scenes: int  # a multiple of `objects`
    objects: int
    predicates: int
    actors: int
    groups: int  # predicates fall into groups; a scene prefers one object per group
    min_clips: int
    max_clips: int
    clip_seconds: float
    min_events: int
    max_events: int
    log_length_mean: float  # of a span in seconds, natural logarithm
    log_length_sd: float
    scene_bias: float  # probability that the object is the one that the scene prefers
    language_bias: float  # else, that it is the predicate's typical one
    temporal_bias: float  # probability that the place of a span chooses its predicate
    temporal_width: float  # how near, as a share of the video
    causal_strength: float  # probability that an event follows from the one before; stays under do()
    zipf: float  # exponent of predicate frequencies, 0 = all alike
    latent: int  # width of the latent space, at least the number of concepts
    background_scene: float  # strength of the scene where nothing happens
    event_scene: float  # and where something does
    distractor: float  # strength of an unused object on background clips, in units of the view's object amplitude
    distractor_preferred: float  # probability that it is one of the scene's preferred objects
    views: dict[str, View]
    text: Text
    raters: Raters
    queries_per_video: int | None  # None: one for every event
    splits: dict[str, Split]
    dtype: DType
    packing: Packing
    long: Long | None = None

    def __post_init__(self) -> None:
        counts = (self.scenes, self.objects, self.predicates, self.actors)
        require(min(counts) >= 1, "scenes, objects, predicates, actors: need at least one of each")
        concepts = sum(counts)
        require(
            self.scenes % self.objects == 0,
            f"scenes: {self.scenes} is no multiple of objects {self.objects}: preferences would be uneven",
        )
        require(
            1 <= self.groups <= min(self.predicates, self.objects),
            f"groups: {self.groups} is not within 1..predicates and objects",
        )
        require(self.latent >= concepts, f"latent: {self.latent} coordinates cannot hold {concepts} orthogonal concepts")
        require(
            2 <= self.min_events <= self.max_events <= self.predicates,
            "min_events, max_events: need 2 <= min <= max <= predicates (one event alone would stand out without any query)",
        )
        require(
            2 * self.max_events <= self.min_clips <= self.max_clips,
            "min_clips, max_clips: need 2 * max_events <= min_clips <= max_clips, or spans with gaps do not fit",
        )
        require(self.text.like in self.views, f"text.like: no view {self.text.like!r}; views: {', '.join(self.views)}")
        for field in ("scene_bias", "language_bias", "temporal_bias", "causal_strength", "distractor_preferred"):
            require(0 <= getattr(self, field) <= 1, f"{field}: {getattr(self, field)} is not within 0..1")
        require(self.long is None or 0 <= self.long.share <= 1, "long.share: is not within 0..1")
        for name in (*self.views, *self.splits):
            require(name.replace("_", "").isalnum(), f"{name!r}: names of views and splits are file names: letters, digits, _")
        require(
            all(split.videos > 0 and split.unanswerable_per_query >= 0 for split in self.splits.values()),
            "splits: need at least one video and no negative number of unanswerable pairs",
        )
        blocks = sorted(
            (split.first_qid, split.first_qid + split.videos * self.max_events, name) for name, split in self.splits.items()
        )
        for (_, end, name), (start, _, other) in pairwise(blocks):
            require(start >= end, f"splits.{other}.first_qid: {start} lies within the ids of {name}, which reach up to {end - 1}")


@dataclass(frozen=True, kw_only=True)
class Regions:
    """Objects with boxes in every frame. `view`: how strongly a box shows what it holds; its `predicate`: that it is in use."""

    view: View
    boxes: int  # places per frame in the published file; rows of zeros behind the objects that there are
    objects: int  # boxes that a frame of an ordinary video fills
    crowded_objects: int  # and one of a crowded video
    crowded_share: float  # of videos
    jitter: float  # standard deviation of a detector's box around the true one, as a share of the frame

    def __post_init__(self) -> None:
        require(
            2 <= self.objects <= self.boxes and 2 <= self.crowded_objects <= self.boxes,
            f"objects, crowded_objects: need actor and object at least, and at most {self.boxes} boxes",
        )
        require(0 <= self.crowded_share <= 1, f"crowded_share: {self.crowded_share} is not within 0..1")


@dataclass(frozen=True, kw_only=True)
class Encoders:
    """Small text encoders in the published folder format: their words begin at the vectors of the concepts."""

    width: int
    layers: int
    heads: int
    feed_forward: int
    positions: int  # longest text, in tokens
    spread: float  # standard deviation of all other weights


@dataclass(frozen=True, kw_only=True)
class Questions:
    """Questions on a planted world, published as three data sets: grounded, multiple choice, open-ended.

    `kinds`: how likely each possible question of a kind is asked; a kind that is not named is not asked.
    """

    kinds: dict[str, float]
    regions: Regions
    encoders: Encoders

    def __post_init__(self) -> None:
        unknown = sorted(set(self.kinds) - set(KINDS))
        require(not unknown, f"kinds: unknown {', '.join(unknown)}; there are {', '.join(KINDS)}")
        require(any(self.kinds.values()), "kinds: no question would be asked")
        require(all(0 <= share <= 1 for share in self.kinds.values()), "kinds: a share is not within 0..1")


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """One kind of feature files to plant, in the published layout.

    With packing "files" the files are `<path>/<prefix><id>.<format>`; else one archive `<path>.tar[.gz]` holds them below the
    last folder of `path`, cut into parts `.aa`, `.ab`, ... if `part_bytes` says so. Format h5 is one file `<path>.hdf5` with a
    data set `<prefix><id>` per item.
    """

    of: Literal["videos", "queries"]
    path: str
    prefix: str
    format: Literal["npz", "pt", "h5"]
    key: str | None  # member of the npz; None for pt and h5, which hold bare arrays
    width: int
    dtype: DType
    extra_rows: int  # videos: rows beyond ceil(duration * fps), as published kinds differ by a few
    marks: int  # queries: tokens before the words; one more ends them
    max_tokens: int | None  # queries: the extractor's limit
    packing: Packing
    part_bytes: int | None

    def __post_init__(self) -> None:
        require((self.key is None) == (self.format != "npz"), f"{self.path}: npz needs a key, pt and h5 have none")
        require(self.format != "h5" or self.packing == "files", f"{self.path}: h5 is one file, it is not packed")
        require(self.format != "h5" or self.of == "videos", f"{self.path}: h5 holds features of videos")
        require(self.part_bytes is None or self.packing != "files", f"{self.path}: only archives are cut into parts")


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Real annotation files (JSON lines, or lists as of CPL and CCR; plain or .gz) and the features to plant under them.

    A clip inside a window carries the direction of the query's words, a clip outside does not.
    """

    annotations: str  # folder of the user's own copy
    files: tuple[str, ...]  # names in it, with or without .gz; copied unchanged
    into: str  # folder of the copies, in the layout of the raw data set
    fps: float  # clips per second
    latent: int
    signal: float  # length of the query direction inside its windows
    scene: float  # length of the direction that all clips of a video share
    noise: float  # standard deviation per latent coordinate
    rated: float  # 0..1: how far the raters' mean scales the signal where there are ratings
    subset: int | None  # the first n videos by id; None: all
    features: dict[str, Rehearsed]

    def __post_init__(self) -> None:
        require(len(self.files) > 0, "files: name at least one annotation file")
        require(self.subset is None or self.subset > 0, f"subset: {self.subset} videos; use null for all")
        for name, feature in self.features.items():
            require(feature.width >= self.latent, f"features.{name}.width: {feature.width} is less than latent {self.latent}")
