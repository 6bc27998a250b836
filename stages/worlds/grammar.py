"""Questions of the planted world: what is asked, what answers it, which spans show it, what could be answered instead.

    kind      template                                                       answer                        form      type
    object    what does the A V                                              the O                         thing     DO
    verb      what does the A do with the O                                  V it                          deed      DO
    who       who Vs the O                                                   the A                         actor     DO
    count     how many things does someone do                                two, three, ...               number    DC
    yes_no    does the A V the O                                             yes, no                       verdict   DO
    next      what does the A do after Ving the O, with the same actor       V' the O'                     act       TN
              what happens after the A Vs the O, otherwise                   the A' V's the O'             event     TN
    previous  the same with before                                                                                   TP
    why       why does the A V the O, where the event before enables it      because the A' V'ed the O'    cause     CW
    how       how does the A come to V the O, likewise                       by V'ing the O'               means     CH

A question is asked only where the video has one answer to it. Types are NExT-QA's; the published texts are lower case without a
question mark. Answers are tuples of concept indices, in the order of their form: (object,), (predicate, object),
(actor, predicate, object), ...
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from stages.worlds.language import ACTORS, FUNCTION_WORDS, OBJECTS, VERBS, Concept
from stages.worlds.scm import Event, Scm, Video
from stages.worlds.settings import KINDS, OPTIONS, Planted
from stages.worlds.streams import stream

QUESTION_WORDS = (
    *FUNCTION_WORDS, "what", "does", "do", "with", "who", "how", "many", "things", "someone", "after", "before", "happens", "why",
    "because", "come", "to", "by", "it",
)  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TYPES = {
    "object": "DO", "verb": "DO", "who": "DO", "count": "DC", "yes_no": "DO",
    "next": "TN", "previous": "TP", "why": "CW", "how": "CH",
}  # fmt: skip
WORD_FORMS = frozenset({"thing", "deed", "actor", "number", "verdict"})  # one word answers: the classes of open questions
HARD = 2  # options that the video or its scene suggest

Word = tuple[str, Concept | None]  # None: a word that stands in answers of one word only
Content = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One question on one video. `position`: the event that it names; `evidence`: the events that show the answer."""

    video: Video
    kind: str
    qid: int  # counts within the video
    position: int | None
    words: tuple[Word, ...]
    form: str
    answer: Content
    evidence: tuple[int, ...]

    @property
    def text(self) -> str:
        """The question as published with five options: lower case, no mark at the end."""
        return spelled(self.words)

    @property
    def type(self) -> str:
        """NExT-QA's name."""
        return TYPES[self.kind]

    @property
    def event(self) -> Event | None:
        """The event that the question names."""
        return None if self.position is None else self.video.events[self.position]


def spelled(words: tuple[Word, ...]) -> str:
    """Words with blanks between them."""
    return " ".join(word for word, _ in words)


@cache
def plain(*words: str) -> tuple[Word, ...]:
    """Function words."""
    return tuple((word, ("function", QUESTION_WORDS.index(word))) for word in words)


def actor(index: int) -> tuple[Word, ...]:
    """the man."""
    return (*plain("the"), (ACTORS[index], ("actor", index)))


def thing(index: int) -> tuple[Word, ...]:
    """the ball."""
    return (*plain("the"), (OBJECTS[index], ("object", index)))


def verb(index: int, form: str) -> tuple[Word, ...]:
    """A verb as base, third, ing or past."""
    return ((getattr(VERBS[index], form), ("predicate", index)),)


def phrase(form: str, content: Content) -> tuple[Word, ...]:
    """An answer in words, as an option. All options of one question have the same form, hence the same length."""
    match form:
        case "thing":
            return thing(*content)
        case "deed":
            return (*verb(content[0], "base"), *plain("it"))
        case "actor":
            return actor(*content)
        case "act":
            return (*verb(content[0], "base"), *thing(content[1]))
        case "event":
            return (*actor(content[0]), *verb(content[1], "third"), *thing(content[2]))
        case "cause":
            return (*plain("because"), *actor(content[0]), *verb(content[1], "past"), *thing(content[2]))
        case "means":
            return (*plain("by"), *verb(content[0], "ing"), *thing(content[1]))
        case "number":
            return ((NUMBERS[content[0]], None),)
    assert form == "verdict"
    return (("yes" if content[0] else "no", None),)


