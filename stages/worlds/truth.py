"""What the world knows about its videos and queries: saliency, unanswerable pairs, what a shortcut would say.

    rating of clip t by rater r = round(level w_t + leniency_r + noise), within 0..4         -> ratings
    unanswerable pair           = a query of one video put to another that lacks (predicate, object)
        hard: the same scene, and the predicate or the object occurs    easy: another scene, and neither occurs
    predictable object          = the preferred one (from the scene), the typical one (from the predicate alone)

Best guess of the object from the predicate alone, every scene equally likely: bias / O + (1 - bias) (lang + (1 - lang) / O).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stages.worlds.language import Query
from stages.worlds.scm import Scm, Video
from stages.worlds.settings import Planted
from stages.worlds.streams import stream

RATERS = 3
HIGHEST = 4
Kind = Literal["hard", "easy"]


@dataclass(frozen=True, kw_only=True)
class Unanswerable:
    """A query put to a video that does not answer it."""

    query: Query
    video: Video
    kind: Kind


def ratings(settings: Planted, seed: int, query: Query) -> tuple[list[int], list[list[int]]]:
    """Clips that touch the queried span, and three ratings 0..4 of each."""
    covered = query.video.coverage[query.position]
    clips = np.flatnonzero(covered > 0)
    generator = stream(seed, "raters", query.video.split, query.qid)
    leniency = generator.normal(0.0, settings.raters.leniency, RATERS)
    noise = generator.normal(0.0, settings.raters.noise, (settings.max_clips, RATERS))[clips]
    score = np.rint(settings.raters.level * covered[clips, None] + leniency + noise)
    return clips.tolist(), np.clip(score, 0, HIGHEST).astype(int).tolist()


def unanswerable(
    scm: Scm, split: str, queries: Sequence[Query], videos: Sequence[Video], missing: Counter[str]
) -> Iterator[list[Unanswerable]]:
    """For each query its unanswerable pairs, hard and easy in turns, as many as the split asks for.

    Every video draws its own number, so that more videos replace few of the pairs. Where no video of a small split qualifies,
    the pair is left out and counted in `missing`, by kind.
    """
    per_query = scm.settings.splits[split].unanswerable_per_query
    scenes = np.array([video.scene for video in videos])
    shows = np.zeros((len(videos), scm.settings.predicates, scm.settings.objects), bool)
    for shown, video in zip(shows, videos, strict=True):
        for event in video.events:
            shown[event.predicate, event.object] = True
    for number, query in enumerate(queries):
        event = query.event
        predicate, thing = shows[:, event.predicate].any(axis=1), shows[:, :, event.object].any(axis=1)
        same_scene = scenes == query.video.scene
        hard = same_scene & (predicate | thing) & ~shows[:, event.predicate, event.object]
        easy = ~same_scene & ~predicate & ~thing
        draw = stream(scm.seed, "unanswerable", split, query.qid).random(len(videos))
        order = np.argsort(draw)
        kinds: list[Kind] = ["hard" if (number * per_query + n) % 2 == 0 else "easy" for n in range(per_query)]
        pairs = []
        for n, kind in enumerate(kinds):
            eligible = order[(hard if kind == "hard" else easy)[order]]
            rank = kinds[:n].count(kind)
            if rank < len(eligible):
                pairs.append(Unanswerable(query=query, video=videos[eligible[rank]], kind=kind))
            else:
                missing[kind] += 1
        yield pairs


def place_guess(scm: Scm, predicate: int, duration: float) -> tuple[float, float]:
    """The window that the biased place law suggests for a predicate: its centre, mean length. Seconds, within the video."""
    settings = scm.settings
    half = math.exp(settings.log_length_mean + settings.log_length_sd**2 / 2) / 2
    centre = float(scm.centre[predicate]) * duration
    return max(0.0, centre - half), min(duration, centre + half)


def language_guess(settings: Planted) -> float:
    """Probability that the typical object of a predicate is right, in the biased world, without seeing the video."""
    bias, language, objects = settings.scene_bias, settings.language_bias, settings.objects
    return bias / objects + (1 - bias) * (language + (1 - language) / objects)


def mechanism(scm: Scm, words: dict[str, list[str]]) -> dict[str, Any]:
    """The tables behind the events, in words, and the closed-form guess from language alone."""
    return {
        "vocabulary": words,
        "preferred_objects": {
            scene: {words["predicate"][j]: words["object"][int(o)] for j, o in enumerate(row)}
            for scene, row in zip(words["scene"], scm.preferred, strict=True)
        },
        "typical_objects": {words["predicate"][j]: words["object"][int(o)] for j, o in enumerate(scm.typical)},
        "place_of_predicates": {words["predicate"][j]: float(centre) for j, centre in enumerate(scm.centre)},
        "enables": {words["predicate"][j]: [words["predicate"][int(i)] for i in row] for j, row in enumerate(scm.enabled)},
        "reversed_scene_shift": scm.opposite,
        "object_guess_from_language": language_guess(scm.settings),
    }


def overlap(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Intersection over union of two windows in seconds."""
    shared = max(0.0, min(first[1], second[1]) - max(first[0], second[0]))
    union = (first[1] - first[0]) + (second[1] - second[0]) - shared
    return shared / union if union > 0 else 0.0


