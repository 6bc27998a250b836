"""The structural causal model: scene, events, spans, and the arrows between them that do() cuts.

    Z -> E <- language, place, C        scene Z (confounder), events E_k = (actor, predicate, object), causal links C
    Z -> X <- E, spans                  clip features (observation.py)
    E -> W                              words (language.py)

Spans first, so that placing events never fails. Then, in time order, with tau = temporal_bias and every term renormalised over
the predicates that the video has not used yet:

    P(predicate j) = (1 - causal) [(1 - tau) zipf_j + tau near_j(u_k)] + causal [j enabled by previous]   -> Scm.predicate_law
    P(object i | z, j) = bias [i = pref(z, j)] + (1 - bias) (lang [i = typ(j)] + (1 - lang) / O)          -> Scm.object_law

S scenes, P predicates, O objects, A actors, K events of one video. Times are seconds on a grid of milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stages.worlds.settings import Law, Planted, require
from stages.worlds.streams import stream

ENABLED = 2  # each predicate enables two others


@dataclass(frozen=True, kw_only=True)
class Mechanism:
    """The arrows into the events: what an intervention changes. All else of the world is the same in every split."""

    scene_bias: float
    language_bias: float
    temporal_bias: float
    causal_strength: float
    scene_shift: int = 0  # whose preferences a scene follows
    mirrored: bool = False  # places count from the end


@dataclass(frozen=True, kw_only=True)
class Event:
    """What one span shows, by concept index. `linked`: the previous event enables it."""

    actor: int
    predicate: int
    object: int
    start: float
    end: float
    linked: bool


@dataclass(frozen=True, kw_only=True)
class Video:
    """One draw of the model. `distractors` has an object index per clip, -1 where an event is on."""

    split: str
    index: int
    scene: int
    clips: int
    duration: float
    events: tuple[Event, ...]
    distractors: tuple[int, ...]

    @property
    def video_id(self) -> str:
        """The published id."""
        return f"{self.split}_{self.index:05d}"

    @cached_property
    def spans(self) -> np.ndarray:
        """(K, 2) seconds."""
        return np.array([(event.start, event.end) for event in self.events])

    @cached_property
    def coverage(self) -> np.ndarray:
        """(K, T): the share of clip t that span k covers."""
        return coverage(self.spans, self.clips, self.duration / self.clips)


def coverage(spans: np.ndarray, clips: int, clip_seconds: float) -> np.ndarray:
    """Spans (K, 2) in seconds -> (K, clips): overlap of each span with each clip, as a share of the clip."""
    left = np.arange(clips) * clip_seconds
    overlap = np.minimum(spans[:, 1:], left + clip_seconds) - np.maximum(spans[:, :1], left)
    return np.asarray(np.clip(overlap / clip_seconds, 0.0, 1.0))


def do_events(mechanism: Mechanism) -> Mechanism:
    """do(E): scene, language and place no longer reach the events. C stays: it is a mechanism, not a bias."""
    return replace(mechanism, scene_bias=0.0, language_bias=0.0, temporal_bias=0.0)


def draw_spans(settings: Planted, duration: float, generator: np.random.Generator) -> list[tuple[float, float]]:
    """Log-normal lengths, and the free time split by sorted uniform draws; gaps of at least one clip. Whole milliseconds."""
    events = int(generator.integers(settings.min_events, settings.max_events + 1))
    clip = settings.clip_seconds
    length = np.exp(generator.normal(settings.log_length_mean, settings.log_length_sd, events))
    length = np.floor(1000 * np.clip(length, 0.75 * clip, duration / events - clip))
    gap = np.ceil(1000 * clip)
    free = np.floor(1000 * duration) - length.sum() - (events - 1) * gap
    before = np.floor(free * np.sort(generator.random(events)))
    start = before + np.concatenate([[0.0], np.cumsum(length + gap)[:-1]])
    return [(float(s) / 1000, float(s + n) / 1000) for s, n in zip(start, length, strict=True)]


def _shares(weight: np.ndarray) -> np.ndarray:
    return np.asarray(weight / weight.sum())


class Scm:
    """The tables of one world, drawn once from its seed, and the laws that use them.

    preferred (S, P), typical (P,)   object indices
    rank (P,)                        frequency rank and place of each predicate, 0 = most frequent and earliest
    enabled (P, 2)                   predicates that may follow
    """

    def __init__(self, settings: Planted, seed: int) -> None:
        self.settings, self.seed = settings, seed
        self.long = replace(settings, clip_seconds=settings.long.clip_seconds) if settings.long else settings
        scenes, objects, predicates = settings.scenes, settings.objects, settings.predicates
        order = stream(seed, "preferred objects").permutation(objects)
        group = np.arange(predicates) % settings.groups
        latin = np.arange(scenes)[:, None] + group * (objects // settings.groups)
        self.preferred = order[latin % objects]
        self.typical = stream(seed, "typical objects").permutation(objects)[np.arange(predicates) % objects]
        self.rank = stream(seed, "ranks").permutation(predicates)
        weight = (self.rank + 1.0) ** -settings.zipf
        self.zipf = weight / weight.sum()
        self.centre = (self.rank + 0.5) / predicates
        links = stream(seed, "links")
        others = [np.delete(np.arange(predicates), j) for j in range(predicates)]
        self.enabled = np.array([links.permutation(other)[: min(ENABLED, predicates - 1)] for other in others])
        self.opposite = self._opposite_shift()
        self._object_laws: dict[Mechanism, np.ndarray] = {}
        require(
            self.opposite is not None or all(split.law != "reversed" for split in settings.splits.values()),
            "groups: every scene shares a preferred object with every other, so there is no reversed split; use fewer groups",
        )

    def _opposite_shift(self) -> int | None:
        """The smallest shift to a scene whose preferred objects are all others, for every scene alike (the design is cyclic)."""
        for shift in range(1, self.settings.scenes):
            if not set(self.preferred[0]) & set(self.preferred[shift]):
                return shift
        return None

    def mechanism(self, law: Law) -> Mechanism:
        """The arrows under which a split is drawn."""
        biased = Mechanism(
            scene_bias=self.settings.scene_bias,
            language_bias=self.settings.language_bias,
            temporal_bias=self.settings.temporal_bias,
            causal_strength=self.settings.causal_strength,
        )
        if law == "interventional":
            return do_events(biased)
        if law == "reversed":
            assert self.opposite is not None  # refused when the world was made
            return replace(biased, language_bias=0.0, scene_shift=self.opposite, mirrored=True)
        return biased

    def predicate_law(self, mechanism: Mechanism, used: tuple[int, ...], place: float) -> np.ndarray:
        """(P,) probabilities of the next predicate. `used` in time order; `place`: centre of the span as a share of the video."""
        free = np.ones(self.settings.predicates)
        free[list(used)] = 0.0
        distance = ((1.0 - place if mechanism.mirrored else place) - self.centre) / self.settings.temporal_width
        # Relative to the nearest free predicate: far from all of them every weight would underflow to 0.
        near = self.zipf * np.exp(np.min(distance**2, where=free > 0, initial=np.inf) - distance**2) * free
        law = (1 - mechanism.temporal_bias) * _shares(self.zipf * free) + mechanism.temporal_bias * _shares(near)
        follows = np.zeros_like(free)
        if used:
            follows[self.enabled[used[-1]]] = 1.0
        follows *= free
        if not follows.any():
            return np.asarray(law)
        return np.asarray((1 - mechanism.causal_strength) * law + mechanism.causal_strength * _shares(follows))

    def object_law(self, mechanism: Mechanism) -> np.ndarray:
        """(S, P, O): P(object | scene, predicate)."""
        if mechanism not in self._object_laws:
            self._object_laws[mechanism] = self._object_law(mechanism)
        return self._object_laws[mechanism]

    def _object_law(self, mechanism: Mechanism) -> np.ndarray:
        scenes, predicates, objects = self.settings.scenes, self.settings.predicates, self.settings.objects
        chosen = np.eye(objects)[np.roll(self.preferred, -mechanism.scene_shift, axis=0)]
        typical = np.eye(objects)[self.typical]
        language = mechanism.language_bias * typical + (1 - mechanism.language_bias) / objects
        law = mechanism.scene_bias * chosen + (1 - mechanism.scene_bias) * language
        assert law.shape == (scenes, predicates, objects)
        return np.asarray(law)

    def distractor_law(self) -> np.ndarray:
        """(S, O): P(distractor | scene). Scenes keep their own preferences here in every split: do() does not touch Z -> X."""
        objects = self.settings.objects
        preferred = np.stack([np.bincount(np.unique(row), minlength=objects) for row in self.preferred]).astype(float)
        preferred /= preferred.sum(axis=1, keepdims=True)
        return np.asarray(self.settings.distractor_preferred * preferred + (1 - self.settings.distractor_preferred) / objects)

    def video(self, split: str, index: int) -> Video:
        """Draw one video. It depends on the world's seed, the split's name and law, and the index, on nothing else."""
        settings = self.settings
        mechanism = self.mechanism(settings.splits[split].law)
        generator = stream(self.seed, "video", split, index)
        scene = int(generator.integers(settings.scenes))
        clips = int(generator.integers(settings.min_clips, settings.max_clips + 1))
        timed = settings
        if settings.long and stream(self.seed, "long", split, index).random() < settings.long.share:
            timed = self.long
        duration = clips * timed.clip_seconds
        spans = draw_spans(timed, duration, generator)
        objects = self.object_law(mechanism)[scene]
        used: tuple[int, ...] = ()
        events = []
        for start, end in spans:
            law = self.predicate_law(mechanism, used, (start + end) / 2 / duration)
            predicate = int(generator.choice(settings.predicates, p=law))
            event = Event(
                actor=int(generator.integers(settings.actors)),
                predicate=predicate,
                object=int(generator.choice(settings.objects, p=objects[predicate])),
                start=start,
                end=end,
                linked=bool(used) and predicate in self.enabled[used[-1]],
            )
            used = (*used, predicate)
            events.append(event)
        empty = coverage(np.array(spans), clips, timed.clip_seconds).sum(axis=0) == 0
        distractors = generator.choice(settings.objects, size=clips, p=self.distractor_law()[scene])
        return Video(
            split=split,
            index=index,
            scene=scene,
            clips=clips,
            duration=duration,
            events=tuple(events),
            distractors=tuple(int(o) if bare else -1 for o, bare in zip(distractors, empty, strict=True)),
        )
