"""Scoring moment retrieval: the array form of stages/metrics against a plain loop over queries, thresholds and windows.

    python -m benchmarks.scoring [--shared DIR]

The loop below holds the same definitions, written down once more without sharing a line with stages/metrics: small arrays per
query, Python around them, as the published scorers are built. It is the tests' yardstick as well. Values are compared before
anything is timed. Reading JSON is the physical limit here: both sides need it, so it is timed beside them and in neither.

Predictions are random; sizes are those of QVHighlights val, Charades-STA test, a third of ActivityNet test, and Charades-STA-RF
test. With the reference cases at hand (--shared) their files are timed too, the real Moment-DETR predictions among them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rounds import interleave, save
from stages.metrics.queries import Predictions, Truth, predictions_of, truth_of
from stages.metrics.records import Records
from stages.metrics.retrieval import Memo, evaluate

Record = dict[str, Any]

TOLERANCE = 1e-9
GRID = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
RANGES: dict[str, dict[str, tuple[float, float] | None]] = {
    "moment_detr": {"short": (0, 10), "middle": (10, 30), "long": (30, 150), "full": None},
    "lighthouse": {"full": (0, 1500)},
    "vtg": {"short": (0, 10), "middle": (10, 30), "long": (30, float("inf")), "full": None},
}


def score(predictions: list[Record], truth: list[Record], profile: str) -> dict[str, Any]:
    """Unrounded values of a profile: moment_detr, lighthouse, vtg, vtg_by_record or ratsg. Ids must agree."""
    if profile == "ratsg":
        return ratsg(predictions, truth)
    if profile == "vtg_by_record":
        predictions = [{**record, "qid": number} for number, record in enumerate(predictions)]
        truth = [{**record, "qid": number} for number, record in enumerate(truth)]
        profile = "vtg"
    out: dict[str, Any] = {}
    accuracy = None
    vtg = profile == "vtg"
    if vtg and "relavent_score" in predictions[0] and "no_answer" in truth[0]:
        decisions = [
            (one["relavent_score"] <= 0.5) == other["no_answer"]
            for one, other in zip(predictions, truth, strict=False)
            if "relavent_score" in one and "no_answer" in other
        ]
        accuracy = sum(decisions) / len(decisions)
        predictions = [
            {**one, "pred_relevant_windows": [[0, 0.001, 0]] * 10} if one.get("relavent_score", 1) <= 0.5 else one
            for one in predictions
        ]
    if "pred_relevant_windows" in predictions[0]:
        for name, limits in RANGES[profile].items():
            out[name] = score_range(predictions, truth, limits, vtg)
    if "pred_saliency_scores" in predictions[0] and (not vtg or isinstance(truth[0].get("saliency_scores"), list)):
        out |= score_highlights(predictions, truth)
    return {"brief": summary(out, vtg, accuracy), **out}


def score_range(predictions: list[Record], truth: list[Record], limits: tuple[float, float] | None, vtg: bool) -> dict[str, Any]:
    """Average precision and recall within one range of window lengths."""
    if limits is not None:
        kept = []
        for record in truth:
            windows = [w for w in record["relevant_windows"] if limits[0] < w[1] - w[0] <= limits[1]]
            if windows:
                kept.append({**record, "relevant_windows": windows})
        if kept or not vtg:
            ids = {record["qid"] for record in kept}
            truth, predictions = kept, [record for record in predictions if record["qid"] in ids]
    out: dict[str, Any] = {"MR-mAP": mean_average_precision(predictions, truth)}
    first, five = recall_overlaps(predictions, truth)
    grid = [0.3, 0.35, 0.4, 0.45, *GRID] if vtg else GRID
    out["MR-R1"] = {str(limit): float(np.mean(np.array(first) >= limit)) * 100 for limit in grid}
    if vtg:
        out["MR-mIoU"] = float(np.mean(first)) * 100
        out["MR-R5"] = {str(limit): float(np.mean(np.array(five) >= limit)) * 100 for limit in grid}
    return out


def mean_average_precision(predictions: list[Record], truth: list[Record]) -> dict[str, float]:
    """Windows pooled per id, matched greedily at each threshold."""
    predicted: dict[Any, list[list[float]]] = OrderedDict()
    true: dict[Any, list[list[float]]] = OrderedDict()
    for record in predictions:
        predicted.setdefault(record["qid"], []).extend(record["pred_relevant_windows"][:10])
    for record in truth:
        true.setdefault(record["qid"], []).extend(record["relevant_windows"])
    rows = [average_precision(windows, true[qid]) for qid, windows in predicted.items()]
    means = np.array(rows).mean(axis=0)
    return {
        **{str(limit): float(100 * mean) for limit, mean in zip(GRID, means, strict=True)},
        "average": float(100 * means.mean()),
    }


def average_precision(windows: list[list[float]], true: list[list[float]]) -> list[float]:
    """One query at every threshold."""
    windows = sorted(windows, key=lambda window: -window[2])
    labels = np.array(true, dtype=float)
    taken = np.zeros((len(GRID), len(true)), dtype=bool)
    hits = np.zeros((len(GRID), len(windows)))
    for position, window in enumerate(windows):
        overlaps = area_ious(window, labels)
        order = np.argsort(overlaps, kind="stable")[::-1]  # NaN sorts as the largest; the last of equals comes first
        for row, limit in enumerate(GRID):
            for index in order:
                if overlaps[index] < limit:
                    break
                if not taken[row, index]:
                    taken[row, index] = True
                    hits[row, position] = 1
                    break
    return [area(row, len(true)) for row in hits]


def area(hits: np.ndarray[Any, Any], positives: int) -> float:
    """Under the envelope of precision over recall; hits (P,) in the order of falling scores."""
    found = np.cumsum(hits)
    precision = np.concatenate([[0.0], found / np.arange(1, len(hits) + 1), [0.0]])
    recall = np.concatenate([[0.0], found / positives, [1.0]])
    for index in range(len(precision) - 2, -1, -1):
        precision[index] = max(precision[index], precision[index + 1])
    steps = np.where(recall[1:] != recall[:-1])[0] + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]))


def area_ious(window: list[float], labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """IoU by areas of one window with the labels (G, 2) -> (G,)."""
    inter = np.maximum(0, np.minimum(window[1], labels[:, 1]) - np.maximum(window[0], labels[:, 0]))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(inter / ((window[1] - window[0]) + (labels[:, 1] - labels[:, 0]) - inter))


def hull_iou(one: Any, other: Any) -> float:
    """IoU by the hull of two windows."""
    inter = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    hull = max(one[1], other[1]) - min(one[0], other[0])
    return float(inter / hull) if hull != 0 else 0.0


def recall_overlaps(predictions: list[Record], truth: list[Record]) -> tuple[list[float], list[float]]:
    """Overlap of the first window, and of the best among the first five, per distinct id; the last record of an id counts."""
    last = {record["qid"]: record for record in predictions}
    true = {record["qid"]: np.array(record["relevant_windows"], dtype=float) for record in truth}
    first, five = [], []
    for qid, record in last.items():
        windows, labels = record["pred_relevant_windows"], true[qid]
        first.append(hull_iou(windows[0], labels[np.argmax(area_ious(windows[0], labels))]))
        table = np.nan_to_num(np.stack([area_ious(window, labels) for window in windows[:5]]), nan=0.0)
        row, column = np.unravel_index(np.argmax(table), table.shape)
        five.append(hull_iou(windows[row], labels[column]))
    return first, five


def score_highlights(predictions: list[Record], truth: list[Record]) -> dict[str, Any]:
    """Average precision over annotators, and hits of the best clip, at three levels."""
    last = {record["qid"]: record for record in predictions}
    true = {record["qid"]: record for record in truth}
    out = {}
    for name, level in (("Fair", 2), ("Good", 3), ("VeryGood", 4)):
        precisions, hits = [], []
        for qid, record in last.items():
            clips = int(true[qid]["duration"] / 2)
            table = np.zeros((clips, 3))
            for clip, triple in zip(true[qid]["relevant_clip_ids"], true[qid]["saliency_scores"], strict=True):
                table[clip] = triple
            labels = table >= level
            scores = np.array(record["pred_saliency_scores"], dtype=float)
            best = int(np.argmax(scores))
            hits.append(float(best < clips and labels[best].any()))
            scores = np.concatenate([scores, np.zeros(max(0, clips - len(scores)))])[:clips]
            precisions.append([clip_precision(scores, labels[:, annotator]) for annotator in range(3)])
        out[f"HL-min-{name}"] = {"HL-mAP": float(np.mean(precisions)) * 100, "HL-Hit1": float(np.mean(hits)) * 100}
    return out


def clip_precision(scores: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> float:
    """Average precision of the clips of one video for one annotator."""
    if labels.all() or not labels.any():
        return float(labels.all())
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(labels[order])
    ends = np.append(np.where(np.diff(scores))[0], len(scores) - 1)
    precision = found[ends] / (ends + 1)
    for index in range(len(precision) - 2, -1, -1):
        precision[index] = max(precision[index], precision[index + 1])
    grown = np.diff(np.concatenate([[0], found[ends]])) > 0
    return float(np.mean(precision[grown]))


def ratsg(predictions: list[Record], truth: list[Record]) -> dict[str, Any]:
    """RaTSG's values, record i against record i."""
    overlaps: list[float] = []
    right: dict[bool, list[bool]] = {True: [], False: []}
    overlap: float
    for one, other in zip(predictions, truth, strict=True):
        rejected = one["relavent_score"] <= 0.5
        if rejected or other["no_answer"]:
            overlap = float(rejected and other["no_answer"])
        else:
            window, label = one["pred_relevant_windows"][0], other["relevant_windows"][0]
            inter = min(window[1], label[1]) - max(window[0], label[0])
            overlap = max(0.0, inter / (max(window[1], label[1]) - min(window[0], label[0])))
        overlaps.append(overlap)
        right[other["no_answer"]].append(rejected == other["no_answer"])
    out: dict[str, Any] = {f"R1@{limit}": float(np.mean(np.array(overlaps) >= limit)) * 100 for limit in (0.3, 0.5, 0.7)}
    out |= {"mIoU": float(np.mean(overlaps)) * 100, "n": len(overlaps)}
    out |= {"Acc-unanswerable": float(np.mean(right[True])) * 100, "Acc-answerable": float(np.mean(right[False])) * 100}
    return {**out, "Acc": float(np.mean(right[True] + right[False])) * 100}


