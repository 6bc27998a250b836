"""What the best possible observer of the planted relations would say who is told the class pair and the geometry.

    P(j | s, o, g) ~ P(j | s, o) exp(-|g - amplitude u_j|^2 / (2 noise^2))

With the back door: P(j | s, o) of training. Without: all predicates alike. Floor: the most frequent predicate of the class pair.
Recalls are of a single guess per relation; head, body and tail as counted on the training relations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stages.worlds.relations import PlantedRelation, RelationScm


def posterior(scm: RelationScm, relations: Sequence[PlantedRelation], prior: np.ndarray) -> np.ndarray:
    """prior (C, C, P) -> (R, P) probabilities that sum to 1."""
    settings = scm.settings
    geometry = np.stack([one.geometry for one in relations])
    distance = ((geometry[:, None] - settings.amplitude * scm.prototypes) ** 2).sum(axis=2)  # (R, P)
    pairs = np.array([(one.subject, one.object) for one in relations])
    with np.errstate(divide="ignore"):
        score = np.log(prior[pairs[:, 0], pairs[:, 1]]) - distance / (2 * settings.noise**2)
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def groups(counts: np.ndarray, tail_share: float = 0.02) -> dict[str, np.ndarray]:
    """counts (P,) of the training relations -> masks (P,): head = the first half of all, tail = under 2 %, body = the rest."""
    order = np.argsort(-counts, kind="stable")
    before = np.concatenate([[0], np.cumsum(counts[order])[:-1]])
    head = np.zeros(len(counts), dtype=bool)
    head[order[before < counts.sum() / 2]] = True
    tail = ~head & (counts < tail_share * counts.sum())
    return {"head": head, "body": ~head & ~tail, "tail": tail}


def recalls(guess: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> dict[str, float | None]:
    """guess, truth (R,) -> accuracy, mean recall over the predicates that occur, and over those of each group; None of none."""
    occurs = np.bincount(truth, minlength=len(counts))
    right = np.bincount(truth[guess == truth], minlength=len(counts))
    recall = np.divide(right, occurs, out=np.zeros(len(counts)), where=occurs > 0)
    parts = {"mean_recall": np.ones(len(counts), dtype=bool), **groups(counts)}
    means = {
        name: float(recall[mask & (occurs > 0)].mean()) if (mask & (occurs > 0)).any() else None for name, mask in parts.items()
    }
    return {"accuracy": float((guess == truth).mean()), **means}


def ceilings(scm: RelationScm, relations: Sequence[PlantedRelation], counts: np.ndarray) -> dict[str, dict[str, float | None]]:
    """The floor and both ceilings on some relations."""
    truth = np.array([one.predicate for one in relations])
    pairs = np.array([(one.subject, one.object) for one in relations])
    guesses = {
        "frequency": scm.tables["biased"][pairs[:, 0], pairs[:, 1]].argmax(axis=1),
        "with_back_door": posterior(scm, relations, scm.tables["biased"]).argmax(axis=1),
        "without_back_door": posterior(scm, relations, scm.tables["interventional"]).argmax(axis=1),
    }
    return {name: recalls(guess, truth, counts) for name, guess in guesses.items()}
