"""Scoring prediction files of grounded question answering: what NExT-GQA and STAR share.

    post_hoc       segments in seconds, or the segment around the largest frame weight
    pre_hoc        segments as fractions of the video, or the best window of frame weights; in seconds to a tenth
    merge_<how>    both (stages.metrics.frame_segments.merged)
    <one>_subset   the same on the questions of --subset
    qa             accuracy of the answers alone, without segments

As in the references, questions without a segment leave the denominator, an answer is right if it equals the one that stands
beside it in --qa, and a segment made from weights never reaches the first frame. Corrected values count questions without a
segment as not grounded, take what is right from the labels of --questions, and let the first frame join.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from stages.metrics.answers import Answers, disagreement, option_labels, read_answers
from stages.metrics.contract import Request, Scored, each_profile
from stages.metrics.frame_segments import Merge, Segment, around_the_largest, best_window, in_seconds, merged
from stages.metrics.grounded_answers import Key, evidence_keys, faithfulness, per_question, scores
from stages.metrics.records import InputError, NotApplicableError, Records, is_number, read_json, read_object, read_table, shown
from stages.metrics.rounding import rounded

DECIMALS = 1
BEYOND = 1e15  # seconds; sums and rounding stay exact below
MERGES: tuple[Merge, ...] = get_args(Merge)
SEGMENTS = ("post_hoc", "pre_hoc", *(f"merge_{how}" for how in MERGES))
PROFILES = (*SEGMENTS, *(f"{name}_subset" for name in SEGMENTS), "qa")
FILES = ("ground_truth",)
OPTIONAL = ("qa", "questions", "frame2time", "frame_weights", "segments_seconds", "segments_normalised", "subset")

Accuracy = Callable[["GroundedFiles", bool], dict[str, Any]]


@dataclass
class GroundedFiles:
    """The files of a request, each read and checked when it is first needed.

    columns    that the table of questions must have
    options    answers that a question offers: columns a0, a1, ... of the table
    """

    files: Mapping[str, Path]
    strict: bool
    columns: tuple[str, ...]
    options: int
    warnings: list[str] = field(default_factory=list)

    def needed(self, role: str) -> Path:
        """The file of a role. Raises NotApplicableError if it was not given."""
        if role not in self.files:
            raise NotApplicableError(f"needs --{role.replace('_', '-')}")
        return self.files[role]

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """Video -> duration and location (question -> segments), checked."""
        path = self.needed("ground_truth")
        content, repeated = read_object(path)
        if repeated:
            raise InputError(f"{path}: {repeated[0]} occurs more than once; expected one entry per video")
        for video, entry in content.items():
            _check_entry(entry, f"{path}: video {video}")
        return content

    @cached_property
    def durations(self) -> dict[Key, float]:
        """Seconds of the video of each question that has evidence, in file order."""
        return {key: seconds for key, _, seconds in evidence_keys(self.evidence)}

    @cached_property
    def answers(self) -> Answers | None:
        """The answers, if there are any."""
        return read_answers(self.files["qa"]) if "qa" in self.files else None

    @cached_property
    def questions(self) -> Records:
        """The table of questions."""
        return read_table(self.needed("questions"), self.columns)

    def right_by_labels(self, keys: Collection[Key]) -> dict[Key, bool]:
        """Whether each of these questions is answered with an option that its label calls right; all of them have answers.

        Raises NotApplicableError where no labels are given, InputError for a question without one or one that --qa contradicts.
        """
        assert self.answers is not None
        if "questions" not in self.files:
            raise NotApplicableError("needs --questions, whose labels say which answers are right")
        table = self.questions
        columns = ["answer", *(f"a{number}" for number in range(self.options))]
        if absent := [name for name in columns if name not in table.rows[0]]:
            raise NotApplicableError(f"{table.path}: no column {', '.join(absent)}; labels say which answers are right")
        rows = {f"{cells['video_id']}_{cells['qid']}": row for row, cells in enumerate(table.rows)}
        if unknown := [key for key in keys if key not in rows]:
            raise InputError(f"{table.path}: no question {unknown[0]}, whose answer is to be scored ({len(unknown)} such)")
        labels = {key: option_labels(table, rows[key], self.options, by_index=False) for key in keys}
        disagreement(self.answers, labels, corrected=True)
        return {key: self.answers.values[key][0] in labels[key] for key in keys}

    @cached_property
    def subset(self) -> set[Key]:
        """The questions that subset profiles score."""
        path = self.needed("subset")
        content = read_json(path)
        if type(content) is not list or not all(type(key) is str for key in content):
            raise InputError(f"{path}: expected a JSON array of question ids, got {shown(content)}")
        return set(content)

    @cached_property
    def post_hoc(self) -> dict[Key, Segment]:
        """In seconds."""
        if "segments_seconds" in self.files:
            return _segments(self.files["segments_seconds"])
        return {key: around_the_largest(weights, times) for key, (weights, times) in self.weighted.items()}

    @cached_property
    def post_hoc_corrected(self) -> dict[Key, Segment]:
        """The same; the first frame joins like any other."""
        if "segments_seconds" in self.files:
            return self.post_hoc
        pairs = self.weighted.items()
        return {key: around_the_largest(weights, times, first_frame=True) for key, (weights, times) in pairs}

    @cached_property
    def pre_hoc(self) -> dict[Key, Segment]:
        """In seconds, rounded; only of questions with evidence."""
        if "segments_normalised" in self.files:
            fractions = _segments(self.files["segments_normalised"])
        else:
            weights = _rows(self.needed("frame_weights"))
            fractions = {key: best_window(row) for key, row in weights.items()}
        return {key: in_seconds(span, self.durations[key]) for key, span in fractions.items() if key in self.durations}

    @cached_property
    def weighted(self) -> dict[Key, tuple[list[float], list[float]]]:
        """Weights and times of the frames, of questions with evidence."""
        weights, times = _rows(self.needed("frame_weights")), _rows(self.needed("frame2time"))
        weighted = {}
        for key, row in weights.items():
            if key not in self.durations:
                continue
            video = key.split("_", 1)[0]
            if len(times.get(video, ())) != len(row):
                known = f"{len(times[video])} times" if video in times else "no entry"
                raise InputError(f"{self.files['frame2time']}: video {video}: {known}; question {key} has {len(row)} weights")
            weighted[key] = (row, times[video])
        return weighted

    def segments(self, profile: str, corrected: bool) -> dict[Key, Segment]:
        """The segments that a profile scores."""
        if profile == "pre_hoc":
            return self.pre_hoc
        post_hoc = self.post_hoc_corrected if corrected else self.post_hoc
        if profile == "post_hoc":
            return post_hoc
        how: Merge = profile.removeprefix("merge_")  # type: ignore[assignment]
        both = [key for key in self.durations if key in self.pre_hoc and key in post_hoc]
        return {key: merged(self.pre_hoc[key], post_hoc[key], how) for key in both}

    def grounding(self, profile: str, corrected: bool) -> dict[str, Any]:
        """Values of a profile about segments."""
        name = profile.removesuffix("_subset")
        segments, kept = self.segments(name, corrected), set(self.durations)
        if name != profile:
            kept &= self.subset
        if corrected:
            segments = {**dict.fromkeys(kept, NOWHERE), **segments}
        segments = {key: segment for key, segment in segments.items() if key in kept}
        right = self._right(segments, corrected)
        if not segments:
            raise NotApplicableError("no question of the evidence file has a segment")
        if (without := len(kept) - len(segments)) > 0:
            self._warn(f"{profile}: {without} of {len(kept)} questions have no segment and leave the denominator")
        numbers = scores(per_question(self.evidence, segments, right))
        values: dict[str, Any] = {"rounded": rounded(numbers, DECIMALS), "unrounded": numbers, "n_questions": len(segments)}
        ratio = faithfulness(numbers)
        return values if ratio is None else {**values, "FR": {"unrounded": ratio}}

    def _right(self, segments: dict[Key, Segment], corrected: bool) -> dict[Key, bool] | None:
        """Whether each question with a segment is answered rightly; without an answer its segment is dropped, or an error."""
        if self.answers is None:
            return None
        missing = [key for key in segments if key not in self.answers.values]
        if missing and self.strict:
            raise InputError(
                f"{self.answers.path}: no answer to {missing[0]}, which has a segment ({len(missing)} such questions)"
            )
        for key in missing:
            del segments[key]
        if missing:
            self._warn(f"{self.answers.path}: no answer to {missing[0]}; left out ({len(missing)} such questions)")
        return self.right_by_labels(segments) if corrected else {key: self.answers.right(key) for key in segments}

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


NOWHERE = (-2.0, -1.0)  # a segment that touches no evidence


def scorer(
    accuracy: Accuracy, default: tuple[str, ...], *, columns: tuple[str, ...], options: int
) -> Callable[[Request], Scored]:
    """The `score` of a benchmark with its own accuracies under `qa`; `columns` and `options` as in GroundedFiles."""

    def score(request: Request) -> Scored:
        files = GroundedFiles(request.files, request.strict, columns, options)
        scored = Scored(warnings=files.warnings)
        names = tuple(name for name in default if not name.endswith("_subset") or "subset" in request.files)

        def values(profile: str, corrected: bool) -> dict[str, Any]:
            return accuracy(files, corrected) if profile == "qa" else files.grounding(profile, corrected)

        each_profile(request, names, scored, values)
        counts = [part.get("n_questions", part.get("n_scored", 0)) for part in scored.profiles.values()]
        scored.n_scored = max(counts)
        scored.n_skipped = max(len(files.durations) - scored.n_scored, 0)
        return scored

    return score


def _check_entry(entry: Any, place: str) -> None:
    if type(entry) is not dict or type(entry.get("location")) is not dict:
        raise InputError(f"{place}: expected duration and location, got {shown(entry)}")
    if not is_number(entry.get("duration")) or abs(entry["duration"]) >= BEYOND:
        raise InputError(f"{place}: duration: expected seconds, got {shown(entry.get('duration'))}")
    for question, segments in entry["location"].items():
        if type(segments) is not list or not segments or not all(_is_segment(one) for one in segments):
            raise InputError(f"{place}: location: question {question}: expected [[start, end], ...], got {shown(segments)}")


def _is_segment(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and all(is_number(one) and abs(one) < BEYOND for one in value)


def _segments(path: Path) -> dict[Key, Segment]:
    content, _ = read_object(path)
    for key, value in content.items():
        if not _is_segment(value):
            raise InputError(f"{path}: id {key}: expected [start, end], got {shown(value)}")
    return {key: (value[0], value[1]) for key, value in content.items()}


def _rows(path: Path) -> dict[str, list[float]]:
    content, _ = read_object(path)
    for key, value in content.items():
        if type(value) is not list or len(value) < 2 or not all(is_number(one) for one in value):
            raise InputError(f"{path}: id {key}: expected a list of numbers, one per frame, got {shown(value)}")
    return content