def summary(values: dict[str, Any], vtg: bool, accuracy: float | None) -> dict[str, Any]:
    """The numbers that are printed."""
    out: dict[str, Any] = {}
    if "full" in values:
        full = values["full"]
        out |= {"MR-full-mAP": full["MR-mAP"]["average"]}
        out |= {"MR-full-mAP@0.5": full["MR-mAP"]["0.5"], "MR-full-mAP@0.75": full["MR-mAP"]["0.75"]}
        for limit in ("0.3", "0.5", "0.7") if vtg else ("0.5", "0.7"):
            out[f"MR-full-R1@{limit}"] = full["MR-R1"][limit]
            if vtg:
                out[f"MR-full-R5@{limit}"] = full["MR-R5"][limit]
        for name in ("full", "short", "middle", "long"):
            if name in values and vtg:
                out[f"MR-{name}-mIoU"] = values[name]["MR-mIoU"]
            if name in values:
                out[f"MR-{name}-mAP"] = values[name]["MR-mAP"]["average"]
    for level in ("Fair", "Good", "VeryGood"):
        if f"HL-min-{level}" in values:
            out[f"HL-min-{level}-mAP"] = values[f"HL-min-{level}"]["HL-mAP"]
            out[f"HL-min-{level}-Hit1"] = values[f"HL-min-{level}"]["HL-Hit1"]
    if accuracy is not None:
        out["No-Answer-Acc"] = accuracy
    return out


