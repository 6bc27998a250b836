"""The adapters of data sets: annotations as they are published."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from stages.datasets.samples import load_adapter
from stages.datasets.schema import DatasetError, Quality
from tests.faults.mutations import Seed
from tests.faults.parser import Parser, lines, table

MOMENT = {"qid": 7, "query": "a dog runs", "duration": 20.5, "vid": "AO8RW", "relevant_windows": [[2, 6.5]]}
RATED = {**MOMENT, "qid": 8, "relevant_clip_ids": [1, 2], "saliency_scores": [[1, 2, 3], [4, 0, 1]]}
UNANSWERABLE = {**MOMENT, "no_answer": False}
CHOICE = {
    "video_id": "v1",
    "qid": "0",
    "type": "CW",
    "question": "why?",
    "answer": "b",
    **{f"a{n}": one for n, one in enumerate("abcde")},
}
BOX = {"xmin": 1, "ymin": 2, "xmax": 30, "ymax": 40}
VIDEO = {
    "video_id": "v1",
    "frame_count": 2,
    "fps": 30.0,
    "width": 100,
    "height": 50,
    "subject/objects": [{"tid": 0, "category": "dog"}, {"tid": 4, "category": "cat"}],
    "trajectories": [[{"tid": tid, "bbox": BOX, "generated": 0} for tid in (0, 4)] for _ in range(2)],
    "relation_instances": [{"subject_tid": 0, "object_tid": 4, "predicate": "chase", "begin_fid": 0, "end_fid": 2}],
}


def _adapted(adapter: str, split: str, depth: int, path: Path) -> None:
    for _ in load_adapter(adapter).read(path.parents[depth], split, Quality()):
        pass


def adapter(
    name: str, split: str, file: str, seed: Seed | Sequence[Seed], beside: Mapping[str, bytes] | None = None, depth: int = 1
) -> Parser:
    """An adapter of stages/datasets/ that reads `annotations/<file>`."""
    seeds = [seed] if isinstance(seed, Seed) else seed
    return Parser(
        name=f"{name}/annotations/{file}",
        seeds=seeds,
        read=partial(_adapted, name, split, depth),
        errors=(DatasetError,),
        beside={f"{name}/annotations/{other}": content for other, content in (beside or {}).items()},
    )


CHOICES = table(CHOICE, {**CHOICE, "qid": "1"})
INDEXED = {"video": "v1", **CHOICE, "answer": "1"}
del INDEXED["video_id"]
GSUB = {"v1": {"duration": 20, "fps": 30.0, "location": {"0": [[4, 8]], "1": [[0, 2], [12, 16]]}}}
ANNOTATIONS = [
    adapter("charades_sta", "train", "charades_sta_train_tvr_format.jsonl", Seed(lines(MOMENT, {**MOMENT, "qid": 9}), "jsonl")),
    adapter("charades_sta", "rf_val", "charades_sta_val_rf.jsonl", Seed(lines(UNANSWERABLE), "jsonl")),
    adapter(
        "charades_sta",
        "rf_test",
        "charades_sta_test2.0.json",
        Seed(
            json.dumps(
                {"v": {"duration": 9, "sts": [{"sentence": "a dog runs", "timestamp": [1, 2], "no_answer": False}]}}
            ).encode(),
            "json",
        ),
        {"charades_sta_test_tvr_format.jsonl": lines(MOMENT)},
    ),
    adapter("qvhighlights", "train", "qvhighlights_train.jsonl", Seed(lines(RATED, {**RATED, "qid": 9}), "jsonl")),
    adapter(
        "qvhighlights",
        "val",
        "qvhighlights_val.jsonl.gz",
        [Seed(lines(RATED), "jsonl", partial(gzip.compress, mtime=0)), Seed(gzip.compress(lines(RATED), mtime=0))],
    ),
    adapter(
        "activitynet_captions",
        "train",
        "train.json",
        Seed(json.dumps({"v": {"duration": 41.5, "timestamps": [[0, 9], [1, 2.5]], "sentences": ["a", "b"]}}).encode(), "json"),
    ),
    adapter("charades_sta_cpl", "train", "train.json", Seed(json.dumps([["v", 30.5, [1, 2.5], "a dog"]]).encode(), "json")),
    adapter("nextqa", "train", "train.csv", Seed(CHOICES, "csv")),
    adapter("nextgqa", "val", "val.csv", Seed(CHOICES, "csv"), {"gsub_val.json": json.dumps(GSUB).encode()}),
    adapter("nextgqa", "val", "gsub_val.json", Seed(json.dumps(GSUB).encode(), "json"), {"val.csv": CHOICES}),
    adapter(
        "nextgqa",
        "val",
        "frame2time_val.json",
        Seed(json.dumps({"v1": [0.2, 1.5, 3.0]}).encode(), "json"),
        {"val.csv": CHOICES, "gsub_val.json": json.dumps(GSUB).encode()},
    ),
    adapter(
        "msvd_qa",
        "train",
        "train.csv",
        Seed(b"answer\tid\tquestion\tvideo_id\nman\t1\twho runs ?\t7\ndog\t2\twhat is it ?\t7\n", "tsv"),
    ),
    adapter("vidvrd", "train", "train/v1.json", Seed(json.dumps(VIDEO).encode(), "json"), depth=2),
    adapter("vidor", "train", "training/0/v1.json", Seed(json.dumps({**VIDEO, "version": "1"}).encode(), "json"), depth=3),
]
