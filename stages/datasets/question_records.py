"""Questions with options, and open-ended ones, as the CSV files of the benchmarks hold them: what adapters of this task share.

    with options   video_id (or video), qid, question, answer, type, a0..a4: NExT-QA, NExT-GQA, STAR, Causal-VidQA, planted worlds
    open-ended     id, video_id, question, answer, separated by tabs: MSVD-QA, MSRVTT-QA, planted worlds

`published` of a sample is its row as a JSON object of texts; where there is evidence, also "duration" and "location", unrepaired.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from stages.datasets.csv_records import Row, header_of, table_rows, whole_number
from stages.datasets.evidence import VideoEvidence, note_frame_times, read_evidence
from stages.datasets.json_records import shown
from stages.datasets.schema import DatasetError, Quality, QuestionSample, Source, is_published, split_file
from stages.datasets.texts import text_oddities
from stages.datasets.windows import inside, note_windows

Spans = tuple[tuple[float, float], ...]
FRAMES = 32


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How one file states its questions with options.

    options    how many there are: columns a0, a1, ...
    answer     what the column holds: the text of the right option, or its place; "header": place where the column of the video is
               called `video` (NExT-QA), text where it is called `video_id` (NExT-GQA)
    labelled   every record has an answer
    question   column that tells the questions of one video apart
    """

    options: int = 5
    answer: Literal["text", "index", "header"] = "text"
    labelled: bool = True
    question: str = "qid"


def read_choices(
    path: Path, layout: Choices, quality: Quality, evidence: Mapping[str, VideoEvidence] | None = None
) -> Iterator[QuestionSample]:
    """The questions of one file, in file order, joined with the evidence in time.

    Raises DatasetError: another table; an answer that is no option; a video or question twice or without an id; evidence outside
    its video, or for none of the videos.
    """
    video = "video" if "video" in header_of(path) else "video_id"
    names = tuple(f"a{place}" for place in range(layout.options))
    columns = (video, layout.question, "question", "type", *(("answer",) if layout.labelled else ()), *names)
    rows = table_rows(path, columns, quality)
    by_place = layout.answer == "index" or (layout.answer == "header" and video == "video")
    return choice_samples(rows, path, layout, quality, evidence, video=video, by_place=by_place)


def read_with_evidence(source: Source, raw: Path, split: str, layout: Choices, quality: Quality) -> Iterator[QuestionSample]:
    """`read_choices` of one split, joined with gsub_<split>.json and frame2time_<split>.json where those lie beside its file."""
    path, folder = split_file(source, raw, split), source.files[split].rpartition("/")[0]
    windows, times = (f"{folder}/{name}_{split}.json" for name in ("gsub", "frame2time"))
    evidence = read_evidence(raw, windows, times, quality) if is_published(raw, windows) else None
    return read_choices(path, layout, quality, evidence)


def choice_samples(
    rows: Iterable[tuple[int, Row]],
    path: Path,
    layout: Choices,
    quality: Quality,
    evidence: Mapping[str, VideoEvidence] | None = None,
    *,
    video: str = "video_id",
    by_place: bool = False,
) -> Iterator[QuestionSample]:
    """Rows of any origin, once they have the columns of `read_choices`, as samples."""
    seen = _Seen()
    grounded = Grounds(path, evidence, quality)
    for number, (line, row) in enumerate(rows):
        video_id, question_id = row[video], row[layout.question]
        place = f"{path}: line {line} (video {video_id}, question {question_id})"
        sample_id = f"{video_id}_{question_id}"
        _check_texts(row, (video, layout.question, "question"), place)
        options = tuple(row[f"a{index}"] for index in range(layout.options))
        answer = _answer(row, options, place, by_place, quality, sample_id) if layout.labelled else None
        for rule in _choice_oddities(row["question"], options):
            quality.note(rule, sample_id)
        seen.check((video_id, question_id), row["question"], sample_id, place, quality)
        duration, spans, times, published = grounded.of(video_id, question_id, sample_id, place)
        yield QuestionSample(
            sample_id=sample_id,
            video_id=video_id,
            question_id=question_id,
            question=row["question"],
            options=options,
            answer=None if answer is None else options[answer],
            answer_index=answer,
            type=row["type"],
            duration=duration,
            spans=spans,
            frame_times=times,
            row=number,
            published=json.dumps({**row, **published}, ensure_ascii=False),
            source=path.name.removesuffix(".gz"),
            record=line,
        )
    grounded.note_unused()