def word(form: str, content: Content) -> str:
    """An answer of one word, as a class of the open questions."""
    assert form in WORD_FORMS
    match form:
        case "thing":
            return OBJECTS[content[0]]
        case "deed":
            return VERBS[content[0]].base
        case "actor":
            return ACTORS[content[0]]
    return spelled(phrase(form, content))


def answers(form: str, settings: Planted) -> list[Content]:
    """Everything that could be said in this form."""
    sizes = {
        "thing": (settings.objects,),
        "deed": (settings.predicates,),
        "actor": (settings.actors,),
        "verdict": (2,),
        "act": (settings.predicates, settings.objects),
        "means": (settings.predicates, settings.objects),
        "event": (settings.actors, settings.predicates, settings.objects),
        "cause": (settings.actors, settings.predicates, settings.objects),
    }
    if form == "number":
        return [(count,) for count in range(settings.min_events, settings.max_events + 1)]
    return list(product(*map(range, sizes[form])))


def has_options(form: str, settings: Planted) -> bool:
    """Whether there are five different answers; what has fewer is asked without options only."""
    return len(answers(form, settings)) >= OPTIONS


def questions(scm: Scm, video: Video, kinds: dict[str, float]) -> list[Asked]:
    """The questions on one video, by kind and time. `kinds`: how likely each possible question of a kind is asked.

    Every possible question draws its own number, so that another kind or another share leaves the others as they are.
    """
    found = []
    for order, kind in enumerate(KINDS):
        if not kinds.get(kind):
            continue
        generator = stream(scm.seed, "questions", kind, video.split, video.index)
        draws = generator.random(len(video.events))
        for place, words, form, answer, evidence in _possible(kind, scm, video, generator):
            position = place or 0
            if draws[position] < kinds[kind]:
                qid = order * scm.settings.max_events + position
                found.append(
                    Asked(
                        video=video,
                        kind=kind,
                        qid=qid,
                        position=place,
                        words=words,
                        form=form,
                        answer=answer,
                        evidence=evidence,
                    )
                )
    return found


Possible = tuple[int | None, tuple[Word, ...], str, Content, tuple[int, ...]]


def _possible(kind: str, scm: Scm, video: Video, generator: np.random.Generator) -> Iterator[Possible]:
    """Every question of one kind that the video has one answer to: position, words, form, answer, evidence."""
    events = video.events
    if kind == "count":
        yield None, plain("how", "many", "things", "does", "someone", "do"), "number", (len(events),), tuple(range(len(events)))
        return
    for k, event in enumerate(events):
        named = (*actor(event.actor), *verb(event.predicate, "base"), *thing(event.object))
        if kind == "object":
            words = (*plain("what", "does"), *actor(event.actor), *verb(event.predicate, "base"))
            yield k, words, "thing", (event.object,), (k,)
        elif kind == "verb":
            alike = [e for e in events if (e.actor, e.object) == (event.actor, event.object)]
            if len(alike) == 1:
                words = (*plain("what", "does"), *actor(event.actor), *plain("do", "with"), *thing(event.object))
                yield k, words, "deed", (event.predicate,), (k,)
        elif kind == "who":
            yield k, (*plain("who"), *verb(event.predicate, "third"), *thing(event.object)), "actor", (event.actor,), (k,)
        elif kind == "yes_no":
            yield _verdict(k, scm, video, generator)
        elif kind in ("why", "how") and event.linked:
            cause = events[k - 1]
            if kind == "why":
                yield k, (*plain("why", "does"), *named), "cause", (cause.actor, cause.predicate, cause.object), (k - 1, k)
                continue
            words = (*plain("how", "does"), *named[:2], *plain("come", "to"), *named[2:])
            yield k, words, "means", (cause.predicate, cause.object), (k - 1, k)
        elif kind in ("next", "previous"):
            other = k + 1 if kind == "next" else k - 1
            if 0 <= other < len(events):
                yield _neighbour(k, other, events)


