"""A moment data set of a few seconds' training: annotations, samples, stores, dictionaries, params.yaml, all below one folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stages.confounders.files import write_dictionary
from stages.datasets.samples import load_adapter, write_samples
from stages.features.store import StoreInfo, StoreWriter

ROOT = Path(__file__).resolve().parents[2]
FPS = 0.5
MODEL = {
    "numerics": "corrected",
    "hidden": 8,
    "heads": 2,
    "ffn_ratio": 2,
    "strides": [1, 2],
    "dropout": 0.2,
    "attention_dropout": 0.1,
    "drop_path": 0.1,
    "top": 10,
    "sample_radius": 1.5,
    "focal_gamma": 2.0,
    "temperature": 0.07,
    "loss_weights": {"cls": 1.0, "reg": 0.2, "sal": 0.01, "neg": 0.1},
}
OPTIM = {"lr": 2.0e-3, "weight_decay": 1.0e-4, "schedule": "one_cycle", "warmup_steps": 3, "clip_norm": 35.0}
TRAIN = {"epochs": 3, "batch_size": 8, "select": "MR-full-mAP"}
SOURCE = {"into": ".", "sha256": None, "bytes": None, "mirrors": [{"file": {"path": "nowhere"}}]}
EVALUATE = {
    "splits": ["iid"],
    "batch_size": 16,
    "top": 10,
    "nms_threshold": 0.7,
    "rounding_unit": None,
    "rounding": "corrected",
    "primary": ["MR-full-mAP"],
    "published": None,
    "baseline_seed": 0,
    "examples": 2,
}


class Workspace:
    """Paths of a tiny data set, and the command that trains on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.samples, self.features = folder / "samples", folder / "features"
        self.dictionaries = {stream: folder / f"{stream}.npz" for stream in ("video", "query")}
        self.params = folder / "params.yaml"

    def train_arguments(self, out: Path, *more: str) -> list[str]:
        named = {
            "--name": "tiny",
            "--samples": self.samples,
            "--features": self.features,
            "--video-confounders": self.dictionaries["video"],
            "--query-confounders": self.dictionaries["query"],
            "--out": out,
            "--params": self.params,
        }
        return [*(str(part) for pair in named.items() for part in pair), *more]

    def train_process(self, out: Path, *more: str, **options: Any) -> subprocess.Popen[str]:
        """A real training process; its output is in `stderr`."""
        return subprocess.Popen(
            [sys.executable, "-m", "stages.train", *self.train_arguments(out, *more)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def write_params(self, *, model: dict[str, Any] | None = None, train: dict[str, Any] | None = None) -> None:
        """params.yaml with one run, `tiny`, and two dictionaries."""
        run = {
            "method": "causalvtg",
            "dataset": "tiny",
            "report": "tiny",
            "features": {"video": ["clip", "slowfast"], "query": ["words"]},
            "confounders": {stream: str(path) for stream, path in self.dictionaries.items()},
            "seed": 7,
            "model": MODEL | (model or {}),
            "optim": OPTIM,
            "train": TRAIN | (train or {}),
            "evaluate": EVALUATE,
        }
        content: dict[str, Any] = {
            "worlds": {},
            "datasets": {"tiny": {"adapter": "planted", "after": "nothing", "sources": [SOURCE]}},
            "features": {"tiny": {name: feature(name, width) for name, width in WIDTHS.items()}},
            "dictionaries": {
                "tiny-video": {"dataset": "tiny", "features": ["clip", "slowfast"], "k": 4, "seed": 0},
                "tiny-query": {"dataset": "tiny", "features": ["words"], "k": 4, "seed": 0},
            },
            "runs": {"tiny": run},
            "reports": {"tiny": {"title": "tiny", "about": "tiny", "timelines": 1}},
        }
        self.params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


WIDTHS = {"clip": 6, "slowfast": 5, "words": 7}


def feature(name: str, width: int) -> dict[str, Any]:
    """An entry of `features`."""
    kind = {"kind": "query"} if name == "words" else {"kind": "clip", "fps": FPS}
    return kind | {"files": name, "format": "npz", "key": "features", "width": width, "extractor": "random numbers"}


def records(split: str, videos: int) -> list[dict[str, Any]]:
    """Two queries per video of 24 to 33 seconds, with windows and ratings."""
    random = np.random.default_rng(len(split))
    out = []
    for video in range(videos):
        duration = 24 + video % 4 * 3
        for query in range(2):
            begin = int(random.integers(0, 8))
            clips = list(range(begin, begin + 3))
            out.append(
                {
                    "qid": (0 if split == "train" else 1000) + 2 * video + query,
                    "query": f"event {begin}",
                    "vid": f"{split}_{video:03d}",
                    "duration": duration,
                    "relevant_windows": [[2 * begin, 2 * begin + 6]],
                    "relevant_clip_ids": clips,
                    "saliency_scores": [[2, 3, 4]] * 3,
                }
            )
    return out


def make(folder: Path, *, videos: int = 24, tests: tuple[str, ...] = ("iid",)) -> Workspace:
    """A data set of `videos` training videos and a few of every test split; dictionaries of random rows."""
    work = Workspace(folder)
    raw = folder / "raw"
    (raw / "annotations").mkdir(parents=True)
    everything = []
    for split, count in (("train", videos), *((split, 6) for split in tests)):
        rows = records(split, count)
        everything += rows
        (raw / "annotations" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_samples(load_adapter("planted"), raw, work.samples, dataset="tiny")
    random = np.random.default_rng(0)
    lengths = {row["vid"]: int(row["duration"] * FPS) for row in everything}
    for name in ("clip", "slowfast"):
        write_store(work.features, name, {vid: random.normal(size=(lengths[vid], WIDTHS[name])) for vid in sorted(lengths)})
    queries = sorted({str(row["qid"]) for row in everything})
    write_store(work.features, "words", {qid: random.normal(size=(3 + int(qid) % 4, WIDTHS["words"])) for qid in queries})
    for stream, width in (("video", WIDTHS["clip"] + WIDTHS["slowfast"]), ("query", WIDTHS["words"])):
        rows_of = random.normal(size=(4, width)).astype(np.float32)
        write_dictionary(work.dictionaries[stream], {"mean_pool_c": rows_of, "max_pool_c": rows_of}, {})
    work.write_params()
    return work


def write_store(folder: Path, name: str, items: dict[str, Any], *, quality: dict[str, int] | None = None) -> None:
    """One store of float32 rows."""
    folder.mkdir(parents=True, exist_ok=True)
    kind, fps = ("query", None) if name == "words" else ("clip", FPS)
    with StoreWriter(folder / f"{name}.zarr") as writer:
        for item, rows in items.items():
            writer.add(item, np.asarray(rows, dtype=np.float32))
        info = StoreInfo(dataset="tiny", feature=name, kind=kind, fps=fps, quality=quality or {}, recipe=f"recipe of {name}")
        writer.finish(info)
