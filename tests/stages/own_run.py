"""A finished run with random weights on the tiny data set, and pairs without an answer beside it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from models.method import load_method
from stages.datasets.samples import load_adapter, write_samples
from stages.params import load_params
from stages.training.runs import RunRecord, save_run
from tests.stages import tiny


def make(folder: Path) -> tuple[tiny.Workspace, Path]:
    """(the data set, the run's folder). Split rf_iid puts every query of iid to its own and to another video."""
    work = tiny.make(folder)
    rows = tiny.records("iid", 6)
    pairs = []
    for number, row in enumerate(rows):
        plain = {key: row[key] for key in ("qid", "query", "duration", "vid", "relevant_windows")}
        other = rows[(number + 2) % len(rows)]
        absent = {"duration": other["duration"], "vid": other["vid"], "relevant_windows": [[0, 0.001]], "no_answer": True}
        pairs += [{**plain, "no_answer": False}, {**plain, **absent, "kind": ("hard", "easy")[number % 2]}]
    raw = folder / "raw"
    (raw / "annotations/rf_iid.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    write_samples(load_adapter("planted"), raw, work.samples, dataset="tiny")
    run = folder / "runs" / "tiny"
    torch.manual_seed(0)
    widths = {"video": 11, "query": 7}
    model = load_method("causalvtg").Model(
        load_params(work.params).runs["tiny"].model,
        widths=widths,
        confounders={stream: torch.randn(4, width) for stream, width in widths.items()},
    )
    record = RunRecord(
        run="tiny",
        method="causalvtg",
        model=tiny.MODEL,
        widths=widths,
        confounders={stream: (4, width) for stream, width in widths.items()},
        dataset="tiny",
        features={"video": ("clip", "slowfast"), "query": ("words",)},
        fps=tiny.FPS,
    )
    save_run(run, model.state_dict(), record)
    return work, run
