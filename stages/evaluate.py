"""Stage `evaluate`: predictions and metrics of a run on every split that it names.

reads   data/runs/<run>/                       model.safetensors, config.json (history.csv for the page)
        data/samples/<dataset>/                the splits; the training split only for the baselines
        data/features/<dataset>/               the stores that the run was trained on; no dictionaries: the weights hold them
writes  data/results/<run>/metrics.json        flat dotted names, e.g. "iid.MR-full-mAP"; n_scored, n_dropped; data_digest
        data/results/<run>/predictions.jsonl   the first split in the benchmark's submission format
        data/results/<run>/splits/<split>.jsonl    every split; questions also as their benchmark's scorer reads them
        data/results/<run>/plots/              recall.csv (R1 by IoU threshold, or by rank), groups.csv (by length, type, ...),
                                               history.csv (the training's, where DVC can draw it)
        data/pages/<report>/<run>.json         everything that a results page shows

Bare metric names are corrected values; with "vtg.", "vtg_by_record.", "ratsg." or "moment_detr." in front they are what that
published scorer prints. A split without labels is predicted, not scored. Runs that learn without times have R@1 and R@5 instead,
with and without vote, and proposals with their reconstruction losses as predictions.

exit    0 evaluated    2 a file or an entry that does not fit

for example
  python -m stages.evaluate --name causalvtg-planted --run data/runs/causalvtg-planted --samples data/samples/planted \
      --features data/features/planted --results data/results/causalvtg-planted --page data/pages/demo/causalvtg-planted.json
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from models.method import load_method
from stages.datasets.samples import quality_report
from stages.datasets.schema import DatasetError
from stages.features.store import StoreError
from stages.features.vocabularies import VocabularyError
from stages.metrics.records import InputError
from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup, parse
from stages.predictions.inference import PredictionError
from stages.predictions.pages import query_numbers, read_history, table
from stages.predictions.submission import write_beside, write_json, write_jsonl
from stages.tasks.task import Data, Finished, Split, Task, load_task
from stages.training.devices import DEVICES, device_of
from stages.training.loop import TrainingError
from stages.training.runs import HISTORY, WEIGHTS, RunError, RunRecord, load_run
from stages.training.tokenising import EncoderError

KNOWN_ERRORS = (
    ParamsError, VocabularyError, RunError, DatasetError, StoreError, PredictionError, InputError, EncoderError, TrainingError,
    LookupError, OSError,
)  # fmt: skip


def metrics_of(splits: Sequence[Split], digest: str, primary: Sequence[str]) -> dict[str, Any]:
    """The content of metrics.json, baselines by their primary metrics only: the page has the rest.

    Metrics without a value are left out; six decimals, which no one reads beyond.
    """
    out: dict[str, Any] = {}
    for split in splits:
        for name, value in (split.report.metrics if split.report else {}).items():
            if value is not None:
                out[f"{split.name}.{name}"] = round(value, 6)
        for baseline, numbers in split.baselines.items():
            out |= {
                f"{split.name}.baseline.{baseline}.{k}": round(v, 6) for k, v in numbers.items() if v is not None and k in primary
            }
        out[f"{split.name}.n_scored"] = len(split.samples) if split.report else 0
        out[f"{split.name}.n_dropped"] = len(split.dropped)
    out["n_scored"] = sum(len(split.samples) for split in splits if split.report)
    out["n_dropped"] = sum(len(split.dropped) for split in splits)
    return {**out, "data_digest": digest}


def page_of(
    name: str,
    record: RunRecord,
    splits: Sequence[Split],
    settings: Any,
    run: Path,
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """The content of the page file."""
    return {
        "run": name,
        "title": (load_method(record.method).__doc__ or record.method).strip().splitlines()[0],
        "method": record.method,
        "numerics": str(record.model.get("numerics", "corrected")),
        "dataset": record.dataset,
        "features": [feature for names in record.features.values() for feature in names],
        "primary": list(settings.primary),
        "splits": {
            split.name: {
                "metrics": split.report.metrics if split.report else {},
                "n_scored": len(split.samples) if split.report else 0,
                "n_dropped": len(split.dropped),
                "baselines": split.baselines,
            }
            for split in splits
        },
        "published": settings.published,
        "history": read_history(run / HISTORY),
        "breakdown": {split.name: split.report.groups for split in splits if split.report},
        "examples": [one for split in splits for one in split.examples],
        "provenance": provenance,
    }


def outcomes_of(task: Task, data: Data, splits: Sequence[Split]) -> dict[str, Any]:
    """Numbers of every query of each split that is labelled, for the page that holds two runs against each other."""
    out = {}
    for split in splits:
        if split.report:
            found = task.outcomes(data, split.name, split.predictions)
            out[split.name] = query_numbers(found.ids, found.values, split.samples, found.texts)
    return out


def data_digests(samples: Path, recipes: Mapping[str, str], splits: Sequence[str]) -> dict[str, str]:
    """sha256 of the data behind the numbers: samples of every split, recipes of the stores. Equal data, comparable results."""
    own = {f"samples {name}": hashlib.sha256((samples / f"{name}.parquet").read_bytes()).hexdigest() for name in splits}
    return own | {f"features {name}": recipe for name, recipe in sorted(recipes.items())}


def write(
    results: Path, page_file: Path, splits: Sequence[Split], metrics: dict[str, Any], page: dict[str, Any], history: Path
) -> None:
    """All files of the results; metrics.json last, so that a folder with it is complete. Imported weights have no history.

    The plots are drawn from the same columns for every task: `R1` by `threshold`, and of the groups `value`, the first primary
    metric that they have, or else their first number.
    """
    (results / "metrics.json").unlink(missing_ok=True)
    shutil.rmtree(results / "splits", ignore_errors=True)
    write_jsonl(results / "predictions.jsonl", splits[0].predictions)
    for split in splits:
        write_jsonl(results / "splits" / f"{split.name}.jsonl", split.predictions)
        for end, content in split.files.items():
            write_beside(results / "splits" / f"{split.name}{end}", content)
    scored = [split for split in splits if split.report]
    for name in ("recall", "groups"):
        rows = [{"split": split.name, **row} for split in scored for row in getattr(split.report, name)]
        if name == "groups":
            rows = [row | {"value": _headline(row, page["primary"])} for row in rows]
        write_beside(results / "plots" / f"{name}.csv", table(rows).encode())
    if history.is_file():
        write_beside(results / "plots" / HISTORY, history.read_bytes())
    write_json(page_file, page)
    write_json(results / "metrics.json", metrics)


def _headline(row: Mapping[str, Any], primary: Sequence[str]) -> Any:
    numbers = [name for name in row if name not in ("split", "group", "count")]
    return next((row[name] for name in (*primary, *numbers) if name in row), None)


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="stages.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", required=True, metavar="R", help="entry of params.yaml: runs")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="finished run")
    parser.add_argument("--samples", type=Path, required=True, metavar="DIR")
    parser.add_argument("--features", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--raw", type=Path, metavar="DIR", help="published files; a planted world tells there what shows an answer"
    )
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--page", type=Path, required=True, metavar="FILE")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, metavar="FILE")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        entry = lookup(load_params(args.params).runs, args.name, "runs")
        torch.set_num_threads(entry.train.threads)
        device = device_of(args.device)
        model, record = load_run(args.run, parse)
        if entry.method != record.method:
            raise ParamsError(
                f"{args.params}: runs.{args.name} is about the method {entry.method}, but {args.run} is of {record.method}"
            )
        finished = Finished(
            model=model.to(device), record=record, folder=args.run, device=device, budget_bytes=entry.train.budget_bytes
        )
        task, data = load_task(model.TASK), Data(samples=args.samples, features=args.features, raw=args.raw)
        results = task.results(finished, entry, data)
        splits = results.splits
        found = data_digests(args.samples, results.recipes, entry.evaluate.splits)
        digest = hashlib.sha256("\n".join(f"{name} {value}" for name, value in sorted(found.items())).encode()).hexdigest()
        quality = quality_report(args.samples)
        weights = hashlib.sha256((args.run / WEIGHTS).read_bytes()).hexdigest()
        provenance = {"data_digest": digest, "weights": weights, **found, "dataset": str(quality["dataset"])}
        page = page_of(args.name, record, splits, entry.evaluate, args.run, provenance)
        page |= {"quality": quality, "outcomes": outcomes_of(task, data, splits)}
        write(args.results, args.page, splits, metrics_of(splits, digest, entry.evaluate.primary), page, args.run / HISTORY)
    except KNOWN_ERRORS as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