def _neighbour(k: int, other: int, events: tuple[Event, ...]) -> Possible:
    event, answer = events[k], events[other]
    when = plain("after" if other > k else "before")
    evidence = (min(k, other), max(k, other))
    if event.actor == answer.actor:
        asked = (*plain("what", "does"), *actor(event.actor), *plain("do"), *when, *verb(event.predicate, "ing"))
        return k, (*asked, *thing(event.object)), "act", (answer.predicate, answer.object), evidence
    asked = (*plain("what", "happens"), *when, *actor(event.actor), *verb(event.predicate, "third"))
    return k, (*asked, *thing(event.object)), "event", (answer.actor, answer.predicate, answer.object), evidence


def _verdict(k: int, scm: Scm, video: Video, generator: np.random.Generator) -> Possible:
    """Yes, no about a pair one half of which occurs (hard), no about a pair of which nothing does (easy): 2 to 1 to 1."""
    settings, event = scm.settings, video.events[k]
    say, easy = generator.random() < 0.5, generator.random() < 0.5
    absent = [(j, o) for j in range(settings.predicates) for o in range(settings.objects)]
    shown = {(e.predicate, e.object) for e in video.events}
    predicates, objects = {e.predicate for e in video.events}, {e.object for e in video.events}
    if easy:
        absent = [(j, o) for j, o in absent if j not in predicates and o not in objects]
    else:
        absent = [(j, o) for j, o in absent if (j == event.predicate or o == event.object) and (j, o) not in shown]
    choice = int(generator.integers(max(len(absent), 1)))
    say = say or not absent
    predicate, object_ = (event.predicate, event.object) if say else absent[choice]
    words = (*plain("does"), *actor(event.actor), *verb(predicate, "base"), *thing(object_))
    return k, words, "verdict", (int(say),), (k,) if say else ()


def options(scm: Scm, asked: Asked) -> tuple[tuple[Content, ...], int]:
    """Five answers in the order in which they are offered, and the place of the right one.

    Up to two are hard: what other events of the video would answer, and what the scene prefers; the rest is uniform over what
    else could be said. The order is the sample's own.
    """
    generator = stream(scm.seed, "options", asked.video.split, asked.video.index, asked.qid)
    chosen = [asked.answer]
    suggested = list(dict.fromkeys(one for one in _suggested(scm, asked) if one != asked.answer))
    for index in generator.permutation(len(suggested))[:HARD]:
        chosen.append(suggested[index])
    rest = [one for one in answers(asked.form, scm.settings) if one not in chosen]
    chosen += [rest[index] for index in generator.permutation(len(rest))[: OPTIONS - len(chosen)]]
    order = generator.permutation(OPTIONS)
    return tuple(chosen[index] for index in order), int(np.flatnonzero(order == 0)[0])


def _suggested(scm: Scm, asked: Asked) -> list[Content]:
    """What the other events of the video would answer, in this form, and what the scene would."""
    video, event = asked.video, asked.event
    others = [e for k, e in enumerate(video.events) if k != asked.position]
    fields = {
        "thing": ("object",),
        "deed": ("predicate",),
        "actor": ("actor",),
        "act": ("predicate", "object"),
        "means": ("predicate", "object"),
        "event": ("actor", "predicate", "object"),
        "cause": ("actor", "predicate", "object"),
    }
    found = [tuple(int(getattr(e, field)) for field in fields[asked.form]) for e in others]
    if asked.form == "thing" and event is not None:
        found.append((int(scm.preferred[video.scene, event.predicate]),))
    elif asked.form == "deed" and event is not None:
        found += [(int(j),) for j in np.flatnonzero(scm.preferred[video.scene] == event.object)[:1]]
    elif asked.form in ("act", "means"):
        found.append((asked.answer[0], int(scm.preferred[video.scene, asked.answer[0]])))
    elif asked.form in ("event", "cause"):
        found.append((*asked.answer[:2], int(scm.preferred[video.scene, asked.answer[1]])))
    return found
