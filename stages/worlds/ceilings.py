"""What the best possible observer would say who is told the spans, but not what happens in them: exact, by summing the model out.

    P(event k is asked, object o | clips, spans, "actor a* predicate p*")
        ~ sum_z P(z) L_bg(z) sum over ordered predicates pi with pi_k = p* of P(pi | places)
              P(o | z, p*) N_k(a*, p*, o, z)  prod_{j != k} M_j(pi_j, z)                                    -> Ceiling.joint
    M_j(p, z) = mean over actors of sum_o P(o | z, p) N_j(a, p, o, z)      N_j: Gaussian likelihood of the clips of span j
    L_bg(z)   = product over background clips of sum_d P(d | z) N(z, d)

With the back door: under the biased mechanism. Without: under do(E). The concepts being orthonormal, log N_j is a sum of one term
per scene, actor, predicate and object. K spans, S scenes, A actors, P predicates, O objects, V clips, over both views together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from stages.worlds.observation import Views
from stages.worlds.scm import Mechanism, Scm, Video, coverage


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Log-likelihood terms of one video, up to constants.

    scene (S,)          background clips, distractors summed out
    scenes (K, S), actor (K, A), predicate (K, P), object (K, O)      clips of each span
    """

    scene: np.ndarray
    scenes: np.ndarray
    actor: np.ndarray
    predicate: np.ndarray
    object: np.ndarray


class Ceiling:
    """Posteriors in one world."""

    def __init__(self, scm: Scm, views: Views) -> None:
        self.scm, self.views = scm, views
        self.sequences = lru_cache(maxsize=64)(self._sequences)

    def evidence(self, latent: dict[str, np.ndarray], spans: np.ndarray, clip_seconds: float) -> Evidence:
        """Latent clips (T, d) by view and spans (K, 2) in seconds -> Evidence."""
        settings = self.scm.settings
        clips = len(next(iter(latent.values())))
        covered = coverage(spans, clips, clip_seconds)
        inside = covered.sum(axis=0)
        scene_strength = inside * settings.event_scene + (1 - inside) * settings.background_scene
        found = {kind: np.zeros((len(spans), getattr(settings, f"{kind}s"))) for kind in ("actor", "predicate", "object")}
        scene, distractor = np.zeros((clips, settings.scenes)), np.zeros((clips, settings.objects))
        for name, rows in latent.items():
            view, concepts = settings.views[name], self.views.concepts[name]
            # log N(x; mu) = (x . mu - |mu|^2 / 2) / sigma^2 + constant, and mu is a sum of orthogonal parts.
            for kind, term in found.items():
                strength = getattr(view, kind)
                shown = covered @ (rows @ getattr(concepts, kind).T)
                term += (shown * strength - (covered**2).sum(axis=1, keepdims=True) * strength**2 / 2) / view.sigma**2
            strength = scene_strength[:, None] * view.scene
            scene += (rows @ concepts.scene.T * strength - strength**2 / 2) / view.sigma**2
            strength = settings.distractor * view.object
            distractor += (rows @ concepts.object.T * strength - strength**2 / 2) / view.sigma**2
        bare = inside == 0
        peak = distractor.max(axis=1, keepdims=True)
        mixture = np.log(np.exp(distractor - peak) @ self.scm.distractor_law().T) + peak
        return Evidence(
            scene=(scene + mixture)[bare].sum(axis=0),
            scenes=(covered > 0) @ scene,
            actor=found["actor"],
            predicate=found["predicate"],
            object=found["object"],
        )

    def _sequences(self, mechanism: Mechanism, places: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
        """All ordered choices of distinct predicates (N, K), and the probability of each given the places."""
        chosen: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
        for place in places:
            chosen = [
                ((*used, j), probability * share)
                for used, probability in chosen
                for j, share in enumerate(self.scm.predicate_law(mechanism, used, place).tolist())
                if j not in used
            ]
        return np.array([used for used, _ in chosen]), np.array([probability for _, probability in chosen])

    def joint(
        self, evidence: Evidence, places: tuple[float, ...], actor: int, predicate: int, mechanism: Mechanism
    ) -> np.ndarray:
        """(K, O): posterior that event k is the one asked about and its object is o. Sums to 1."""
        objects = self.scm.object_law(mechanism)
        if not mechanism.temporal_bias:
            places = (0.0,) * len(places)  # then the law does not ask for them, and one table serves every video
        orders, prior = self.sequences(mechanism, places)
        asked = orders == predicate
        kept = asked.any(axis=1)
        orders, prior, asked = orders[kept], prior[kept], asked[kept]
        thing = np.exp(evidence.object - evidence.object.max(axis=1, keepdims=True))
        act = np.exp(evidence.actor - evidence.actor.max(axis=1, keepdims=True))
        verb = np.exp(evidence.predicate - evidence.predicate.max(axis=1, keepdims=True))
        scene = evidence.scene + evidence.scenes.sum(axis=0)
        scene = np.exp(scene - scene.max())
        summed = np.einsum("kp,ka,spo,ko->skp", verb, act / act.shape[1], objects, thing)
        named = verb[:, predicate, None] * act[:, actor, None] / act.shape[1] * thing
        position = np.arange(orders.shape[1])
        of_order = summed[:, position, orders]  # (S, N, K): M_j of each place in the sequence
        posterior = np.zeros_like(named)
        for k in position:
            rows = asked[:, k]
            others = np.delete(of_order[:, rows], k, axis=2).prod(axis=2) @ prior[rows]
            posterior[k] = ((scene * others) @ objects[:, predicate]) * named[k]
        return np.asarray(posterior / posterior.sum())

    def of_video(self, video: Video, actor: int, predicate: int, mechanism: Mechanism) -> np.ndarray:
        """`joint` for a video of this world, from its own clips."""
        return self.joint(self.evidence_of(video), places(video), actor, predicate, mechanism)

    def evidence_of(self, video: Video, views: Iterable[str] | None = None) -> Evidence:
        """`evidence` of a video of this world, from its own clips as `views` show them; None: all views."""
        latent = {name: self.views.latent(video, name) for name in views or self.scm.settings.views}
        return self.evidence(latent, video.spans, video.duration / video.clips)

    def objects(self, video: Video, evidence: Evidence, actor: int, predicate: int, mechanism: Mechanism) -> np.ndarray:
        """(O,): posterior of the object of the event asked about, whichever of the video's it is."""
        return np.asarray(self.joint(evidence, places(video), actor, predicate, mechanism).sum(axis=0))


def places(video: Video) -> tuple[float, ...]:
    """Centres of the spans as shares of the video."""
    return tuple((event.start + event.end) / 2 / video.duration for event in video.events)
