"""Objects with boxes: what a detector sees in each frame of a planted video, and which of it an event is about.

    row of an actor     = w g_a a + w g_p p + g_z z + noise        while one of its events covers w of the clip
    row of its object   =   g_o o + w g_p p + g_z z + noise
    row of scenery      =   g_o o_d         + g_z z + noise        d: typical for the scene, by the law of distractors

The boxes of actor and object move against each other as the predicate prescribes (MOTIONS), scenery stays where it is. Which
place of the list a thing takes is drawn anew in every frame. Boxes (x1, y1, x2, y2) are shares of the frame. T clips, O places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.worlds.language import VERBS
from stages.worlds.observation import Views
from stages.worlds.scm import Scm, Video
from stages.worlds.settings import Regions
from stages.worlds.streams import stream

VIEW = "region"
ACTOR_SIZE = (0.22, 0.5)  # width and height as shares of the frame
OBJECT_SIZE = (0.12, 0.12)
# Centre of the object against that of the actor, in actor sizes, at the beginning and the end; how the object's size changes;
# how far it swings to and fro meanwhile.
MOTIONS: dict[str, tuple[float, float, float, float, float, float]] = {
    "show": (0.4, 0.5, 0.4, -0.6, 1.0, 0.0),
    "leave": (0.6, 0.2, 1.6, 0.2, 1.0, 0.0),
    "find": (0.5, 0.1, 0.5, 0.1, 1.8, 0.0),
    "use": (0.3, 0.0, 0.3, 0.0, 1.0, 0.3),
    "send": (0.4, -0.3, 2.2, -0.8, 0.7, 0.0),
    "take": (0.3, 0.0, 0.3, 0.0, 1.0, 0.0),
    "make": (0.6, -0.4, 0.6, 0.4, 1.0, 0.2),
    "swing": (0.4, -0.2, 0.4, -0.2, 1.0, 0.6),
    "give": (0.4, 0.5, 2.2, 0.4, 0.8, 0.0),
    "melt": (0.4, 0.1, 0.0, 0.1, 0.4, 0.0),
    "get": (0.4, -0.3, 0.4, 0.6, 1.0, 0.0),
    "eat": (0.5, 0.0, 0.5, 0.0, 0.6, 0.2),
    "prepare": (0.4, 0.2, 0.4, 0.2, 1.3, 0.1),
    "feel": (0.4, 0.3, 0.4, 0.3, 1.0, 0.1),
    "receive": (1.4, 0.1, 0.4, 0.1, 1.0, 0.0),
    "see": (0.4, 0.0, 0.4, -0.3, 1.0, 0.3),
}
SWINGS = 3  # to and fro in one event
MARGIN = 0.02  # no box is thinner


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What the detector gives for one video.

    latent (T, O, d), boxes (T, O, 4), zeros where no object is
    places (K, T, 2) place of the actor and of the object of each event; -1 in clips that the event does not touch
    """

    latent: np.ndarray
    boxes: np.ndarray
    places: np.ndarray
    objects: int


