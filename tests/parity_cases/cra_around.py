"""CRA, everything around the network: frames and times, question types, rates, question graphs, clusters, segments, scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import sklearn

from models.causal.back_door import QUESTION_EDGES, QUESTION_NODES
from stages.confounders.minibatch import clusters
from stages.confounders.question_graphs import Word
from stages.confounders.question_graphs import components as nodes_of
from stages.datasets.frame_times import clip_centres, nextgqa_kept, nextgqa_times, star_times
from stages.metrics import grounded_answers
from stages.metrics.frame_segments import around_the_largest, in_seconds, merged
from stages.training.question_types import question_type
from stages.training.schedules import learning_rate
from stages.training.settings import Recipe
from tests.parity import Case, Comparison

RATES = 1e-12
SCORES = 1e-9
LOOSE = 0.05  # of the inertia, between releases of the library
CORRECTED = {"what": "whato", "how": "how"}  # ours, where the reference fails


def preparation(case: Case, check: Comparison) -> None:
    """Frame sampling and times, question types, learning-rate factors."""
    given = case.inputs
    star = [(video["frame_count"], video["fps"]) for video in given.get("star", ())]
    check.equal(
        "star",
        [
            {"frame_count": count, "fps": fps, "frame_ids": clip_centres(count).tolist(), "times": star_times(count, fps)}
            for count, fps in star
        ],
        case.outputs.get("star", []),
    )
    decoded = [video["decoded_frames_6fps"] for video in given.get("nextgqa", ())]
    check.equal(
        "nextgqa",
        [{"decoded_frames_6fps": n, "kept": nextgqa_kept(n), "times": nextgqa_times(n)} for n in decoded],
        case.outputs.get("nextgqa", []),
    )
    expected = [[text, kind, _type_or_failure(text, kind, said)] for text, kind, said in case.outputs["question_types"]]
    check.equal("question_types", [[*pair, question_type(*pair)] for pair in given["question_types"]], expected)
    schedule = given["schedule"]
    check.close("lr_factors", [_rate(step, **schedule) for step in range(schedule["steps"])], RATES)


def _type_or_failure(text: str, kind: str, said: str) -> str:
    return CORRECTED[text.lower()] + ("r" if kind in ("pr", "cr") else "") if said == "IndexError" else said


def _rate(step: int, *, warmup_steps: int, total_steps: int, steps: int) -> float:
    """Ours stays at the end of the cosine; the reference goes on along it, which is the same way back and forth."""
    del steps
    settings = Recipe(
        epochs=1,
        batch_size=1,
        lr=1.0,
        weight_decay=0.0,
        clip_norm=None,
        schedule="cosine",
        warmup_steps=warmup_steps,
        warmup_ratio=0.0,
        final_ratio=0.001,
    )
    if step > total_steps:
        period = 2 * (total_steps - warmup_steps)
        phase = (step - warmup_steps) % period
        step = warmup_steps + min(phase, period - phase)
    return learning_rate(settings, step=step, steps_per_epoch=total_steps)


def components(case: Case, check: Comparison) -> None:
    """Parses -> nodes of the graph; lists are sets in the reference."""
    check.equal("node_order", QUESTION_NODES, tuple(case.config["node_order"]))
    check.equal("edges", sorted(QUESTION_EDGES), sorted(tuple(edge) for edge in case.config["edges"]))
    for place, parses in case.inputs.items():
        question, answer = ([_word(row) for row in parses[f"{part}_parse"]] for part in ("question", "answer"))
        ours = dataclasses.asdict(nodes_of(question, answer))
        check.equal(place, _as_sets(ours), _as_sets(case.outputs[place]))


def _word(row: Mapping[str, Any]) -> Word:
    return Word(text=row["text"], upos=row["upos"], deprel=row["deprel"])


def _as_sets(nodes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, list | tuple) else value for name, value in nodes.items()}


def clustering(case: Case, check: Comparison) -> None:
    """Mini-batch k-means of graphs and of frames: the same bits with the named library, otherwise clusters as tight."""
    config = case.config
    for name, rows in case.inputs.items():
        kind = name.split("_")[0]
        one = rows if kind == "graph" else rows.reshape(-1, rows.shape[-1])
        found = clusters(one, k=config["k"], seed=config["random_state"], initialisations=config["n_init"])
        ours = {f"{kind}_k_center": found.centres, f"{kind}_k_mean": found.means}
        for output, centres in ours.items():
            if sklearn.__version__ == config["scikit_learn"]:
                check.exact(output, centres)
            else:
                theirs = _inertia(one, case.outputs[output])
                check.close(output, _inertia(one, centres), LOOSE * theirs, expected=np.asarray(theirs))


def _inertia(rows: Any, centres: Any) -> Any:
    """Sum of squared distances to the nearest centre."""
    flat, around = rows.reshape(len(rows), -1).astype(np.float64), centres.reshape(len(centres), -1)
    around = around[np.isfinite(around).all(axis=1)]
    return np.asarray(((flat[:, None] - around) ** 2).sum(axis=-1).min(axis=1).sum())


def postprocessing(case: Case, check: Comparison) -> None:
    """Frame weights -> post-hoc segments, pre-hoc ones in seconds, both merged, and the scores of all three."""
    given, config = case.inputs, case.config
    evidence = given["gsub"]
    duration = {key: seconds for key, _, seconds in grounded_answers.evidence_keys(evidence)}
    posthoc = {
        key: around_the_largest(
            weights,
            given["frame2time"][key.split("_", 1)[0]],
            threshold_weight=config["threshold_weight"],
            distance=config["distance"],
        )
        for key, weights in given["attention"].items()
    }
    prehoc = {key: in_seconds(one, duration[key]) for key, one in given["prehoc"].items() if key in duration}
    merge = {key: merged(prehoc[key], posthoc[key]) for key in prehoc}
    for name, ours in (("posthoc", posthoc), ("merge", merge)):
        check.equal(name, {key: list(one) for key, one in ours.items()}, case.outputs[name])
    right = {key: one["prediction"] == one["answer"] for key, one in given["results"].items()}
    for name, ours in (("posthoc", posthoc), ("prehoc", prehoc), ("merge", merge)):
        numbers = grounded_answers.scores(grounded_answers.per_question(evidence, ours, right))
        expected = case.outputs[f"scores_{name}"]
        check.equal(f"names of scores_{name}", list(numbers), list(expected))
        check.close(f"scores_{name}", list(numbers.values()), SCORES, expected=list(expected.values()))
    pairs = case.outputs["iou_pairs"]
    ours_pairs = np.array([grounded_answers.overlap(pair["gt"], pair["pred"]) for pair in pairs])
    check.close("iou_pairs", ours_pairs, RATES, expected=[pair["iou_iop"] for pair in pairs])
