"""Words of the planted world: the grammar of queries, and token features in the space of the concepts.

    token feature = lift (unit vector of the word's concept, or of the function word, + noise)

Verb forms of one predicate share its vector, as all words of one concept do; function words have directions of their own.
L tokens (a begin mark, the words, an end mark), d latent, F function words, D published width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.worlds.observation import Views
from stages.worlds.scm import Event, Scm, Video
from stages.worlds.settings import Planted, require
from stages.worlds.streams import stream

BEGIN, END = "<begin>", "<end>"
FUNCTION_WORDS = (BEGIN, END, "the", "a", "is", "in")
ACTORS = ("man", "woman", "child", "girl", "boy", "cook", "guest", "clown")
OBJECTS = (
    "ball", "book", "box", "cup", "chair", "hat", "lamp", "bag", "plate", "phone", "rope", "towel",
    "bottle", "pillow", "bucket", "basket", "mirror", "broom", "candle", "drum", "kite", "ladder", "shoe", "spoon",
)  # fmt: skip
SCENES = (
    "kitchen", "garden", "street", "office", "garage", "beach", "gym", "cellar", "barn", "harbour", "library", "station",
    "forest", "market", "museum", "bathroom", "hallway", "school", "workshop", "meadow", "tunnel", "theatre", "roof", "tent",
)  # fmt: skip


@dataclass(frozen=True)
class Verb:
    """The forms the grammar needs: show, shows, showing, showed."""

    base: str
    third: str
    ing: str
    past: str


# Such that the small parser (stages/confounders/english) takes none of them for a noun, not even at the end of a question.
VERBS = (
    Verb("show", "shows", "showing", "showed"),
    Verb("leave", "leaves", "leaving", "left"),
    Verb("find", "finds", "finding", "found"),
    Verb("use", "uses", "using", "used"),
    Verb("send", "sends", "sending", "sent"),
    Verb("take", "takes", "taking", "took"),
    Verb("make", "makes", "making", "made"),
    Verb("swing", "swings", "swinging", "swung"),
    Verb("give", "gives", "giving", "gave"),
    Verb("melt", "melts", "melting", "melted"),
    Verb("get", "gets", "getting", "got"),
    Verb("eat", "eats", "eating", "ate"),
    Verb("prepare", "prepares", "preparing", "prepared"),
    Verb("feel", "feels", "feeling", "felt"),
    Verb("receive", "receives", "receiving", "received"),
    Verb("see", "sees", "seeing", "saw"),
)

Concept = tuple[str, int]  # ("object", 3), or ("function", 2)


@dataclass(frozen=True, kw_only=True)
class Query:
    """A question about one event of one video. `words` are what the tokens mean, mark by mark."""

    qid: int
    video: Video
    position: int  # which event, 0 = first
    template: int
    text: str
    words: tuple[Concept, ...]

    @property
    def event(self) -> Event:
        """The event that the query names."""
        return self.video.events[self.position]


class Language:
    """Vocabulary, templates and token features of one world."""

    def __init__(self, scm: Scm, views: Views) -> None:
        self.scm, self.views, self.settings = scm, views, scm.settings
        check_vocabulary(self.settings)
        text = self.settings.text
        require(
            text.width >= self.settings.latent + len(FUNCTION_WORDS),
            f"text.width: {text.width} is less than latent {self.settings.latent} + {len(FUNCTION_WORDS)} function words",
        )
        self.lift = views.lift(text.like, text.width)

    def templates(self, event: Event, scene: int) -> tuple[tuple[tuple[str, Concept], ...], ...]:
        """The phrasings of one event, each a sequence of (word, concept)."""
        verb, predicate = VERBS[event.predicate], ("predicate", event.predicate)
        actor, thing = (ACTORS[event.actor], ("actor", event.actor)), (OBJECTS[event.object], ("object", event.object))
        forms: tuple[tuple[tuple[str, Concept], ...], ...] = (
            (_function("the"), actor, (verb.third, predicate), _function("the"), thing),
            (_function("the"), actor, _function("is"), (verb.ing, predicate), _function("the"), thing),
            (actor, (verb.ing, predicate), _function("a"), thing),
        )
        if self.settings.text.scene_words:
            forms += ((*forms[-1], _function("in"), _function("the"), (SCENES[scene], ("scene", scene))),)
        return forms

    def queries(self, video: Video) -> list[Query]:
        """The queries of one video, in time order."""
        generator = stream(self.scm.seed, "queries", video.split, video.index)
        asked = np.arange(len(video.events))
        if self.settings.queries_per_video is not None:
            asked = np.sort(generator.permutation(asked)[: self.settings.queries_per_video])
        first = self.settings.splits[video.split].first_qid + video.index * self.settings.max_events
        queries = []
        for position in map(int, asked):
            forms = self.templates(video.events[position], video.scene)
            template = int(generator.integers(len(forms)))
            marked = (_function(BEGIN), *forms[template], _function(END))
            queries.append(
                Query(
                    qid=first + position,
                    video=video,
                    position=position,
                    template=template,
                    text=" ".join(word for word, _ in forms[template]),
                    words=tuple(concept for _, concept in marked),
                )
            )
        return queries

    def latent(self, query: Query) -> np.ndarray:
        """(L, d + F): token vectors of a query with their noise."""
        concepts = self.views.concepts[self.settings.text.like]
        latent, extra = self.settings.latent, len(FUNCTION_WORDS)
        rows = np.zeros((len(query.words), latent + extra))
        for row, (kind, index) in zip(rows, query.words, strict=True):
            if kind == "function":
                row[latent + index] = 1.0
            else:
                row[:latent] = getattr(concepts, kind)[index]
        noise = stream(self.scm.seed, "tokens", query.video.split, query.qid).standard_normal(rows.shape)
        return np.asarray(rows + self.settings.text.noise / np.sqrt(latent) * noise)

    def published(self, query: Query) -> tuple[np.ndarray, np.ndarray]:
        """Token features (L, D) and one pooled row (D,), the unit mean of the words."""
        latent = self.latent(query)
        tokens = latent @ self.lift.T
        pooled = tokens[1:-1].mean(axis=0)
        dtype = self.settings.dtype
        return tokens.astype(dtype), (pooled / np.linalg.norm(pooled)).astype(dtype)


def check_vocabulary(settings: Planted) -> None:
    """Raise WorldError if the world has more concepts of a kind than there are words."""
    for field, words in (("actors", ACTORS), ("objects", OBJECTS), ("scenes", SCENES), ("predicates", VERBS)):
        wanted = getattr(settings, field)
        require(wanted <= len(words), f"{field}: {wanted}, but the vocabulary of the world has words for {len(words)}")


def vocabulary(settings: Planted) -> dict[str, list[str]]:
    """The words of each kind of concept, in index order; predicates by their base form."""
    return {
        "scene": list(SCENES[: settings.scenes]),
        "actor": list(ACTORS[: settings.actors]),
        "predicate": [verb.base for verb in VERBS[: settings.predicates]],
        "object": list(OBJECTS[: settings.objects]),
    }


def _function(word: str) -> tuple[str, Concept]:
    return word, ("function", FUNCTION_WORDS.index(word))
