"""How time and memory grow with the size of the data: 1, 4 and 16 times as much of it through the same code.

    python -m benchmarks.growth [--base 250] [--rounds 5]

consolidation   stages.consolidation.build: npz files of 512 channels into one store, one process
parsing         stages.datasets.samples.write_samples: annotations of moments into samples, eight records per video
feeding         stages.features.resident.Fused with nothing resident: one epoch in batches of 64
scoring         stages.metrics.retrieval: predictions read and checked, the values of the vtg profile; ten windows per query

Each run is a process of its own, timed inside, without its start; the sizes of one round follow each other in rotated order. Time
is linear where 16 times the data take 16 times the time (`time_ratio`, a ratio within a round). Memory is the most that a process
held of its own (RssAnon, every 5 ms), mapped files apart, beyond what it held before the work. Feeding, consolidation and parsing
shall not grow with the data, apart from their index of ids; scoring holds its records, so what counts there is bytes per query.

Limit beside the times: reading the same bytes once, from files that are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.consolidate import KINDS, publish
from benchmarks.rounds import ROOT, save

SIZES = (1, 4, 16)
BASE = 250  # videos; queries are eight times as many
QUERIES = 8
BATCH = 64
SAMPLING = 0.005  # seconds


class Held:
    """The most anonymous memory that this process held while the body ran, above what it held before, in MiB."""

    def __enter__(self) -> Held:
        self._begin = self._most = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.mib = max(self._most, anonymous()) - self._begin

    def _look(self) -> None:
        while not self._over.wait(SAMPLING):
            self._most = max(self._most, anonymous())


def anonymous() -> float:
    """Memory of this process that is no page of a file, MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024


def prepare_features(folder: Path, videos: int) -> None:
    """Published files of one feature, and their store."""
    from stages.consolidation.build import build
    from stages.features.store import StoreInfo

    ids = publish(folder / "raw", KINDS["clip"], videos)
    info = StoreInfo(dataset="benchmark", feature="clip", kind="clip")
    build(folder / "x.zarr", KINDS["clip"].feature, folder / "raw", ids, info)


def prepare_records(folder: Path, videos: int) -> None:
    """Annotations as the planted world publishes them, and predictions for them."""
    from benchmarks.scoring import random_case

    sizes: dict[str, Any] = {"queries": QUERIES * videos, "windows": 10, "true": 1, "rated": False, "relevance": False}
    predictions, truth = random_case(random.Random(0), **sizes)
    for number, record in enumerate(truth):
        record |= {"vid": f"v{number // QUERIES}", "query": f"a person does thing {number}"}
        record["duration"] = 150
        predictions[number]["vid"] = record["vid"]
    (folder / "annotations").mkdir()
    for name, records in (("annotations/iid.jsonl", truth), ("predictions.jsonl", predictions)):
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def consolidation(folder: Path) -> Callable[[], object]:
    """One store from its files."""
    from stages.consolidation.build import build
    from stages.features.store import StoreInfo

    feature = KINDS["clip"].feature
    ids = sorted(path.stem for path in (folder / "raw" / feature.files).iterdir())
    info = StoreInfo(dataset="benchmark", feature="clip", kind="clip")
    return lambda: build(folder / "again.zarr", feature, folder / "raw", ids, info)


def parsing(folder: Path) -> Callable[[], object]:
    """Samples from annotations."""
    from stages.datasets.samples import load_adapter, write_samples

    adapter = load_adapter("planted")
    return lambda: write_samples(adapter, folder, folder / "samples", splits=["iid"])


def feeding(folder: Path) -> Callable[[], object]:
    """An epoch of padded batches out of mapped files."""
    from stages.features.resident import Fused
    from stages.features.store import FeatureStore

    store = FeatureStore.open(folder / "x.zarr")
    order = np.random.default_rng(1).permutation(store.ids).tolist()
    fused = Fused([store], normalise=True, budget_bytes=0, ids=order)
    return lambda: [fused.batch(order[start : start + BATCH]) for start in range(0, len(order), BATCH)] and None


def scoring(folder: Path) -> Callable[[], object]:
    """Values of a file of predictions."""
    from stages.metrics.queries import predictions_of, truth_of
    from stages.metrics.records import read_records
    from stages.metrics.retrieval import evaluate

    def score() -> dict[str, Any]:
        predictions = predictions_of(read_records(folder / "predictions.jsonl"))
        return evaluate(predictions, truth_of(read_records(folder / "annotations/iid.jsonl")), "vtg")

    return score


WORK = {"consolidation": consolidation, "parsing": parsing, "feeding": feeding, "scoring": scoring}


def read_once(folder: Path, name: str) -> float:
    """Seconds to read the bytes that the work reads: the limit."""
    places = {"consolidation": "raw", "parsing": "annotations", "feeding": "x.zarr", "scoring": "."}
    files = [path for path in (folder / places[name]).rglob("*") if path.is_file()]
    if name == "scoring":
        files = [folder / "predictions.jsonl", folder / "annotations/iid.jsonl"]
    begin = time.perf_counter()
    for path in files:
        path.read_bytes()
    return time.perf_counter() - begin


def one(name: str, folder: Path) -> dict[str, float]:
    """Seconds and memory of one piece of work, in this process."""
    work = WORK[name](folder)
    with Held() as held:
        begin = time.perf_counter()
        work()
        seconds = time.perf_counter() - begin
    return {"seconds": seconds, "mib": held.mib, "limit_seconds": read_once(folder, name)}


def measure(name: str, folders: dict[int, Path], rounds: int) -> dict[str, Any]:
    """Figures of one piece of work at every size."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in folders}
    for round_ in range(rounds + 1):
        shift = round_ % len(folders)
        for size in [*folders][shift:] + [*folders][:shift]:
            command = [sys.executable, "-m", "benchmarks.growth", "--one", name, str(folders[size])]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            if round_:  # the first warms the page cache
                found[size].append(json.loads(done.stdout.splitlines()[-1]))
    first = found[min(folders)]
    figures: dict[str, Any] = {}
    for size, runs in found.items():
        ratios = [run["seconds"] / base["seconds"] for run, base in zip(runs, first, strict=True)]
        figures[f"x{size}"] = {
            "time_ratio_median": round(statistics.median(ratios), 2),
            "time_ratio_min": round(min(ratios), 2),
            "time_ratio_max": round(max(ratios), 2),
            "seconds_median": round(statistics.median(run["seconds"] for run in runs), 4),
            "limit_seconds_median": round(statistics.median(run["limit_seconds"] for run in runs), 4),
            "mib_median": round(statistics.median(run["mib"] for run in runs), 1),
        }
    return figures


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=int, default=BASE, help="videos of the smallest size (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    parser.add_argument("--one", nargs=2, metavar=("WORK", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.one[0], Path(args.one[1]))))
        return
    with tempfile.TemporaryDirectory() as work:
        folders = {size: Path(work) / str(size) for size in SIZES}
        for size, folder in folders.items():
            folder.mkdir()
            prepare_features(folder, size * args.base)
            prepare_records(folder, size * args.base)
        figures = {name: measure(name, folders, args.rounds) for name in WORK}
    save("growth", {"rounds": args.rounds, "videos": args.base, "queries": QUERIES * args.base, "work": figures})


if __name__ == "__main__":
    main()
