"""Files of the relation benchmarks, ImageNet-VidVRD and VidOR (Shang et al., 2017-2019), and their scores.

Predictions: {"results": {video: [{"triplet", "score", "duration" [first, last + 1), "sub_traj", "obj_traj"}]}}, or JSON lines, a
video each: {"video_id", "results": [...]}; ground truth: the inner mapping without scores. `zero_shot` keeps the true relations
that training has never shown and the predictions of their triplets, `zero_shot_old` all predictions. Videos without true
relations are not scored; those without predictions count as empty. Corrected values differ in P@n (relations.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from stages.datasets.relation_schema import Float, Relation, Triplet
from stages.metrics.contract import Benchmark, Request, Scored, each_profile
from stages.metrics.records import InputError, NotApplicableError, is_number, read_json, read_object, shown
from stages.metrics.relations import limited, relation_scores, unseen

DECIMALS = 4
PROFILES = ("standard", "zero_shot", "zero_shot_old")
Relations = dict[str, list[Relation]]


def score(request: Request) -> Scored:
    """Detection and tagging, over all relations and over those that training has never shown."""
    place = request.files["predictions"]
    content, repeated = read_object(place, "video_id")
    predictions = _relations(place, _results(place, content), scored=True)
    truth = _relations(request.files["ground_truth"], read_object(request.files["ground_truth"])[0], scored=False)
    videos = [video for video, relations in truth.items() if relations]
    warnings = [
        f"{place}: {video}: {what} ({len(several)} such videos)"
        for what, several in (
            ("not in the ground truth; left out", [video for video in predictions if video not in truth]),
            ("no prediction; counts as empty", [video for video in videos if video not in predictions]),
            ("occurs more than once; the last one counts", repeated),
        )
        for video in several[:1]
    ]
    training = _triplets(request.files["train_triplets"]) if "train_triplets" in request.files else None
    scored = Scored(n_scored=len(videos), n_skipped=len(truth) - len(videos), warnings=warnings)

    def values(profile: str, corrected: bool) -> dict[str, Any]:
        ours, theirs = predictions, truth
        if profile != "standard":
            if training is None:
                raise NotApplicableError(f"profile {profile} needs --train-triplets")
            theirs = unseen(truth, training)
            ours = limited(predictions, theirs) if profile == "zero_shot" else predictions
        if not any(theirs.values()):
            raise NotApplicableError(f"{request.files['ground_truth']}: no relation is left for profile {profile}")
        numbers = relation_scores(ours, theirs, corrected=corrected)
        return {"rounded": {name: float(f"{value:.{DECIMALS}f}") for name, value in numbers.items()}, "unrounded": numbers}

    each_profile(request, PROFILES, scored, values)
    return scored


def _results(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """What stands under `results`: of the file, or of every line."""
    if all(type(line) is dict and line.get("video_id") == video for video, line in content.items()):
        return {video: line.get("results") for video, line in content.items()}
    results = content.get("results")
    if type(results) is not dict:
        raise InputError(f"{path}: results: expected videos with their relations, got {shown(results)}")
    return results


def _relations(path: Path, content: dict[str, Any], *, scored: bool) -> Relations:
    out: Relations = {}
    for video, several in content.items():
        if type(several) is not list:
            raise InputError(f"{path}: {video}: expected a list of relations, got {shown(several)}")
        out[video] = [_relation(f"{path}: {video}: relation {number}", one, scored) for number, one in enumerate(several)]
    return out


def _relation(place: str, entry: Any, scored: bool) -> Relation:
    if type(entry) is not dict:
        raise InputError(f"{place}: expected one JSON object, got {shown(entry)}")
    frames = entry.get("duration")
    if type(frames) is not list or len(frames) != 2 or any(type(frame) is not int for frame in frames) or frames[0] >= frames[1]:
        raise InputError(f"{place}: duration: expected [first frame, last frame + 1], got {shown(frames)}")
    if scored and not is_number(entry.get("score")):
        raise InputError(f"{place}: score: expected a finite number, got {shown(entry.get('score'))}")
    boxes = [_boxes(place, name, entry.get(name), frames[1] - frames[0]) for name in ("sub_traj", "obj_traj")]
    return Relation(_triplet(place, entry.get("triplet")), frames[0], frames[1], boxes[0], boxes[1], entry.get("score"))


def _boxes(place: str, name: str, value: Any, frames: int) -> Float:
    if type(value) is not list or len(value) != frames:
        count = f"{len(value)} boxes" if type(value) is list else shown(value)
        raise InputError(f"{place}: {name}: expected {frames} boxes, one per frame of its duration, got {count}")
    for frame, box in enumerate(value):
        if type(box) is not list or len(box) != 4 or not all(map(is_number, box)):
            raise InputError(f"{place}: {name}[{frame}]: expected [left, top, right, bottom], got {shown(box)}")
    return np.array(value, dtype=np.float64).reshape(-1, 4)


def _triplet(place: str, value: Any) -> Triplet:
    if type(value) is not list or len(value) != 3 or not all(type(part) is str for part in value):
        raise InputError(f"{place}: triplet: expected [subject, predicate, object], got {shown(value)}")
    return (value[0], value[1], value[2])


def _triplets(path: Path) -> set[Triplet]:
    content = read_json(path)
    if type(content) is not list:
        raise InputError(f"{path}: expected a JSON list of triplets, got {shown(content)}")
    return {_triplet(f"{path}: entry {number}", one) for number, one in enumerate(content)}


def benchmark(title: str) -> Benchmark:
    """A benchmark of these files."""
    return Benchmark(
        title=title,
        files=("predictions", "ground_truth"),
        optional=("train_triplets",),
        options=(),
        profiles=PROFILES,
        default=PROFILES,
        score=score,
    )
