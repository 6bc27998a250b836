"""Stage `evaluate`: predictions and metrics of a run on every split that it names.

reads   data/runs/<run>/                       model.safetensors, config.json (history.csv for the page)
        data/samples/<dataset>/                the splits; the training split only for the baselines
        data/features/<dataset>/               the stores that the run was trained on; no dictionaries: the weights hold them
writes  data/results/<run>/metrics.json        flat dotted names, e.g. "iid.MR-full-mAP"; n_scored, n_dropped; data_digest
        data/results/<run>/predictions.jsonl   the first split in the benchmark's submission format
        data/results/<run>/splits/<split>.jsonl    every split
        data/results/<run>/plots/              recall.csv (R1 and R5 by IoU threshold), groups.csv (by length, by answerability),
                                               history.csv (the training's, where DVC can draw it)
        data/pages/<report>/<run>.json         everything that a results page shows

Bare metric names are corrected values; with "vtg.", "vtg_by_record.", "ratsg." or "moment_detr." in front they are what that
published scorer prints. A split without labels is predicted, not scored. Runs that learn without times have R@1 and R@5 instead,
with and without vote, and proposals with their reconstruction losses as predictions.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from models.method import Method, load_method
from stages.datasets.ground_truth import fractions, ground_truth, is_labelled
from stages.datasets.samples import quality_report, read_samples, training_split
from stages.datasets.schema import DatasetError, MomentSample
from stages.features.resample import Resampled
from stages.features.store import FeatureStore, StoreError
from stages.features.streams import Streams
from stages.features.vocabularies import VocabularyError, read_sentences
from stages.metrics.localisation import elected
from stages.metrics.records import InputError
from stages.metrics.report import Numbers, SplitReport, baseline_numbers, split_report
from stages.metrics.weak_report import baselines as trivial_windows
from stages.metrics.weak_report import groups, ranked_spans, recall
from stages.metrics.weak_report import numbers as weak_numbers
from stages.params import DEFAULT_FILE, ParamsError, Run, load_params, lookup, parse
from stages.predictions.baselines import baselines, shares
from stages.predictions.inference import PredictionError, predict
from stages.predictions.pages import examples, read_history, table
from stages.predictions.proposals import predict as propose
from stages.predictions.proposals import reconstruction_rates, windows
from stages.predictions.settings import Evaluate, WeakEvaluate
from stages.predictions.submission import write_beside, write_json, write_jsonl
from stages.training.batches import MomentFeed
from stages.training.descriptions import DescriptionFeed
from stages.training.runs import HISTORY, VOCABULARY, WEIGHTS, RunError, RunRecord, load_run

log = logging.getLogger("stages.evaluate")
CLIP_RATE = 1.0  # of the time axis of examples whose features are not spaced in time


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split, predicted: what was dropped has no features. report and baselines are None where nothing is labelled."""

    name: str
    samples: list[MomentSample]
    predictions: list[dict[str, Any]]
    dropped: list[str]
    report: SplitReport | None
    baselines: dict[str, Numbers]


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A run that is ready to predict: its model on `device`, the stores it reads, clips per second of its video features."""

    model: Method
    streams: Streams
    fps: float
    device: torch.device
    budget_bytes: int

    def available(self, samples: Sequence[MomentSample]) -> list[MomentSample]:
        """The samples whose video and query every store has."""
        has = self.streams.has
        return [sample for sample in samples if has("video", sample.video_id) and has("query", sample.query_id)]

    def predict(self, samples: Sequence[MomentSample], settings: Evaluate, label: str) -> list[dict[str, Any]]:
        """Submission records of the samples."""
        video, query = (
            self.streams.fused(stream, ids, budget_bytes=self.budget_bytes, device=self.device)
            for stream, ids in (("video", [one.video_id for one in samples]), ("query", [one.query_id for one in samples]))
        )
        return predict(self.model, MomentFeed(samples, video, query, self.fps), settings, device=self.device, label=label)


def evaluate_split(
    name: str, samples: list[MomentSample], predictor: Predictor, settings: Evaluate, lengths: NDArray[Any]
) -> Split:
    """Predict one split and score it.

    Raises DatasetError if no sample of the split has features.
    """
    kept = predictor.available(samples)
    there = {sample.sample_id for sample in kept}
    dropped = [sample.sample_id for sample in samples if sample.sample_id not in there]
    if not kept:
        raise DatasetError(f"split {name}: none of its {len(samples)} samples has features in the stores of this run")
    if dropped:
        log.warning("split %s: %d samples have no features and are not scored, the first is %s", name, len(dropped), dropped[0])
    predictions = predictor.predict(kept, settings, name)
    if not is_labelled(kept):
        return Split(name=name, samples=kept, predictions=predictions, dropped=dropped, report=None, baselines={})
    truth = ground_truth(kept)
    may_reject = all(sample.answerable is not None for sample in kept)
    trivial = baselines(kept, lengths, seed=settings.baseline_seed, unanswerable=may_reject)
    return Split(
        name=name,
        samples=kept,
        predictions=predictions,
        dropped=dropped,
        report=split_report(predictions, truth),
        baselines={label: baseline_numbers(rows, truth) for label, rows in trivial.items()},
    )


@dataclass(frozen=True, kw_only=True)
class WeakPredictor:
    """A run that proposes instead of predicting: its model on `device`, the stores it reads, its vocabulary file."""

    model: Method
    stores: Sequence[FeatureStore]
    vocabulary: Path
    clips: int
    seed: int
    device: torch.device
    budget_bytes: int

    def feed(self, split: str, samples: Sequence[MomentSample]) -> DescriptionFeed:
        """The samples of a split that have features and words."""
        texts = read_sentences(self.vocabulary, split)
        kept = [
            sample for sample in samples if sample.sample_id in texts and all(sample.video_id in store for store in self.stores)
        ]
        if not kept:
            raise DatasetError(f"split {split}: none of its {len(samples)} samples has both features and words")
        ids = sorted({sample.video_id for sample in kept})
        videos = Resampled(self.stores, clips=self.clips, budget_bytes=self.budget_bytes, ids=ids)
        return DescriptionFeed(kept, videos, texts)

    def split(self, name: str, samples: Sequence[MomentSample], settings: WeakEvaluate, training: NDArray[Any]) -> Split:
        """Predict one split and score it; `training` (n, 2) are the windows that the baselines may know."""
        feed = self.feed(name, samples)
        form: dict[str, Any] = {"batch_size": settings.batch_size, "seed": self.seed, "device": self.device, "label": name}
        predictions = propose(self.model, feed, masks=settings.masks, **form)
        spans, truth = ranked_spans(predictions), fractions(feed.samples)
        answers = windows(spans, elected(spans, settings.vote), [sample.duration for sample in feed.samples])
        metrics: Numbers = dict(weak_numbers(spans, truth, settings.vote))
        if settings.abnormal:
            metrics |= reconstruction_rates(self.model, feed, **form)
        kept = {sample.sample_id for sample in feed.samples}
        return Split(
            name=name,
            samples=feed.samples,
            predictions=[
                {**row, "qid": sample.sample_id, "pred_relevant_windows": rows}
                for row, sample, rows in zip(predictions, feed.samples, answers, strict=True)
            ],
            dropped=[sample.sample_id for sample in samples if sample.sample_id not in kept],
            report=SplitReport(metrics, recall(spans, truth, settings.vote), groups(spans, truth, settings.vote)),
            baselines={label: dict(values) for label, values in trivial_windows(training, truth, settings.baseline_seed).items()},
        )


def build_weak(predictor: WeakPredictor, samples: Path, settings: WeakEvaluate, *, selection: str | None = None) -> list[Split]:
    """Every split of the settings, in order."""
    training = fractions(training_split(samples, selection=selection)[0])
    return [predictor.split(name, read_samples(samples, name), settings, training) for name in settings.splits]


def build(predictor: Predictor, samples: Path, settings: Evaluate, *, selection: str | None = None) -> list[Split]:
    """Every split of the settings, in order. `selection` is the training's: what was trained on gives the baselines' lengths."""
    training, _ = training_split(samples, selection=selection)
    lengths = shares(training)
    return [evaluate_split(name, read_samples(samples, name), predictor, settings, lengths) for name in settings.splits]


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
    settings: Evaluate | WeakEvaluate,
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
        "examples": [
            one
            for split in splits
            for one in examples(
                split.samples, split.predictions, split=split.name, fps=record.fps or CLIP_RATE, chosen=settings.examples
            )
        ],
        "provenance": provenance,
    }


def digests(run: Path, samples: Path, recipes: Mapping[str, str], splits: Sequence[str]) -> dict[str, str]:
    """sha256 of what the numbers were computed from: weights, samples, and the recipes of the stores."""
    files = {"weights": run / WEIGHTS, **{f"samples {name}": samples / f"{name}.parquet" for name in splits}}
    out = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    return {**out, **{f"features {name}": recipe for name, recipe in sorted(recipes.items())}}


def write(
    results: Path, page_file: Path, splits: Sequence[Split], metrics: dict[str, Any], page: dict[str, Any], history: Path
) -> None:
    """All files of the results; metrics.json last, so that a folder with it is complete. Imported weights have no history."""
    (results / "metrics.json").unlink(missing_ok=True)
    shutil.rmtree(results / "splits", ignore_errors=True)
    write_jsonl(results / "predictions.jsonl", splits[0].predictions)
    for split in splits:
        write_jsonl(results / "splits" / f"{split.name}.jsonl", split.predictions)
    scored = [split for split in splits if split.report]
    for name in ("recall", "groups"):
        rows = [{"split": split.name, **row} for split in scored for row in getattr(split.report, name)]
        write_beside(results / "plots" / f"{name}.csv", table(rows).encode())
    if history.is_file():
        write_beside(results / "plots" / HISTORY, history.read_bytes())
    write_json(page_file, page)
    write_json(results / "metrics.json", metrics)


def _grounded(run: dict[str, Any], record: RunRecord, entry: Run, args: argparse.Namespace) -> tuple[list[Split], dict[str, str]]:
    """Task "moments": the splits, and the recipes of the stores."""
    features = record.features or {"video": entry.features.video, "query": entry.features.query}
    predictor = Predictor(**run, streams=Streams(args.features, features), fps=record.fps)
    return build(predictor, args.samples, entry.evaluate, selection=entry.train.selection), predictor.streams.recipes()


def _weak(run: dict[str, Any], record: RunRecord, entry: Run, args: argparse.Namespace) -> tuple[list[Split], dict[str, str]]:
    """Task "weak_moments": the same."""
    names, clips = (record.features or {"video": entry.features.video})["video"], record.clips or entry.features.clips
    if clips is None:
        raise LookupError(f"{args.run}: neither the run nor params.yaml says to how many clips its videos are resampled")
    stores = [FeatureStore.open(args.features / f"{name}.zarr") for name in names]
    seed = entry.seed if record.seed is None else record.seed
    own = args.run / VOCABULARY  # an imported checkpoint has none of its own
    vocabulary = own if own.is_file() else Path(entry.confounders.query)
    predictor = WeakPredictor(**run, stores=stores, vocabulary=vocabulary, clips=clips, seed=seed)
    return build_weak(predictor, args.samples, entry.evaluate, selection=entry.train.selection), {
        store.path.stem: store.info.recipe for store in stores
    }


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="stages.evaluate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", required=True, metavar="R", help="entry of params.yaml: runs")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="finished run")
    parser.add_argument("--samples", type=Path, required=True, metavar="DIR")
    parser.add_argument("--features", type=Path, required=True, metavar="DIR")
    parser.add_argument("--results", type=Path, required=True, metavar="DIR")
    parser.add_argument("--page", type=Path, required=True, metavar="FILE")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, metavar="FILE")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        entry = lookup(load_params(args.params).runs, args.name, "runs")
        torch.set_num_threads(entry.train.threads)
        cuda = args.device == "cuda" or (args.device == "auto" and torch.cuda.is_available())
        device = torch.device("cuda" if cuda else "cpu")
        model, record = load_run(args.run, parse)
        run = {"model": model.to(device), "device": device, "budget_bytes": entry.train.budget_bytes}
        splits, recipes = (_weak if model.TASK == "weak_moments" else _grounded)(run, record, entry, args)
        found = digests(args.run, args.samples, recipes, entry.evaluate.splits)
        digest = hashlib.sha256("\n".join(f"{name} {value}" for name, value in sorted(found.items())).encode()).hexdigest()
        provenance = {"data_digest": digest, **found, "dataset": str(quality_report(args.samples)["dataset"])}
        page = page_of(args.name, record, splits, entry.evaluate, args.run, provenance)
        write(args.results, args.page, splits, metrics_of(splits, digest, entry.evaluate.primary), page, args.run / HISTORY)
    except (ParamsError, VocabularyError, RunError, DatasetError, StoreError, PredictionError, InputError, LookupError) as error:
        print(f"stages.evaluate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
