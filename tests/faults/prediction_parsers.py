"""Prediction files and their ground truth, through the score stage."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

from stages import score
from tests.faults.annotation_parsers import CHOICES, GSUB, INDEXED, RATED, UNANSWERABLE
from tests.faults.mutations import Seed
from tests.faults.parser import Parser, lines, table


class ScoreFailedError(Exception):
    """The score stage said 2 or 3, as it should of a bad file."""


def _scored(benchmark: str, options: Mapping[str, str], path: Path) -> None:
    arguments = ["--benchmark", benchmark, "--out", str(path.parent / "out.json"), "--corrected"]
    for role, file in options.items():
        arguments += ["--" + role.replace("_", "-"), str(path.parent / file)]
    said = io.StringIO()
    with redirect_stderr(said):
        code = score.main(arguments)
    if code in (2, 3):
        raise ScoreFailedError(said.getvalue())
    assert code == 0


def scorer(benchmark: str, hurt: str, files: Mapping[str, tuple[str, Any]], more: Sequence[Seed] = ()) -> Parser:
    """`hurt` is the role of the file to be damaged; files: role -> (form, content)."""
    plain = {
        role: content if isinstance(content, bytes) else json.dumps(content).encode() for role, (_, content) in files.items()
    }
    return Parser(
        name=f"{benchmark}/{hurt}",
        seeds=[Seed(plain[hurt], files[hurt][0]), *more],
        read=partial(_scored, benchmark, {role: role for role in files}),
        errors=(ScoreFailedError,),
        beside={f"{benchmark}/{role}": content for role, content in plain.items() if role != hurt},
    )


PREDICTED = {
    "qid": 7,
    "vid": "AO8RW",
    "pred_relevant_windows": [[0, 5, 0.9], [3, 9, 0.1]],
    "pred_saliency_scores": [0.1, -0.5, 0.3],
}
TWICE = [PREDICTED, {**PREDICTED, "qid": 8}]
MOMENT_FILES = {
    "predictions": ("jsonl", lines(*TWICE)),
    "ground_truth": ("jsonl", lines({**RATED, "qid": 7}, RATED)),
}
RF_FILES = {
    "predictions": ("jsonl", lines({**PREDICTED, "relavent_score": 0.7})),
    "ground_truth": ("jsonl", lines(UNANSWERABLE)),
}
ANSWERS = {"v1_0": {"prediction": 1, "answer": 1}, "v1_1": {"prediction": 0, "answer": 1}}
KINDS = ("CW", "CH", "TN", "TC", "TP", "DC", "DL", "DO")  # the reference divides by the size of every group
QUESTION_FILES = {
    "predictions": ("json", {f"v1_{n}": {"prediction": n % 5, "answer": 1} for n in range(len(KINDS))}),
    "questions": ("csv", table(*(INDEXED | {"qid": str(n), "type": kind} for n, kind in enumerate(KINDS)))),
}
GROUNDED_FILES = {
    "ground_truth": ("json", GSUB),
    "questions": ("csv", CHOICES),
    "qa": ("json", ANSWERS),
    "frame2time": ("json", {"v1": [0.2, 1.5, 3.0]}),
    "frame_weights": ("json", {"v1_0": [0.1, 0.5, 0.2], "v1_1": [0.3, 0.2, 0.1]}),
    "subset": ("json", ["v1_0"]),
}
SEGMENTS = {"segments_seconds": ("json", {"v1_0": [4.0, 8.0]}), "segments_normalised": ("json", {"v1_0": [0.1, 0.3]})}
TRACK = [[0.0, 0.0, 9.0, 9.0]] * 2
RELATION = {"triplet": ["a", "b", "c"], "score": 0.5, "duration": [0, 2], "sub_traj": TRACK, "obj_traj": TRACK}
RELATION_FILES = {
    "predictions": ("json", {"results": {"v": [RELATION]}}),
    "ground_truth": ("json", {"v": [{key: value for key, value in RELATION.items() if key != "score"}]}),
    "train_triplets": ("json", [["a", "b", "d"]]),
}
WEAK_FILES = {
    "predictions": ("jsonl", lines({"vid": "a", "center": [0.5, 0.4], "width": [0.2, 0.3], "nll": [1.5, 2]})),
    "ground_truth": ("jsonl", lines({"vid": "a", "duration": 30, "window": [2, 9.5]})),
}
PREDICTIONS = [
    scorer(
        "qvhighlights",
        "predictions",
        MOMENT_FILES,
        [Seed(gzip.compress(lines(*TWICE), mtime=0)), Seed(json.dumps(TWICE).encode(), "json")],
    ),
    scorer("qvhighlights", "ground_truth", MOMENT_FILES),
    scorer("charades_sta_rf", "predictions", RF_FILES),
    scorer("nextqa", "predictions", QUESTION_FILES),
    scorer("nextqa", "questions", QUESTION_FILES),
    *(scorer("nextgqa", role, GROUNDED_FILES) for role in GROUNDED_FILES),
    *(scorer("star", role, {**SEGMENTS, "ground_truth": GROUNDED_FILES["ground_truth"]}) for role in SEGMENTS),
    *(scorer("vidvrd", role, RELATION_FILES) for role in RELATION_FILES),
    *(scorer("ccr_localisation", role, WEAK_FILES) for role in WEAK_FILES),
]