def video_row(video: Video, words: dict[str, list[str]]) -> dict[str, object]:
    """A row of videos.parquet: scene, length, and the object that each background clip shows (null on event clips)."""
    return {
        "split": video.split,
        "video_id": video.video_id,
        "scene": words["scene"][video.scene],
        "duration": video.duration,
        "clips": video.clips,
        "events": len(video.events),
        "distractors": [words["object"][index] if index >= 0 else None for index in video.distractors],
    }


def event_rows(scm: Scm, video: Video, words: dict[str, list[str]]) -> list[dict[str, object]]:
    """Rows of events.parquet: what happens when, and which of it the scene, language and place would have suggested."""
    rows: list[dict[str, object]] = []
    for position, event in enumerate(video.events):
        window = (event.start, event.end)
        guess = place_guess(scm, event.predicate, video.duration)
        preferred = int(scm.preferred[video.scene, event.predicate])
        typical = int(scm.typical[event.predicate])
        rows.append(
            {
                "split": video.split,
                "video_id": video.video_id,
                "position": position,
                "actor": words["actor"][event.actor],
                "predicate": words["predicate"][event.predicate],
                "object": words["object"][event.object],
                "start": event.start,
                "end": event.end,
                "linked_to_previous": event.linked,
                "preferred_object": words["object"][preferred],
                "object_is_preferred": event.object == preferred,
                "typical_object": words["object"][typical],
                "object_is_typical": event.object == typical,
                "place_guess": list(guess),
                "place_guess_iou": overlap(window, guess),
            }
        )
    return rows


def query_row(query: Query) -> dict[str, object]:
    """A row of queries.parquet: which event a query names, and in which form. Joins events.parquet by video and position."""
    return {
        "split": query.video.split,
        "qid": query.qid,
        "video_id": query.video.video_id,
        "position": query.position,
        "template": query.template,
        "query": query.text,
    }


def pair_row(pair: Unanswerable, words: dict[str, list[str]]) -> dict[str, object]:
    """A row of unanswerable.parquet: why the pair has no answer, and how hard that is to see."""
    event = pair.query.event
    return {
        "split": pair.query.video.split,
        "qid": pair.query.qid,
        "video_id": pair.video.video_id,
        "kind": pair.kind,
        "asked_of": pair.query.video.video_id,
        "same_scene": pair.video.scene == pair.query.video.scene,
        "predicate": words["predicate"][event.predicate],
        "object": words["object"][event.object],
        "predicate_occurs": any(other.predicate == event.predicate for other in pair.video.events),
        "object_occurs": any(other.object == event.object for other in pair.video.events),
    }
