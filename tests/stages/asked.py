"""Questions of a few seconds' training: samples, stores and params.yaml below one folder; what is asked about is in the clips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stages import evaluate, train
from stages.datasets.schema import QuestionSample
from stages.datasets.tables import TABLES, write_table
from stages.features.store import StoreInfo, StoreWriter
from tests.stages import tiny

CLIPS, OBJECTS, SECONDS = 6, 3, 12.0
THINGS = ("cup", "dog", "hat", "key")
PLACES = ("there", "here", "up", "down")
WIDTHS = {"clips": 8, "question": 8, "candidates": 8, "objects": 9}
OPTIM = {"lr": 1.0e-2, "weight_decay": 0.0, "schedule": "constant", "warmup_steps": 0, "clip_norm": 1.0}
TRAIN = {"epochs": 2, "batch_size": 8, "select": "Acc"}
EVALUATE = {
    "splits": ["iid"], "batch_size": 7, "convention": "type", "primary": ["Acc"], "published": None, "baseline_seed": 0,
    "examples": 2,
}  # fmt: skip
BACKBONE = {"d_model": 8, "heads": 2, "layers": 1, "d_inner": 8, "dropout": 0.1}
FILLER = "stages/vocabulary.py"
RUNS: dict[str, dict[str, Any]] = {
    "igv": {
        "dataset": "open",
        "features": {"video": ["clips"], "query": ["question"]},
        "model": {"numerics": "corrected", "backbone": BACKBONE, "answers": 3, "tau": 1.0, "w_do": 1.0, "w_env": 0.2},
    },
    "eigv": {
        "dataset": "choice",
        "features": {"video": ["clips"], "query": ["candidates"]},
        "model": {
            "numerics": "corrected", "backbone": BACKBONE, "tau": 1.0, "tau_nce": 0.1, "w_nce": 0.1, "negatives": 2,
            "share_causal": 0.5, "share_environment": 1.0,
        },
    },
    "transtr": {
        "dataset": "choice",
        "features": {"video": ["clips"], "query": ["candidates", "question"], "objects": ["objects"]},
        "model": {
            "numerics": "corrected", "answers": None, "frames": CLIPS, "objects": 2, "k_frames": 2, "k_objects": 1, "heads": 2,
            "layers": 1, "d_inner": 8, "activation": "gelu", "dropout": 0.1, "samples": 10, "sigma": 0.05,
        },
    },
}  # fmt: skip


def sample(number: int, *, options: bool, split: str) -> QuestionSample:
    """A question every third of which is about who, with evidence in time; "train" has none."""
    random = np.random.default_rng([number, len(split)])
    thing = int(random.integers(len(THINGS)))
    begin = float(random.integers(4)) * 2
    kind = "who" if number % 3 == 0 else "what"
    return QuestionSample(
        sample_id=f"{split}{number}_0",
        video_id=f"{split}{number}",
        question_id="0",
        question=f"{kind} is {PLACES[number % len(PLACES)]}",
        options=THINGS if options else (),
        answer=THINGS[thing],
        answer_index=thing if options else None,
        type=kind,
        duration=SECONDS,
        spans=() if split == "train" else ((begin, begin + 4.0),),
        row=number,
        published="{}",
        source=f"{split}.csv",
        record=number + 1,
    )


class Workspace:
    """Places of the two data sets, and the commands on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.params = folder, folder / "params.yaml"

    def places(self, name: str) -> list[str]:
        """What train and evaluate are both told."""
        dataset = yaml.safe_load(self.params.read_text())["runs"][name]["dataset"]
        found = {"samples": self.folder / "samples" / dataset, "features": self.folder / "features" / dataset}
        found |= {"raw": self.folder / "raw" / dataset, "params": self.params}
        return ["--name", name, *(str(part) for key, path in found.items() for part in (f"--{key}", path))]

    def train(self, name: str, out: Path, *more: str) -> None:
        run = yaml.safe_load(self.params.read_text())["runs"][name]
        fillers = [part for stream in ("video", "query") for part in (f"--{stream}-confounders", run["confounders"][stream])]
        train.main([*self.places(name), *fillers, "--out", str(out), *more])

    def evaluate(self, name: str, out: Path) -> int:
        ends = ["--run", str(out), "--results", str(out / "results"), "--page", str(out / "page.json")]
        return evaluate.main([*self.places(name), *ends])

    def change(self, name: str, path: str, value: Any) -> None:
        """One number of a run in params.yaml."""
        content = yaml.safe_load(self.params.read_text())
        *places, last = path.split(".")
        entry = content["runs"][name]
        for place in places:
            entry = entry[place]
        entry[last] = value
        self.params.write_text(yaml.safe_dump(content))

    def copy(self, folder: Path) -> Workspace:
        """The same data with params.yaml of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("samples", "features", "raw"):
            (folder / name).symlink_to(self.folder / name)
        (folder / "params.yaml").write_text(self.params.read_text())
        return Workspace(folder)


def make(folder: Path, runs: dict[str, dict[str, Any]] = RUNS, *, videos: int = 24) -> Workspace:
    """Both data sets, and params.yaml with `runs`."""
    work = Workspace(folder)
    for dataset, options in (("open", False), ("choice", True)):
        parts = {
            split: [sample(n, options=options, split=split) for n in range(count)]
            for split, count in (("train", videos), ("iid", 9))
        }
        write_samples_of(folder / "samples" / dataset, parts)
        write_stores(folder / "features" / dataset, [one for part in parts.values() for one in part])
        truth(folder / "raw" / dataset / "truth" / "iid.parquet", parts["iid"])
    write_params(work.params, runs)
    return work


def write_samples_of(folder: Path, parts: dict[str, list[QuestionSample]]) -> None:
    folder.mkdir(parents=True)
    for split, rows in parts.items():
        write_table(rows, TABLES["questions"], folder / f"{split}.parquet")
    facts = {"task": "questions", "train": "train", "validation": None, "absent": {}, "dataset": folder.name, "fps": None}
    counted = {
        split: {"file": f"{split}.csv", "sha256": "0", "samples": len(rows), "quality": {}} for split, rows in parts.items()
    }
    facts |= {"adapter": "planted_open", "splits": counted}
    (folder / "quality.json").write_text(json.dumps(facts))


def write_stores(folder: Path, samples: list[QuestionSample]) -> None:
    """Clips with the thing asked for in the evidence, words, and objects of which the first is the thing."""
    random = np.random.default_rng(0)
    items: dict[str, dict[str, Any]] = {name: {} for name in WIDTHS}
    for one in samples:
        clips = random.normal(size=(CLIPS, WIDTHS["clips"]))
        clips[:2, THINGS.index(one.answer or "")] += 3
        items["clips"][one.video_id] = clips
        items["objects"][one.video_id] = random.normal(size=(CLIPS * OBJECTS, WIDTHS["objects"]))
        items["question"][one.sample_id] = random.normal(size=(3, WIDTHS["question"]))
        items["candidates"] |= {f"{one.sample_id}#{n}": np.eye(WIDTHS["candidates"])[[n, n]] for n in range(len(one.options))}
    for name, kind in (("clips", "frame"), ("question", "query"), ("candidates", "query"), ("objects", "object")):
        if items[name]:
            write_store(folder, name, kind, items[name])


def write_store(folder: Path, name: str, kind: str, items: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with StoreWriter(folder / f"{name}.zarr") as writer:
        for item in sorted(items):
            writer.add(item, np.asarray(items[item], dtype=np.float32))
        grid = {"grid": (CLIPS, OBJECTS)} if kind == "object" else {}
        writer.finish(StoreInfo(dataset=folder.name, feature=name, kind=kind, recipe=f"recipe of {name}", **grid))


def truth(path: Path, samples: list[QuestionSample]) -> None:
    """What a planted world tells: the first object of the first two clips shows the answer."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True)
    rows = {"sample_id": [one.sample_id for one in samples], "causal_objects": [[[0, 0], [1, 0]] for _ in samples]}
    pq.write_table(pa.table(rows), path)


def write_params(path: Path, runs: dict[str, dict[str, Any]]) -> None:
    """params.yaml; every run takes what it does not say from the constants above."""
    common = {"report": "asked", "confounders": {"video": FILLER, "query": FILLER}, "seed": 3}
    common |= {"optim": OPTIM, "train": TRAIN, "evaluate": EVALUATE}
    datasets = sorted({run["dataset"] for run in runs.values()})
    kinds = {"clips": "frame", "question": "query", "candidates": "query", "objects": "object"}
    stores = {
        name: {"kind": kinds[name], "files": name, "format": "npy", "width": width, "extractor": "random numbers"}
        for name, width in WIDTHS.items()
    }
    content: dict[str, Any] = {
        "worlds": {}, "graphs": {}, "dictionaries": {}, "audits": {},
        "datasets": {name: {"adapter": "planted_open", "after": "nothing", "sources": [tiny.SOURCE]} for name in datasets},
        "features": dict.fromkeys(datasets, stores),
        "runs": {name: {"method": name, **common, **run} for name, run in runs.items()},
        "reports": {"asked": {"title": "asked", "about": "asked", "timelines": 1}},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
