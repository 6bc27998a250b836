"""One query of a results page: what was asked, what is true, what the run said, and what it looked at.

Times are seconds; of a video of unknown length a clip counts as 1, and `unit` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from stages.reporting.reading import Number, Reader, Window

UNITS = ("s", "clip")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to a question.

    options, scores       of a choice, side by side; empty for an open-ended question
    best                  ((text, probability), ...) of an open-ended question, the likeliest first
    right, correct        None: nobody knows
    """

    given: str
    right: str | None
    options: tuple[str, ...]
    scores: tuple[Number, ...]
    best: tuple[tuple[str, float], ...]
    correct: bool | None


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Subject, predicate, object from start to end.

    score, hit    of a predicted one: whether it was found to be true (None: not judged)
    rank          of a true one: the prediction that found it, counted from 1; None: none did
    """

    triplet: tuple[str, ...]
    span: Window
    score: Number = None
    hit: bool | None = None
    rank: int | None = None


@dataclass(frozen=True, kw_only=True)
class Relations:
    """True relations of a video, and predicted ones by falling score."""

    truth: tuple[Relation, ...]
    predicted: tuple[Relation, ...]


@dataclass(frozen=True, kw_only=True)
class DictionaryAttention:
    """What the method read off its confounder dictionary of `size` entries: those that count most, by place in it.

    weights    one row per entry: a number per clip, or one for the video as a whole
    gate       per clip, how much of it comes from the dictionary; None: the method has no such number
    """

    entries: tuple[int, ...]
    weights: tuple[tuple[Number, ...], ...]
    gate: tuple[Number, ...] | None
    size: int


@dataclass(frozen=True, kw_only=True)
class Example:
    """One query with its truth and what the run said about it.

    truth                 ((start, end), ...): moments, or evidence of a question; empty: none in this video, or unknown
    windows               ((start, end, score), ...) by descending score; of a question, runs of chosen clips
    saliency              one score per clip of `seconds_per_clip` seconds; of a question, the weights of the clips
    saliency_truth        the same, as annotated; None where nobody rated
    answerable            probability that the query can be answered; None if the method has no opinion
    answer, relations     for questions, for relations
    dictionary            of methods that adjust by a dictionary of other samples
    chosen                clips that an answer rests on
    objects               ((clip, object), ...) that it rests on; objects_truth: those that show it, None: unknown
    span                  predicted evidence; None: none
    """

    split: str
    sample_id: str
    query: str
    video_id: str
    duration: float
    truth: tuple[Window, ...]
    windows: tuple[Window, ...]
    saliency: tuple[Number, ...]
    saliency_truth: tuple[Number, ...] | None
    seconds_per_clip: float
    answerable: Number
    unit: str = "s"
    answer: Answer | None = None
    chosen: tuple[int, ...] = ()
    objects: tuple[Window, ...] = ()
    objects_truth: tuple[Window, ...] | None = None
    span: Window | None = None
    relations: Relations | None = None
    dictionary: DictionaryAttention | None = None


def read_example(example: Reader) -> Example:
    """Raises ReportError."""
    duration, step = example.number("duration"), example.number("seconds_per_clip")
    if duration <= 0 or step <= 0:
        raise example.wrong("duration, seconds_per_clip", "seconds above 0", (duration, step))
    unit = example.text_or_none("unit") or UNITS[0]
    if unit not in UNITS:
        raise example.wrong("unit", " or ".join(map(repr, UNITS)), unit)
    return Example(
        split=example.text("split"),
        sample_id=example.text("sample_id"),
        query=example.text("query"),
        video_id=example.text("video_id"),
        duration=duration,
        truth=example.rows("truth", 2),
        windows=example.rows("windows", 3),
        saliency=example.series("saliency"),
        saliency_truth=example.series("saliency_truth") if example.has("saliency_truth") else None,
        seconds_per_clip=step,
        answerable=example.number_or_none("answerable_probability"),
        unit=unit,
        answer=_answer(example.inner(example.raw["answer"], "answer")) if example.has("answer") else None,
        chosen=example.places("chosen") if example.has("chosen") else (),
        objects=example.rows("objects", 2) if example.has("objects") else (),
        objects_truth=example.rows("objects_truth", 2) if example.has("objects_truth") else None,
        span=example.span("span") if example.has("span") else None,
        relations=_relations(example.inner(example.raw["relations"], "relations")) if example.has("relations") else None,
        dictionary=_dictionary(example.inner(example.raw["dictionary"], "dictionary")) if example.has("dictionary") else None,
    )


def _dictionary(read: Reader) -> DictionaryAttention:
    entries = read.places("entries")
    rows = read.take("weights", list, "one list of numbers per entry")
    lists = read.inner({str(n): row for n, row in enumerate(rows)}, "weights")
    weights = tuple(lists.series(name) for name in lists.raw)
    if len(weights) != len(entries) or len({len(row) for row in weights}) > 1:
        raise read.wrong("weights", f"{len(entries)} lists of equal length, one per entry", f"{len(weights)} lists")
    return DictionaryAttention(
        entries=entries,
        weights=weights,
        gate=read.series("gate") if read.has("gate") else None,
        size=int(read.number("size")),
    )


def _answer(answer: Reader) -> Answer:
    options = answer.texts("options")
    scores = answer.series("scores") if answer.has("scores") else ()
    if scores and len(scores) != len(options):
        raise answer.wrong("scores", f"{len(options)} numbers, one per option", list(scores))
    best = answer.take("best", list, "a list of [text, probability]") if answer.has("best") else []
    right, given = answer.text_or_none("right"), answer.text("given")
    correct = answer.flag_or_none("correct")
    return Answer(
        given=given,
        right=right,
        options=options,
        scores=scores,
        best=tuple(_likely(answer, n, pair) for n, pair in enumerate(best)),
        correct=given == right if correct is None and right is not None else correct,
    )


def _likely(answer: Reader, n: int, pair: object) -> tuple[str, float]:
    if isinstance(pair, list) and len(pair) == 2:
        text, value = pair
        if isinstance(text, str) and isinstance(value, (int, float)) and not isinstance(value, bool):
            return text, float(value)
    raise answer.wrong(f"best[{n}]", "[text, probability]", pair)


def _relations(relations: Reader) -> Relations:
    return Relations(
        truth=tuple(_relation(one) for one in relations.items("truth")),
        predicted=tuple(_relation(one) for one in relations.items("predicted")),
    )


def _relation(one: Reader) -> Relation:
    triplet = one.texts("triplet")
    if len(triplet) != 3:
        raise one.wrong("triplet", "subject, predicate, object", list(triplet))
    rank = one.number_or_none("rank")
    return Relation(
        triplet=triplet,
        span=one.span("span"),
        score=one.number_or_none("score"),
        hit=one.flag_or_none("hit"),
        rank=None if rank is None else int(rank),
    )