# Timing


def random_case(
    rng: random.Random, *, queries: int, windows: int, true: int, rated: bool, relevance: bool
) -> tuple[list[Record], list[Record]]:
    """Predictions and ground truth of a made-up split: times on a 2-second grid when rated, so that ties occur."""
    predictions, truth = [], []
    for number in range(queries):
        duration = 150 if rated else round(rng.uniform(15, 150), 2)
        labels = [_window(rng, duration, rated) for _ in range(rng.randint(1, true))]
        no_answer = relevance and rng.random() < 0.5
        guesses = [
            [*(rng.choice(labels) if rng.random() < 0.3 else _window(rng, duration, rated)), rng.random()] for _ in range(windows)
        ]
        guesses.sort(key=lambda window: -window[2])
        one: Record = {"qid": number // 2 if relevance else number, "vid": f"v{number}", "pred_relevant_windows": guesses}
        other: Record = {**one, "duration": duration, "relevant_windows": [[0, 0.001]] if no_answer else labels}
        del other["pred_relevant_windows"]
        if rated:
            clips = sorted(rng.sample(range(75), rng.randint(1, 40)))
            other |= {"relevant_clip_ids": clips, "saliency_scores": [[rng.randint(0, 4) for _ in range(3)] for _ in clips]}
            one["pred_saliency_scores"] = [round(rng.uniform(-1, 1), 2) for _ in range(75)]
        if relevance:
            one["relavent_score"], other["no_answer"] = rng.random(), no_answer
        predictions.append(one)
        truth.append(other)
    return predictions, truth


def _window(rng: random.Random, duration: float, grid: bool) -> list[float]:
    start, end = sorted((rng.uniform(0, duration), rng.uniform(0, duration)))
    return [2.0 * int(start / 2), 2.0 * int(end / 2) + 2] if grid else [round(start, 1), round(end + 0.1, 1)]


CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "qvhighlights": (
        {"queries": 1550, "windows": 10, "true": 4, "rated": True, "relevance": False},
        ("moment_detr", "lighthouse", "vtg"),
    ),
    "charades_sta": ({"queries": 3720, "windows": 10, "true": 1, "rated": False, "relevance": False}, ("vtg",)),
    "activitynet": ({"queries": 5671, "windows": 5, "true": 1, "rated": False, "relevance": False}, ("vtg",)),
    "charades_sta_rf": (
        {"queries": 3720, "windows": 10, "true": 1, "rated": False, "relevance": True},
        ("vtg", "vtg_by_record", "ratsg"),
    ),
}