def read_open(path: Path, quality: Quality) -> Iterator[QuestionSample]:
    """The open-ended questions of one file, in file order. The kind of a question is its first word: what, who, how, ...

    Raises DatasetError: another table, an id twice, an empty cell.
    """
    seen = _Seen()
    for number, (line, row) in enumerate(table_rows(path, ("answer", "id", "question", "video_id"), quality)):
        place = f"{path}: line {line} (question {row['id']})"
        _check_texts(row, ("id", "video_id", "question", "answer"), place)
        for rule in text_oddities(row["question"]):
            quality.note(rule, row["id"])
        seen.check((row["video_id"], row["id"]), row["question"], row["id"], place, quality)
        yield QuestionSample(
            sample_id=row["id"],
            video_id=row["video_id"],
            question_id=row["id"],
            question=row["question"],
            answer=row["answer"],
            type=row["question"].split()[0].lower(),
            row=number,
            published=json.dumps(row, ensure_ascii=False),
            source=path.name.removesuffix(".gz"),
            record=line,
        )


@dataclass
class Grounds:
    """The evidence of one split, question by question; what is never asked for is noted at the end."""

    path: Path
    evidence: Mapping[str, VideoEvidence] | None
    quality: Quality
    used: dict[str, set[str]] = field(default_factory=dict)

    def of(
        self, video: str, question: str, sample_id: str, place: str
    ) -> tuple[float | None, Spans, tuple[float, ...] | None, dict[str, object]]:
        """(duration, repaired windows, times of the frames, what was published) of one question, as far as known."""
        known = (self.evidence or {}).get(video)
        if known is None:
            if self.evidence is not None:
                self.quality.note("question_without_evidence", sample_id)
            return None, (), None, {}
        if video not in self.used:
            note_frame_times(video, known, self.quality)
        self.used.setdefault(video, set()).add(question)
        published = known.windows.get(question, ())
        if not published:
            self.quality.note("question_without_evidence", sample_id)
        spans = []
        for window in published:
            if (span := inside(window, known.duration, self.quality, sample_id)) is None:
                raise DatasetError(f"{place}: window {list(window)} does not touch the video of {known.duration} s; correct it")
            spans.append(span)
        note_windows(spans, known.duration, known.duration / FRAMES, self.quality, sample_id)
        facts = {"duration": known.duration, "location": published}
        return known.duration, tuple(spans), known.frame_times, facts

    def note_unused(self) -> None:
        """Note evidence that no question asked for.

        Raises DatasetError if there is evidence, but for no video of the questions.
        """
        if self.evidence is not None and not self.used:
            raise DatasetError(f"{self.path}: no question is about a video with evidence; are the files of one split?")
        for video, known in (self.evidence or {}).items():
            if video not in self.used:
                self.quality.note("evidence_video_without_question", video)
            for question in known.windows:
                if question not in self.used.get(video, ()):
                    self.quality.note("evidence_without_question", f"{video}_{question}")


@dataclass
class _Seen:
    """What earlier records of a file said: to find repeats."""

    ids: dict[tuple[str, str], str] = field(default_factory=dict)
    texts: set[tuple[str, str]] = field(default_factory=set)

    def check(self, key: tuple[str, str], text: str, sample_id: str, place: str, quality: Quality) -> None:
        """Note a question that a video is asked again; refuse the same `key` = (video, question id) twice."""
        if (first := self.ids.setdefault(key, place)) != place:
            raise DatasetError(f"{place}: the same video and question id occur in {first} too; drop one of them")
        if (asked := (key[0], text.strip())) in self.texts:
            quality.note("query_repeated_in_video", sample_id)
        self.texts.add(asked)


def _check_texts(row: Row, columns: Iterable[str], place: str) -> None:
    for column in columns:
        if not row[column].strip() or "\0" in row[column]:
            raise DatasetError(f"{place}: {column}: expected a text that is not empty, got {shown(row[column])}; correct it")


def _answer(row: Row, options: tuple[str, ...], place: str, by_place: bool, quality: Quality, sample_id: str) -> int:
    """The place of the right option."""
    if by_place:
        if (index := whole_number(row, "answer", place)) >= len(options):
            raise DatasetError(f"{place}: answer: expected 0..{len(options) - 1}, got {index}; correct the record")
        return index
    if row["answer"] not in options:
        listed = ", ".join(map(shown, options))
        raise DatasetError(f"{place}: answer: {shown(row['answer'])} is none of the options {listed}; correct the record")
    if options.count(row["answer"]) > 1:
        quality.note("answer_option_repeated", sample_id)
    return options.index(row["answer"])


def _choice_oddities(question: str, options: tuple[str, ...]) -> Iterator[str]:
    yield from text_oddities(question)
    if len(set(options)) < len(options):
        yield "options_equal"
    if any(option != option.strip() for option in options):
        yield "option_outer_blanks"
    if not all(map(str.isascii, options)):
        yield "option_non_ascii"
