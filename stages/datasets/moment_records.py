"""The record of moment retrieval and highlight detection, as JSON lines: what every adapter of this task shares.

    qid                   int (or text); names the query text, and so its feature file
    query                 text
    duration              seconds
    vid                   text
    relevant_windows      [[start, end], ...] in seconds
    relevant_clip_ids     indices of 2-second clips that were rated                       highlight detection only
    saliency_scores       three raters' 0..4 for each of these clips                      highlight detection only
    no_answer             true: the query cannot be answered; the window is a placeholder      relevance feedback only
    kind                  hard or easy, of a query without answer                              planted worlds only

Moment-DETR introduced the layout; Lighthouse and CausalVTG use it for other data sets too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from stages.datasets.json_records import json_lines, shown
from stages.datasets.schema import DatasetError, MomentSample, Quality
from stages.datasets.texts import SURROGATE, text_oddities
from stages.datasets.windows import inside, note_windows

Record = tuple[int, str, dict[str, Any]]  # number in the file, the record as published, its content

KNOWN_KEYS = frozenset(
    ("qid", "query", "duration", "vid", "relevant_windows", "relevant_clip_ids", "saliency_scores", "no_answer", "kind")
)
PLACEHOLDER = (0.0, 0.001)  # the window of unanswerable records
CLIP_SECONDS = 2  # of the rated clips, whatever the features' rate
SHORT_VIDEO = 5.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What one split's records must carry.

    fps               clips per second of the features; decides what is shorter than a clip
    labelled          windows are required of every answerable record
    relevance         `no_answer` is required, and a record is named by video and query: the query id alone repeats
    """

    fps: float
    labelled: bool = True
    relevance: bool = False


def read_moment_records(path: Path, layout: Layout, quality: Quality) -> Iterator[MomentSample]:
    """The samples of one JSON-lines file, in file order."""
    return samples_of(json_lines(path, quality), path, layout, quality, unit="line")


def samples_of(records: Iterable[Record], path: Path, layout: Layout, quality: Quality, *, unit: str) -> Iterator[MomentSample]:
    """Records of any origin, once they have the layout above, as samples; `unit` is what their number counts.

    Raises DatasetError with the path, the number and the query id: a missing key, a wrong type or value, a repeated record.
    """
    seen = _Seen()
    for number, text, content in records:
        record = _Reader(f"{path}: {unit} {number}", content)
        sample = _sample(record, layout, quality, published=text, source=path.name.removesuffix(".gz"), number=number)
        seen.check(record, sample, quality, unit=unit)
        yield sample


def _sample(record: _Reader, layout: Layout, quality: Quality, *, published: str, source: str, number: int) -> MomentSample:
    query_id = record.identity("qid")
    record.place += f" (qid {query_id})"
    video_id = record.identity("vid")
    sample_id = f"{video_id}_{query_id}" if layout.relevance else query_id
    duration = record.number("duration", record.required("duration"))
    if duration <= 0:
        record.fault("duration", "a positive number of seconds", duration)
    query = record.text("query")
    answerable = record.flag("no_answer", required=layout.relevance)
    answerable = None if answerable is None else not answerable
    spans = _spans(record, duration, answerable, layout, quality, sample_id)
    clips, scores = _ratings(record, duration, spans, quality, sample_id)
    for rule in _oddities(record, video_id, query, duration):
        quality.note(rule, sample_id)
    return MomentSample(
        sample_id=sample_id,
        video_id=video_id,
        query_id=query_id,
        query=query,
        duration=duration,
        spans=spans,
        relevant_clips=clips,
        saliency_scores=scores,
        answerable=answerable,
        published=published,
        source=source,
        record=number,
    )


def _spans(
    record: _Reader, duration: float, answerable: bool | None, layout: Layout, quality: Quality, sample_id: str
) -> tuple[tuple[float, float], ...]:
    """The windows inside the video; none where the query cannot be answered."""
    if "relevant_windows" not in record.content and not layout.labelled:
        return ()
    windows = record.windows()
    if answerable is False:
        if windows and set(windows) != {PLACEHOLDER}:
            record.fault("relevant_windows", f"no window but {list(PLACEHOLDER)} where no_answer is true", windows[0])
        if windows:
            quality.note("placeholder_window_dropped", sample_id)
        return ()
    if not windows:
        record.fault("relevant_windows", "at least one window in a record that can be answered", [])
    if answerable and PLACEHOLDER in windows:
        record.fault("relevant_windows", "a real window where no_answer is false, not the placeholder", PLACEHOLDER)
    found = [inside(window, duration, quality, sample_id) for window in windows]
    if None in found:
        record.fault("relevant_windows", f"a window that touches the video of {duration} s", windows[found.index(None)])
    spans = tuple(window for window in found if window)
    note_windows(spans, duration, 1 / layout.fps, quality, sample_id)
    return spans


def _ratings(
    record: _Reader, duration: float, spans: tuple[tuple[float, float], ...], quality: Quality, sample_id: str
) -> tuple[tuple[int, ...] | None, tuple[tuple[int, int, int], ...] | None]:
    """(rated clips, their three scores), or (None, None)."""
    keys = ("relevant_clip_ids", "saliency_scores")
    if not any(key in record.content for key in keys):
        return None, None
    clips = tuple(record.whole(keys[0], clip) for clip in record.items(keys[0]))
    scores = tuple(record.triple(keys[1], triple) for triple in record.items(keys[1]))
    if len(clips) != len(scores):
        record.fault(keys[1], f"one triple for each of the {len(clips)} rated clips", len(scores))
    if len(set(clips)) != len(clips):
        record.fault(keys[0], "every clip at most once", next(clip for clip in clips if clips.count(clip) > 1))
    last = int(duration / CLIP_SECONDS) - 1
    if outside := [clip for clip in clips if not 0 <= clip <= last]:
        record.fault(keys[0], f"clips 0..{last} of a video of {duration} s", outside[0])
    if clips != tuple(sorted(clips)):
        quality.note("clips_unsorted", sample_id)
    if scores and not any(map(any, scores)):
        quality.note("saliency_all_zero", sample_id)
    if spans and _runs(clips) != sorted(spans):
        quality.note("clips_and_windows_disagree", sample_id)
    return clips, scores