def largest_difference(one: Any, other: Any) -> float:
    """Between two nested mappings of numbers; infinite if their keys differ."""
    if isinstance(one, dict) or isinstance(other, dict):
        if not (isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()):
            return float("inf")
        return max((largest_difference(one[key], other[key]) for key in one), default=0.0)
    return float(abs(one - other))


def columns(predictions: list[Record], truth: list[Record]) -> tuple[Predictions, Truth]:
    """Parsed records -> the columns that the array form works on."""
    return (
        predictions_of(Records("predictions", predictions, range(1, len(predictions) + 1))),
        truth_of(Records("ground truth", truth, range(1, len(truth) + 1))),
    )


def array_form(predictions: list[Record], truth: list[Record], profiles: Sequence[str]) -> dict[str, Any]:
    """From parsed records to the values of all profiles, checks of every record included."""
    sides = columns(predictions, truth)
    memo: Memo = {}
    return {profile: evaluate(*sides, profile, memo=memo) for profile in profiles}


def loop_form(predictions: list[Record], truth: list[Record], profiles: Sequence[str]) -> dict[str, Any]:
    """The same by the loop."""
    with np.errstate(all="ignore"):
        return {profile: score(predictions, truth, profile) for profile in profiles}


def compare(predictions: list[Record], truth: list[Record], profiles: Sequence[str], rounds: int) -> dict[str, Any]:
    """Ratios of one case with all its profiles, and the largest difference of any value."""
    loop, array = partial(loop_form, predictions, truth, profiles), partial(array_form, predictions, truth, profiles)
    difference = largest_difference(array(), loop())
    if difference > TOLERANCE:
        raise SystemExit(f"the two sides differ by {difference}: nothing is timed")
    text = [json.dumps(record) for record in (*predictions, *truth)]
    parse: Callable[[], object] = lambda: [json.loads(line) for line in text]  # noqa: E731
    candidates: dict[str, Callable[[], object]] = {"loop": loop, "array": array, "parse JSON (limit)": parse}
    return {
        "queries": len(predictions),
        "profiles": list(profiles),
        "largest_difference": difference,
        "figures": interleave(candidates, reference="loop", rounds=rounds),
    }


def stored(shared: Path) -> dict[str, tuple[list[Record], list[Record], list[str]]]:
    """Cases of the reference collection: predictions, ground truth, profiles."""
    found = {}
    for file in sorted(shared.glob("oracles/*/*/expected.json")):
        case = json.loads(file.read_text(encoding="utf-8"))
        if case["benchmark"] in CASES and case.get("n_predictions", 0) > 1000:
            sides = [_read(file.parent / case["files"][role]) for role in ("predictions", "ground_truth")]
            found[f"{case['benchmark']}/{case['case']}"] = (sides[0], sides[1], list(case["profiles"]))
    return found


def _read(path: Path) -> list[Record]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    parser.add_argument("--shared", type=Path, metavar="DIR", help="time the stored cases below DIR/oracles too")
    args = parser.parse_args()
    rng = random.Random(0)
    figures: dict[str, Any] = {}
    for name, (sizes, profiles) in CASES.items():
        figures[f"{name}, made up"] = compare(*random_case(rng, **sizes), profiles, args.rounds)
    for name, (predictions, truth, found) in (stored(args.shared) if args.shared else {}).items():
        figures[name] = compare(predictions, truth, found, args.rounds)
    save("scoring", {"rounds": args.rounds, "cases": figures})


if __name__ == "__main__":
    main()
