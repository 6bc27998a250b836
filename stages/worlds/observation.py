"""Clip features of a planted video: what each view shows of scene and events, and how much noise it adds.

    x_t = sum_k w_kt (g_a a_k + g_p p_k + g_o o_k) + (w_t b_ev + (1 - w_t) b_bg) g_z z
          + [w_t = 0] delta g_o o_{d_t} + sigma N(0, I_d)

    w_kt = share of clip t that span k covers, w_t = sum_k w_kt       -> Views.mean, Views.latent
    upstream row = lift x_t, the lift having orthonormal columns       -> Views.published

Noise is drawn in the latent space, so the information does not depend on the published width. T clips, d latent, D published.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.worlds.scm import Video
from stages.worlds.settings import Planted, View, require
from stages.worlds.streams import orthonormal, stream


@dataclass(frozen=True, kw_only=True)
class Concepts:
    """Unit vectors of one view, orthonormal over all four kinds: scene (S, d), actor (A, d), predicate (P, d), object (O, d)."""

    scene: np.ndarray
    actor: np.ndarray
    predicate: np.ndarray
    object: np.ndarray


class Views:
    """Concept vectors and lifts of every view of one world; clip features of its videos."""

    def __init__(self, settings: Planted, seed: int, *, extra: int) -> None:
        """`extra`: latent directions beside the concepts (function words), for which a lift keeps columns."""
        self.settings, self.seed, self.extra = settings, seed, extra
        for name, view in settings.views.items():
            require(
                view.width >= settings.latent + extra,
                f"views.{name}.width: {view.width} is less than latent {settings.latent} + {extra} function words",
            )
        self.concepts = {name: self.concepts_of(name) for name in settings.views}

    def concepts_of(self, view: str) -> Concepts:
        """Concept vectors of one kind of features, each kind having its own."""
        settings = self.settings
        basis = orthonormal(stream(self.seed, "concepts", view), settings.latent, settings.latent).T
        sizes = (settings.scenes, settings.actors, settings.predicates, settings.objects)
        scene, actor, predicate, object_ = np.split(basis[: sum(sizes)], np.cumsum(sizes)[:-1])
        return Concepts(scene=scene, actor=actor, predicate=predicate, object=object_)

    def lift(self, view: str, width: int) -> np.ndarray:
        """(width, d + extra), orthonormal columns; clips use the first d."""
        return orthonormal(stream(self.seed, "lift", view, width), width, self.settings.latent + self.extra)

    def mean(self, video: Video, name: str) -> np.ndarray:
        """(T, d): the signal of a video in one view, without noise."""
        settings, view, concepts = self.settings, self.settings.views[name], self.concepts[name]
        coverage = video.coverage
        covered = coverage.sum(axis=0)[:, None]
        events = np.stack([event_vector(view, concepts, (e.actor, e.predicate, e.object)) for e in video.events])
        scene = (
            (covered * settings.event_scene + (1 - covered) * settings.background_scene)
            * view.scene
            * concepts.scene[video.scene]
        )
        distractor = np.array(video.distractors)
        bare = (distractor >= 0)[:, None]
        unused = settings.distractor * view.object * concepts.object[np.maximum(distractor, 0)]
        return np.asarray(coverage.T @ events + scene + bare * unused)

    def latent(self, video: Video, name: str) -> np.ndarray:
        """(T, d): signal and noise of a video in one view."""
        noise = stream(self.seed, "clips", name, video.split, video.index).standard_normal((video.clips, self.settings.latent))
        return np.asarray(self.mean(video, name) + self.settings.views[name].sigma * noise)


def event_vector(view: View, concepts: Concepts, event: tuple[int, int, int]) -> np.ndarray:
    """(d,): what a clip wholly inside an event (actor, predicate, object) shows of it."""
    actor, predicate, thing = event
    return np.asarray(
        view.actor * concepts.actor[actor] + view.predicate * concepts.predicate[predicate] + view.object * concepts.object[thing]
    )
