"""CausalVTG, from decoded windows to submissions and scores."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from stages.metrics.answerability import says_no_answer
from stages.metrics.contract import Request, load_benchmark
from stages.metrics.queries import predictions_of, truth_of
from stages.metrics.records import read_records
from stages.predictions.moments import postprocess as suppressed
from stages.predictions.moments import submission_record
from tests.parity import Case, Comparison

SECONDS = 1e-4
INFORMATION = ("windows_linear/", "windows_gaussian/")  # soft suppression, faulty in the reference and used by no configuration


def postprocess(case: Case, check: Comparison) -> None:
    """Clamping, rounding, suppression, and the submission file."""
    labels = case.config["labels"]
    windows = suppressed(
        case.indexed("boundary"),
        [label["duration"] for label in labels],
        rounding="released",
        unit=case.config["unit"],
        nms_threshold=case.config["nms_threshold"],
    )
    for index, rows in enumerate(windows):
        check.close(f"windows_normal/{index}", rows, SECONDS)
    check.ignore(*(name for name in check.expected if name.startswith(INFORMATION)))
    saliency, relevance = case.indexed("saliency"), case.indexed("relevance")
    records = [
        submission_record(
            vid=label["vid"], qid=label["qid"], windows=rows, saliency=saliency[index], answerable=float(relevance[index][0])
        )
        for index, (label, rows) in enumerate(zip(labels, windows, strict=True))
    ]
    for path in sorted(case.folder.glob("*submission.jsonl")):
        expected = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        ours = [json.loads(json.dumps(record)) for record in records]
        check.equal(path.name, ours, expected)
        check.equal(f"{path.name}: key order", [list(record) for record in ours], [list(record) for record in expected])


def eval_unanswerable(case: Case, check: Comparison) -> None:
    """Scores with unanswerable queries: as the reference prints them, and with records told apart."""
    with tempfile.TemporaryDirectory() as folder:
        files = {role: _lines(Path(folder) / f"{role}.jsonl", case.config[key]) for role, key in _ROLES.items()}
        profiles = {"vtg": "reference_metrics", "vtg_by_record": "metrics_with_unique_pair_ids"}
        scored = load_benchmark("charades_sta_rf").score(Request(files=files, profiles=tuple(profiles)))
        predictions, truth = (read_records(files[role]) for role in _ROLES)
    for profile, key in profiles.items():
        expected, ours = case.config[key], scored.profiles[profile]["rounded"]
        ours = ours.get("brief", ours)
        for name, value in expected.items():
            check.close(f"{key}/{name}", ours[name], 1e-9, expected=value)
    check.exact("answerable_pred", ~says_no_answer(predictions_of(predictions)))
    check.exact("answerable_gt", truth_of(truth).unanswerable == 0)


_ROLES = {"predictions": "submission", "ground_truth": "ground_truth"}


def _lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path
