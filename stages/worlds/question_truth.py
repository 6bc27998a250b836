"""What the world knows about a question: its evidence, its cause among the boxes, what a shortcut and an ideal observer say.

shortcut           what the scene prefers: its object for the predicate; the predicate for which it prefers the object
language guess     the most probable answer given the words of the question alone, under the biased mechanism, every scene
                   equally likely; None where nothing is more probable than the rest. `guessable`: it is right
ideal observer     the told-spans posterior (ceilings.py), with the biases of training and under do(E); object question only
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from stages.worlds.grammar import Asked, Content, answers, phrase, spelled, word
from stages.worlds.regions import Seen
from stages.worlds.scm import Mechanism, Scm

TIE = 1e-9  # relative: answers this close are equally probable


def shortcut(scm: Scm, asked: Asked) -> Content | None:
    """What the scene of training prefers, None where it has no opinion."""
    event, preferred = asked.event, scm.preferred[asked.video.scene]
    if event is None:
        return None
    if asked.kind == "object":
        return (int(preferred[event.predicate]),)
    if asked.kind == "verb":
        fitting = np.flatnonzero(preferred == event.object)
        return (int(fitting[0]),) if len(fitting) == 1 else None
    return None


def language_scores(scm: Scm, asked: Asked, among: Sequence[Content]) -> np.ndarray:
    """Weights of answers given the words alone, up to a constant."""
    event = asked.event
    mechanism = replace(scm.mechanism("biased"), temporal_bias=0.0)  # places are not in the words
    objects = scm.object_law(mechanism).mean(axis=0)  # (P, O)
    if asked.kind == "object" and event is not None:
        return np.array([objects[event.predicate, o] for (o,) in among])
    if asked.kind == "verb" and event is not None:
        return np.array([scm.zipf[j] * objects[j, event.object] for (j,) in among])
    if asked.kind in ("next", "previous", "why", "how") and event is not None:
        follows = _follows(scm, mechanism, asked, event.predicate)
        pairs = [content[-2:] for content in among]
        return np.array([follows[j] * objects[j, o] for j, o in pairs])
    return np.ones(len(among))


def _follows(scm: Scm, mechanism: Mechanism, asked: Asked, named: int) -> np.ndarray:
    """(P,): weights of the predicate that is asked for, given the one that is named."""
    predicates = scm.settings.predicates
    if asked.kind == "next":
        return scm.predicate_law(mechanism, (named,), 0.0)
    before = np.zeros(predicates)
    for j in range(predicates):
        if j == named:
            continue
        if asked.kind == "previous":
            before[j] = scm.zipf[j] * scm.predicate_law(mechanism, (j,), 0.0)[named]
        else:
            before[j] = scm.zipf[j] * (named in scm.enabled[j])
    return before


def language_guess(scm: Scm, asked: Asked, among: Sequence[Content]) -> Content | None:
    """The most probable of some answers given the words alone, None if two share the first place."""
    weights = language_scores(scm, asked, among)
    best = int(weights.argmax())
    rivals = np.delete(weights, best)
    return among[best] if (rivals < weights[best] * (1 - TIE)).all() else None


def evidence_spans(asked: Asked) -> list[list[float]]:
    """Spans of the events that show the answer, in seconds to one decimal as published, in time order."""
    events = asked.video.events
    return [[round(events[k].start, 1), round(events[k].end, 1)] for k in asked.evidence]


def causal_clips(asked: Asked) -> list[int]:
    """Clips that an event of the evidence touches."""
    covered = asked.video.coverage[list(asked.evidence)]
    return np.flatnonzero((covered > 0).any(axis=0)).tolist()


def causal_objects(asked: Asked, seen: Seen) -> list[list[int]]:
    """[frame, place in the list of boxes] of actor and object of the evidence, in the order of frames."""
    found = []
    for clip in causal_clips(asked):
        for k in asked.evidence:
            found += [[clip, int(place)] for place in np.sort(seen.places[k, clip]) if place >= 0]
    return found


def best(posterior: np.ndarray, among: Sequence[Content]) -> Content:
    """The object with the largest posterior among some answers."""
    return max(among, key=lambda content: float(posterior[content[0]]))


def seen_facts(asked: Asked, seen: Seen) -> dict[str, object]:
    """The columns of a truth file that do not depend on how the question is put."""
    return {
        "kind": asked.kind,
        "type": asked.type,
        "spans": evidence_spans(asked),
        "causal_clips": causal_clips(asked),
        "causal_objects": causal_objects(asked, seen),
        "duration": asked.video.duration,
        "objects": seen.objects,
    }


def said_facts(scm: Scm, asked: Asked, among: Sequence[Content] | None) -> dict[str, object]:
    """The columns about answers, in the words of the data set. `among`: the options; None: the question is open-ended."""
    choices = answers(asked.form, scm.settings) if among is None else among
    guess, easy = language_guess(scm, asked, choices), shortcut(scm, asked)
    return {
        "answer": said(asked, asked.answer, among),
        "shortcut_answer": said(asked, easy, among),
        "shortcut_is_right": easy == asked.answer,
        "language_guess": said(asked, guess, among),
        "guessable": guess == asked.answer,
    }


def observed_facts(
    scm: Scm, asked: Asked, among: Sequence[Content] | None, posteriors: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, object]:
    """What the ideal observer answers; `posteriors` (O,) with and without the back door, where they are known."""
    choices = answers(asked.form, scm.settings) if among is None else among
    best_two = [best(posterior, choices) for posterior in posteriors] if posteriors else [None, None]
    return {f"bayes_{door}": said(asked, one, among) for door, one in zip(("with", "without"), best_two, strict=True)}


def said(asked: Asked, content: Content | None, among: Sequence[Content] | None) -> str | None:
    """An answer in the words of its data set: an option, or one word."""
    if content is None:
        return None
    return word(asked.form, content) if among is None else spelled(phrase(asked.form, content))