class Detector:
    """Regions of the videos of one world."""

    def __init__(self, scm: Scm, views: Views, settings: Regions) -> None:
        self.scm, self.views, self.settings = scm, views, settings
        self.concepts = views.concepts_of(VIEW)
        self.scenery = scm.distractor_law()

    def lift(self) -> np.ndarray:
        """(width, d), orthonormal columns."""
        width = self.settings.view.width
        return self.views.lift(VIEW, width)[:, : self.scm.settings.latent]

    def objects(self, video: Video) -> int:
        """How many boxes the video's frames fill."""
        crowded = stream(self.scm.seed, "crowded", video.split, video.index).random() < self.settings.crowded_share
        return self.settings.crowded_objects if crowded else self.settings.objects

    def see(self, video: Video) -> Seen:
        """Draw the regions of one video; they depend on the world's seed and on the video, on nothing else."""
        settings, view, concepts = self.settings, self.settings.view, self.concepts
        generator = stream(self.scm.seed, "regions", video.split, video.index)
        clips, count, latent = video.clips, self.objects(video), self.scm.settings.latent
        kinds = generator.choice(len(self.scenery[0]), size=settings.boxes, p=self.scenery[video.scene])[:count]
        rows = np.broadcast_to(view.object * concepts.object[kinds], (clips, count, latent)).copy()
        boxes = np.broadcast_to(scattered(generator, settings.boxes)[:count], (clips, count, 4)).copy()
        covered = video.coverage
        starts = generator.random((len(video.events), 2))
        for k, event in enumerate(video.events):
            touched = np.flatnonzero(covered[k])
            share = covered[k, touched, None]
            used = share * view.predicate * concepts.predicate[event.predicate]
            rows[touched, 0] = share * view.actor * concepts.actor[event.actor] + used
            rows[touched, 1] = view.object * concepts.object[event.object] + used
            middle = (touched + 0.5) * video.duration / clips
            progress = np.clip((middle - event.start) / (event.end - event.start), 0.0, 1.0)
            boxes[touched, 0], boxes[touched, 1] = moved(VERBS[event.predicate].base, starts[k], progress)
        rows += view.scene * concepts.scene[video.scene]
        rows += view.sigma * generator.standard_normal((clips, settings.boxes, latent))[:, :count]
        boxes += settings.jitter * generator.standard_normal((clips, settings.boxes, 4))[:, :count]
        return self._placed(video, rows, boxes, generator.random((clips, settings.boxes))[:, :count])

    def _placed(self, video: Video, rows: np.ndarray, boxes: np.ndarray, draws: np.ndarray) -> Seen:
        clips, count = draws.shape
        order = draws.argsort(axis=1)
        frames = np.arange(clips)[:, None]
        latent = np.zeros((clips, self.settings.boxes, rows.shape[2]))
        latent[:, :count] = rows[frames, order]
        placed = np.zeros((clips, self.settings.boxes, 4))
        placed[:, :count] = inside(boxes)[frames, order]
        where = order.argsort(axis=1)[:, :2]  # (T, 2): actor and object are the first two things
        places = np.where(video.coverage[:, :, None] > 0, where[None], -1)
        return Seen(latent=latent, boxes=placed, places=places, objects=count)


def moved(verb: str, start: np.ndarray, progress: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (N, 4) of actor and object at `progress` (N,) of an event; start (2,) in 0..1 draws where the actor stands."""
    first_x, first_y, last_x, last_y, growth, swing = MOTIONS[verb]
    size = np.array(ACTOR_SIZE)
    actor = size / 2 + start * (np.array([0.6, 1.0]) - size)  # room on the right for what goes away
    if verb == "take":
        actor = actor + progress[:, None] * np.array([0.2, 0.0])
    actor = np.broadcast_to(actor, (len(progress), 2))
    offset = np.stack([first_x + (last_x - first_x) * progress, first_y + (last_y - first_y) * progress], axis=1)
    offset[:, 1] += swing * np.sin(2 * np.pi * SWINGS * progress)
    extent = np.array(OBJECT_SIZE) * (growth ** progress[:, None])
    return around(actor, np.broadcast_to(size, actor.shape)), around(actor + offset * size, extent)


def scattered(generator: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4): boxes anywhere in the frame, of the size of objects, half to twice as large."""
    extent = np.array(OBJECT_SIZE) * 2.0 ** generator.uniform(-1, 1, (count, 1))
    return around(extent / 2 + generator.random((count, 2)) * (1 - extent), extent)


def around(centre: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """Centres and extents (N, 2) -> (N, 4)."""
    return np.concatenate([centre - extent / 2, centre + extent / 2], axis=1)


def inside(boxes: np.ndarray) -> np.ndarray:
    """(..., 4) cut to the frame, never thinner than MARGIN."""
    first = np.clip(boxes[..., :2], 0.0, 1.0 - MARGIN)
    last = np.clip(boxes[..., 2:], first + MARGIN, 1.0)
    return np.asarray(np.concatenate([first, last], axis=-1))