def _runs(clips: tuple[int, ...]) -> list[tuple[float, float]]:
    """Neighbouring clips joined to windows, in seconds."""
    joined: list[tuple[float, float]] = []
    for clip in sorted(clips):
        start, end = float(clip * CLIP_SECONDS), float((clip + 1) * CLIP_SECONDS)
        if joined and joined[-1][1] == start:
            start, _ = joined.pop()
        joined.append((start, end))
    return joined


def _oddities(record: _Reader, video_id: str, query: str, duration: float) -> Iterator[str]:
    """Rules of what is kept as it is."""
    content = record.content
    if isinstance(content["vid"], int):
        yield "video_id_number_as_text"
    if video_id[0] in "-_":
        yield "video_id_starts_with_sign"
    if video_id != video_id.strip():
        yield "video_id_outer_blanks"
    if duration < SHORT_VIDEO:
        yield "video_shorter_than_5_seconds"
    if any(isinstance(start, int) != isinstance(end, int) for start, end in content.get("relevant_windows", ())):
        yield "window_mixes_int_and_float"
    yield from text_oddities(query)
    if not KNOWN_KEYS.issuperset(content):
        yield "unknown_key"


@dataclass
class _Seen:
    """What the earlier records of a file said: to find repeats."""

    records: dict[tuple[str, str], int] = field(default_factory=dict)
    query_ids: dict[str, int] = field(default_factory=dict)
    texts: set[tuple[str, str]] = field(default_factory=set)
    durations: dict[str, float] = field(default_factory=dict)

    def check(self, record: _Reader, sample: MomentSample, quality: Quality, *, unit: str) -> None:
        """Note what repeats; refuse the same query on the same video twice, and an id that is used twice."""
        pair = (sample.video_id, sample.query_id)
        if (first := self.records.setdefault(pair, sample.record)) != sample.record:
            raise DatasetError(f"{record.place}: video {pair[0]} and qid {pair[1]} occur in {unit} {first} too; drop one of them")
        if (first := self.query_ids.setdefault(sample.query_id, sample.record)) != sample.record:
            if sample.sample_id == sample.query_id:
                raise DatasetError(f"{record.place}: the qid occurs in {unit} {first} too; number the records anew")
            quality.note("query_id_repeated", sample.sample_id)
        if (asked := (sample.video_id, sample.query.strip())) in self.texts:
            quality.note("query_repeated_in_video", sample.sample_id)
        self.texts.add(asked)
        if self.durations.setdefault(sample.video_id, sample.duration) != sample.duration:
            quality.note("duration_differs_within_video", sample.sample_id)


@dataclass
class _Reader:
    """One record's content, read with checks; `place` is where it stands, for messages."""

    place: str
    content: dict[str, Any]

    def fault(self, key: str, expected: str, got: Any) -> NoReturn:
        raise DatasetError(
            f"{self.place}: {key}: expected {expected}, got {shown(got)}; correct the record or fetch the file again"
        )

    def required(self, key: str) -> Any:
        if key not in self.content:
            known = ", ".join(self.content)
            raise DatasetError(f"{self.place}: key {key!r} is missing (it has {known}); is this the file of another split?")
        return self.content[key]

    def identity(self, key: str) -> str:
        """An id as text; a whole number is as good."""
        value = self.required(key)
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            self.fault(key, "an id: text or a whole number", value)
        name = str(value)
        if not name.strip() or SURROGATE.search(name) or "\x00" in name:
            self.fault(key, "an id that can be written", value)
        return name

    def text(self, key: str) -> str:
        value = self.required(key)
        if not isinstance(value, str) or not value.strip():
            self.fault(key, "a text that is not empty", value)
        if SURROGATE.search(value):
            self.fault(key, "text of whole characters, without half of a surrogate pair", value)
        return value

    def number(self, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self.fault(key, "a number of seconds", value)
        try:
            seconds = float(value)
        except OverflowError:
            seconds = math.inf
        if not math.isfinite(seconds):
            self.fault(key, "a finite number of seconds", value)
        return seconds

    def whole(self, key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, "whole numbers", value)
        return value

    def flag(self, key: str, *, required: bool) -> bool | None:
        if key not in self.content and not required:
            return None
        value = self.required(key)
        if not isinstance(value, bool):
            self.fault(key, "true or false", value)
        return value

    def items(self, key: str) -> list[Any]:
        value = self.required(key)
        if not isinstance(value, list):
            self.fault(key, "a list", value)
        return value

    def windows(self) -> list[tuple[float, float]]:
        key = "relevant_windows"
        found = []
        for window in self.items(key):
            if not isinstance(window, list) or len(window) != 2:
                self.fault(key, "windows of the form [start, end]", window)
            found.append((self.number(key, window[0]), self.number(key, window[1])))
        return found

    def triple(self, key: str, value: Any) -> tuple[int, int, int]:
        if not isinstance(value, list) or len(value) != 3:
            self.fault(key, "three raters' scores for each clip", value)
        a, b, c = (self.whole(key, score) for score in value)
        if not all(0 <= score <= 4 for score in (a, b, c)):
            self.fault(key, "scores within 0..4", value)
        return a, b, c
