"""Scoring prediction files of grounded question answering: what NExT-GQA and STAR share.

    post_hoc       segments in seconds, or the segment around the largest frame weight
    pre_hoc        segments as fractions of the video, or the best window of frame weights; in seconds to a tenth
    merge_<how>    both (stages.metrics.frame_segments.merged)
    <one>_subset   the same on the questions of --subset
    qa             accuracy of the answers alone, without segments

Questions without a segment leave the denominator, as in the references; corrected values count them as not grounded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from stages.metrics.answers import Answers, read_answers
from stages.metrics.contract import Request, Scored, each_profile
from stages.metrics.frame_segments import Merge, Segment, around_the_largest, best_window, in_seconds, merged
from stages.metrics.grounded_answers import Key, evidence_keys, faithfulness, per_question, scores
from stages.metrics.records import InputError, NotApplicableError, is_number, read_json, read_object, shown
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
    """The files of a request, each read and checked when it is first needed."""

    files: Mapping[str, Path]
    strict: bool
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
    def pre_hoc(self) -> dict[Key, Segment]:
        """In seconds, rounded; only of questions with evidence."""
        if "segments_normalised" in self.files:
            fractions = _segments(self.files["segments_normalised"])
        else:
            weights = _rows(self.needed("frame_weights"))
            fractions = {key: best_window(row) for key, row in weights.items()}
        return {key: in_seconds(one, self.durations[key]) for key, one in fractions.items() if key in self.durations}

    @cached_property
    def weighted(self) -> dict[Key, tuple[list[float], list[float]]]:
        """Weights and times of the frames, of questions with evidence."""
        weights, times = _rows(self.needed("frame_weights")), _rows(self.needed("frame2time"))
        found = {}
        for key, row in weights.items():
            if key not in self.durations:
                continue
            video = key.split("_", 1)[0]
            if len(times.get(video, ())) != len(row):
                known = f"{len(times[video])} times" if video in times else "no entry"
                raise InputError(f"{self.files['frame2time']}: video {video}: {known}; question {key} has {len(row)} weights")
            found[key] = (row, times[video])
        return found

    def segments(self, profile: str) -> dict[Key, Segment]:
        """The segments that a profile scores."""
        if profile in ("post_hoc", "pre_hoc"):
            found: dict[Key, Segment] = getattr(self, profile)
            return found
        how: Merge = profile.removeprefix("merge_")  # type: ignore[assignment]
        both = [key for key in self.durations if key in self.pre_hoc and key in self.post_hoc]
        return {key: merged(self.pre_hoc[key], self.post_hoc[key], how) for key in both}

    def grounding(self, profile: str, corrected: bool) -> dict[str, Any]:
        """Values of a profile about segments."""
        name = profile.removesuffix("_subset")
        segments, kept = self.segments(name), set(self.durations)
        if name != profile:
            kept &= self.subset
        if corrected:
            segments = {**dict.fromkeys(kept, NOWHERE), **segments}
        segments = {key: one for key, one in segments.items() if key in kept}
        right = self._right(segments)
        if not segments:
            raise NotApplicableError("no question of the evidence file has a segment")
        if (without := len(kept) - len(segments)) > 0:
            self._warn(f"{profile}: {without} of {len(kept)} questions have no segment and leave the denominator")
        numbers = scores(per_question(self.evidence, segments, right))
        values: dict[str, Any] = {"rounded": rounded(numbers, DECIMALS), "unrounded": numbers, "n_questions": len(segments)}
        ratio = faithfulness(numbers)
        return values if ratio is None else {**values, "FR": {"unrounded": ratio}}

    def _right(self, segments: dict[Key, Segment]) -> dict[Key, bool] | None:
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
        return {key: self.answers.right(key) for key in segments}

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


NOWHERE = (-2.0, -1.0)  # a segment that touches no evidence


def scorer(accuracy: Accuracy, default: tuple[str, ...]) -> Callable[[Request], Scored]:
    """The `score` of a benchmark with its own accuracies under `qa`."""

    def score(request: Request) -> Scored:
        files = GroundedFiles(request.files, request.strict)
        scored = Scored(warnings=files.warnings)
        names = tuple(name for name in default if not name.endswith("_subset") or "subset" in request.files)

        def values(profile: str, corrected: bool) -> dict[str, Any]:
            return accuracy(files, corrected) if profile == "qa" else files.grounding(profile, corrected)

        each_profile(request, names, scored, values)
        counts = [found.get("n_questions", found.get("n_scored", 0)) for found in scored.profiles.values()]
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
