"""Sample types, one per task; what an adapter declares about its data set; the error it raises.

Times are seconds. Behind `read` all data sets of one task look alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class DatasetError(ValueError):
    """An annotation record that no named rule repairs. The message names file, record, expectation and way out."""


class Sample(Protocol):
    """What the samples of every task have in common; MomentSample and QuestionSample explain the fields."""

    @property
    def sample_id(self) -> str:
        """Unique in the split."""

    @property
    def video_id(self) -> str:
        """Names the video's features."""

    @property
    def duration(self) -> float | None:
        """Seconds, None where not published."""

    @property
    def text_items(self) -> tuple[str, ...]:
        """Ids of the stored features of its texts, if there are any: one for the query or question, or one per option."""

    @property
    def source(self) -> str:
        """File name."""

    @property
    def record(self) -> int:
        """Line or index in it, from 1."""

    @property
    def untrainable(self) -> str | None:
        """Why this sample cannot be trained on, as the end of "a training record ..."; None where it can."""


@dataclass(frozen=True, kw_only=True)
class MomentSample:
    """One query on one video: moment retrieval, highlight detection, answerability.

    sample_id             unique in the split; the published qid where that is unique, else "<vid>_<qid>"
    video_id, query_id    the ids under which the features are published (query features: qid<query_id>)
    query                 the published text, byte for byte
    duration              seconds
    spans                 ((start, end), ...) in seconds, inside [0, duration], start <= end; empty when unknown or unanswerable
    relevant_clips        indices of 2-second clips with a rating, or None
    saliency_scores       one (a, b, c) of 0..4 per relevant clip, or None
    answerable            None where the data set does not say
    published             the record as published, JSON: what scorers compare with (placeholder windows included)
    source, record        file name and 1-based line or index in it
    """

    sample_id: str
    video_id: str
    query_id: str
    query: str
    duration: float
    spans: tuple[tuple[float, float], ...]
    relevant_clips: tuple[int, ...] | None = None
    saliency_scores: tuple[tuple[int, int, int], ...] | None = None
    answerable: bool | None = None
    published: str
    source: str
    record: int

    @property
    def text_items(self) -> tuple[str, ...]:
        """See Sample."""
        return (self.query_id,)

    @property
    def untrainable(self) -> str | None:
        """See Sample."""
        if self.answerable is False:
            return "that cannot be answered in its video"
        return None if self.spans else "without a window"


@dataclass(frozen=True, kw_only=True)
class QuestionSample:
    """One question on one video: open-ended or with options, with or without evidence in time.

    sample_id      unique in the data set's file; "<video>_<qid>" where the published question id counts within a video
    video_id       the id under which the video's features are published
    question_id    the published id
    question       the published text, byte for byte
    options        texts to choose from, in order; empty: the question is open-ended
    answer         text of the right answer, None where the file does not say
    answer_index   its place in `options`; None in open-ended questions and where the file does not say
    type           kind of question as the benchmark groups it: "CW", "what", ...
    duration       seconds, None where not published
    spans          evidence, ((start, end), ...) in seconds, inside [0, duration], start <= end; empty where unknown
    frame_times    seconds at which the rows of the frame features were shown, or None where rows divide the video evenly
    row            place of the record in its file, from 0: row-aligned feature files have the same order
    published      the record as published, JSON
    source, record file name and 1-based line or index in it
    """

    sample_id: str
    video_id: str
    question_id: str
    question: str
    options: tuple[str, ...] = ()
    answer: str | None = None
    answer_index: int | None = None
    type: str
    duration: float | None = None
    spans: tuple[tuple[float, float], ...] = ()
    frame_times: tuple[float, ...] | None = None
    row: int
    published: str
    source: str
    record: int

    @property
    def text_items(self) -> tuple[str, ...]:
        """See Sample. Of a question with options: "<sample_id>#<m>" for option m, from 0."""
        return text_items(self.sample_id, len(self.options))

    @property
    def untrainable(self) -> str | None:
        """See Sample."""
        return "without an answer" if self.answer is None else None


def text_items(sample_id: str, options: int) -> tuple[str, ...]:
    """Ids of the stored text features of a question: its own for an open-ended one, else one per option."""
    return tuple(f"{sample_id}#{option}" for option in range(options)) or (sample_id,)


@dataclass(frozen=True, kw_only=True)
class Source:
    """What an adapter states about its data set.

    task         "moments", "questions", "relations": which sample type it yields
    files        split -> file name below data/raw/<dataset>/; "<name>" is also found as "<name>.gz"; "<name>/": a folder
    samples      split -> number of records, or None where it depends on the user's files
    validation   split used for model selection; None: the hold-out rule on training videos (design: sha256 of the id, one in ten)
    train        the split that is trained on
    fps          clips per second of the published clip features; 0 where every video has the same number of frames
    alternatives split -> a second file that holds the same split, read where the first is absent
    """

    name: str
    task: str
    files: dict[str, str]
    samples: dict[str, int | None]
    train: str = "train"
    validation: str | None = None
    fps: float = 0.0
    alternatives: dict[str, str] = field(default_factory=dict)


@dataclass
class Quality:
    """Counts of every repair and every oddity, by rule name, with the first few record ids; ends in quality.json."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, rule: str, record: str) -> None:
        """Count `rule` once more; keep the first five records as examples."""
        self.counts[rule] += 1
        kept = self.examples.setdefault(rule, [])
        if len(kept) < 5:
            kept.append(record)


def published_file(raw: Path, *names: str) -> Path:
    """The first of `raw/name` and its `.gz` form that is there, name by name; `name/` is a folder with something in it.

    Raises DatasetError if none exists.
    """
    candidates = [raw / form for name in names for form in ((name,) if name.endswith("/") else (name, f"{name}.gz"))]
    for path in candidates:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            return path
    forms = " nor ".join(str(path.relative_to(raw)) for path in candidates)
    raise DatasetError(f"{raw}: neither {forms} is there; run the fetch stage, or put your own copy there")


def is_published(raw: Path, name: str) -> bool:
    """Whether `raw/name` or its `.gz` form is there."""
    return any((raw / form).is_file() for form in (name, f"{name}.gz"))


def split_file(source: Source, raw: Path, split: str) -> Path:
    """The file that holds one split below `raw`.

    Raises DatasetError if the data set has no such split, or none of its files is there.
    """
    if split not in source.files:
        raise DatasetError(f"{source.name}: no split {split!r}; it has {', '.join(source.files)}")
    return published_file(raw, source.files[split], *filter(None, [source.alternatives.get(split)]))
