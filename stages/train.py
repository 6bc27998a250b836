r"""Stage `train`: one method on one data set, from samples, feature stores and confounder dictionaries to a run folder.

reads   data/samples/<dataset>/                   samples to train on, and to select by (published split, or held-out videos)
        data/features/<dataset>/<feature>.zarr    features of videos and queries
        data/dictionaries/<name>.npz              confounder dictionaries, for methods that have them
        data/vocabularies/<name>.npz              words to reconstruct, for methods that learn without times
writes  data/runs/<run>/model.safetensors         weights of the selected epoch
        data/runs/<run>/config.json               what rebuilds the model, and what it was made from
        data/runs/<run>/history.csv               one row per epoch; grows while it trains
        data/runs/<run>/vocabulary.npz            the vocabulary, where there is one
        data/runs/<run>/resume/                   while training only: an interrupted training goes on from there by itself

    python -m stages.train --name causalvtg-planted --samples data/samples/planted --features data/features/planted \
        --video-confounders data/dictionaries/planted-video.npz --query-confounders data/dictionaries/planted-query.npz \
        --out data/runs/causalvtg-planted

Several GPUs: set `processes` in the run's `train`, or start the same command with torchrun --nproc-per-node N -m stages.train.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.method import Method, load_method
from stages.confounders.files import DictionaryError, read_rows
from stages.datasets.ground_truth import fractions, ground_truth, is_labelled
from stages.datasets.samples import quality_report, training_split
from stages.datasets.schema import DatasetError, MomentSample
from stages.features.resample import Resampled
from stages.features.store import FeatureStore, StoreError
from stages.features.streams import Streams
from stages.features.vocabularies import VocabularyError, read_sentences
from stages.metrics.report import validation_numbers
from stages.metrics.weak_report import numbers, ranked_spans
from stages.params import DEFAULT_FILE, ParamsError, Run, load_params, lookup
from stages.predictions.inference import PredictionError, predict
from stages.predictions.proposals import predict as answer
from stages.predictions.settings import Evaluate
from stages.training.batches import MomentFeed
from stages.training.checkpoints import Identity, Policy, ResumeError
from stages.training.descriptions import DescriptionFeed
from stages.training.loop import Training, TrainingError, Validate
from stages.training.processes import Processes
from stages.training.runs import VOCABULARY, WEIGHTS, RunError, RunRecord, load_weights, save_run, write_whole
from stages.training.seeding import derived
from stages.training.targets import TargetError

KNOWN_ERRORS = (
    ParamsError, DatasetError, StoreError, DictionaryError, RunError, ResumeError, TargetError, TrainingError, PredictionError,
    VocabularyError,
)  # fmt: skip

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where a training reads from: folders of samples and of stores, dictionary files by stream, weights to start from."""

    samples: Path
    features: Path
    confounders: dict[str, Path]
    checkpoint: Path | None = None

    def digests(self, features: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """sha256 of every input by name; a store is known by its attributes, which name its source and its recipe."""
        files = {f"samples/{path.name}": path for path in sorted(self.samples.iterdir()) if path.is_file()}
        files |= {
            f"features/{name}": self.features / f"{name}.zarr" / "zarr.json" for names in features.values() for name in names
        }
        files |= {f"confounders/{stream}": path for stream, path in self.confounders.items()}
        if self.checkpoint is not None:
            files["checkpoint"] = self.checkpoint
        return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def train(name: str, run: Run, inputs: Inputs, out: Path, *, policy: Policy = "auto", debug_nan: bool = False) -> None:
    """Train the run and write its folder.

    Raises one of KNOWN_ERRORS; nothing is then in `out` that passes for a finished run.
    """
    torch.set_num_threads(run.train.threads)
    processes = Processes.join(run.train.device)
    features = {"video": run.features.video, "query": run.features.query}
    weak = load_method(run.method).Model.TASK == "weak_moments"
    feed, validate, rows = (_described if weak else _grounded)(run, inputs, processes.device)
    torch.manual_seed(derived(run.seed, "weights"))
    try:
        model: Method = load_method(run.method).Model(run.model, widths=feed.widths, confounders=rows)
    except ValueError as error:
        files = ", ".join(map(str, inputs.confounders.values()))
        raise TrainingError(f"runs.{name}: {run.method} does not fit features and dictionaries ({files}): {error}") from error
    if inputs.checkpoint is not None:
        load_weights(model, inputs.checkpoint)
    record = RunRecord(
        run=name,
        method=run.method,
        model=dataclasses.asdict(run.model),
        widths=feed.widths,
        confounders={stream: (value.shape[0], value.shape[1]) for stream, value in rows.items()},
        dataset=run.dataset,
        features=features,
        fps=feed.fps,
        clips=run.features.clips,
        seed=run.seed,
        train=dataclasses.asdict(run.train),
        inputs=inputs.digests(features),
    )
    training = Training(
        model,
        feed,
        run.train,
        seed=run.seed,
        folder=out,
        identity=Identity(recipe=_recipe(record, run.evaluate), code=_code(processes)),
        processes=processes,
        validate=validate,
        debug_nan=debug_nan,
    )
    kept = training.run(policy)
    if processes.first:
        if weak:
            write_whole(out / VOCABULARY, inputs.confounders["query"].read_bytes())
        save_run(out, kept.weights, dataclasses.replace(record, selection=kept.selection))
    training.finish()
    processes.leave()


def _grounded(run: Run, inputs: Inputs, device: torch.device) -> tuple[MomentFeed, Validate | None, dict[str, Tensor]]:
    """Task "moments": batches to train on, the validation, the rows of the dictionaries."""
    streams = Streams(inputs.features, {"video": run.features.video, "query": run.features.query})
    feed, chosen = _feeds(run, inputs, streams, device)
    rows = {stream: torch.from_numpy(read_rows(path)) for stream, path in inputs.confounders.items()}
    return feed, _validation(chosen, run.evaluate, device), rows


def _described(run: Run, inputs: Inputs, device: torch.device) -> tuple[DescriptionFeed, Validate | None, dict[str, Tensor]]:
    """Task "weak_moments": the same without dictionaries. The vocabulary is the file of the query stream.

    Raises VocabularyError, StoreError or TrainingError: no vocabulary, another store than needed, nothing to train on.
    """
    if not run.features.video or run.features.query or run.features.clips is None:
        raise TrainingError(f"{run.method} reads video features, resampled (clips), and no query features")
    stores = [FeatureStore.open(inputs.features / f"{name}.zarr") for name in run.features.video]
    facts = quality_report(inputs.samples)
    splits = facts["train"], run.train.selection or facts["validation"] or facts["train"]
    parts = training_split(inputs.samples, min_duration=run.train.min_duration, selection=run.train.selection)
    if not run.train.hold_out and splits[0] == splits[1]:
        parts = [*parts[0], *parts[1]], []
    there = {sample.video_id for part in parts for sample in part}
    there = {video for video in there if all(video in store for store in stores)}
    videos = Resampled(stores, clips=run.features.clips, budget_bytes=run.train.budget_bytes, ids=sorted(there))
    feeds = []
    for split, part in zip(splits, parts, strict=True):
        texts = read_sentences(inputs.confounders["query"], split)
        kept = [sample for sample in part if sample.video_id in there and sample.sample_id in texts]
        if len(kept) < len(part):
            log.warning("%d of %d samples left out: no features, or no word of the vocabulary", len(part) - len(kept), len(part))
        feeds.append(DescriptionFeed(kept, videos, texts))
    feed, chosen = feeds
    if not len(feed):
        raise TrainingError(f"{inputs.samples}: none of its training samples has both features and words")
    return feed, _weak_validation(chosen, run, device) if len(chosen) else None, {}


def _weak_validation(feed: DescriptionFeed, run: Run, device: torch.device) -> Validate:
    """The corrected metrics of the answers that would be given on the selection samples."""
    truth, settings = fractions(feed.samples), run.evaluate

    def validate(model: Method) -> dict[str, float]:
        form = {"batch_size": settings.batch_size, "seed": run.seed, "masks": settings.masks}
        found = answer(model, feed, device=device, label="validation", **form)
        return numbers(ranked_spans(found), truth, settings.vote)

    return validate


def _feeds(run: Run, inputs: Inputs, streams: Streams, device: torch.device) -> tuple[MomentFeed, MomentFeed]:
    """Batches to train on and to select by, over the same resident features.

    Raises StoreError or TrainingError: stores that cannot be fused, samples without features.
    """
    videos = streams.stores["video"]
    if len(rates := {store.info.fps for store in videos}) > 1 or None in rates:
        shown = ", ".join(f"{store.info.feature} {store.info.fps}" for store in videos)
        raise StoreError(f"{inputs.features}: video features need one and the same fps, got {shown}; set it under features")
    samples = training_split(inputs.samples, min_duration=run.train.min_duration, selection=run.train.selection)
    training, chosen = (_with_features(part, streams) for part in samples)
    both, budget = [*training, *chosen], run.train.budget_bytes
    # Queries first: they are the smaller part, so that it is the videos which are streamed where the budget does not do for both.
    query = streams.fused("query", (sample.query_id for sample in both), budget_bytes=budget, device=device)
    budget -= query.resident_bytes
    video = streams.fused("video", (sample.video_id for sample in both), budget_bytes=budget, device=device)
    fps = float(rates.pop() or 0)
    feeds = [MomentFeed(part, video, query, fps, pad_multiple=run.train.pad_multiple) for part in (training, chosen)]
    return feeds[0], feeds[1]


def _with_features(samples: list[MomentSample], streams: Streams) -> list[MomentSample]:
    """The samples that have features. Others are an error unless the consolidation was told to drop them and counted them."""
    there = [streams.has("video", sample.video_id) and streams.has("query", sample.query_id) for sample in samples]
    kept = [sample for sample, found in zip(samples, there, strict=True) if found]
    if lost := len(samples) - len(kept):
        stores = [store for several in streams.stores.values() for store in several]
        if not kept or not any(store.info.quality.get(rule) for store in stores for rule in ("missing", "empty")):
            first = samples[there.index(False)]
            raise TrainingError(
                f"{lost} of {len(samples)} samples have no features in {', '.join(str(store.path) for store in stores)}; first "
                f"of them {first.sample_id} (video {first.video_id}, query {first.query_id}); run consolidate again"
            )
        log.warning(
            "%d of %d samples left out: their features are missing, and the consolidation was told so", lost, len(samples)
        )
    return kept


def _validation(feed: MomentFeed, settings: Evaluate, device: torch.device) -> Validate | None:
    """Corrected metrics on the selection samples, from windows as they would be published; None where they have no labels."""
    if not is_labelled(feed.samples):
        return None
    truth = ground_truth(feed.samples)
    return lambda model: validation_numbers(predict(model, feed, settings, device=device, label="validation"), truth)


def _recipe(record: RunRecord, evaluate: Any) -> dict[str, Any]:
    """What decides the result: the record, and how the validation turns windows into predictions."""
    fields = ("batch_size", "top", "nms_threshold", "rounding_unit", "rounding", "masks", "vote")
    told = {name: getattr(evaluate, name) for name in fields if hasattr(evaluate, name)}
    return dataclasses.asdict(record) | {"validation": told}


def _code(processes: Processes) -> dict[str, str]:
    """What else decides the bytes: the project's modules in use, versions, kind of device, number of processes."""
    found = {
        name: hashlib.sha256(Path(file).read_bytes()).hexdigest()
        for name, module in sorted(sys.modules.items())
        if name.split(".")[0] in ("models", "stages") and (file := getattr(module, "__file__", None)) is not None
    }
    versions = {"torch": torch.__version__, "numpy": np.__version__}
    return found | versions | {"device": processes.device.type, "processes": str(processes.count)}


def _settled(run: Run, args: argparse.Namespace) -> Run:
    """The run with what the command line overrides."""
    given = {"amp": args.amp, "epochs": args.epochs}
    try:
        changed = dataclasses.replace(run.train, **{key: value for key, value in given.items() if value is not None})
    except ValueError as error:
        raise ParamsError(f"command line: {error}") from error
    return dataclasses.replace(run, train=changed, seed=run.seed if args.seed is None else args.seed)


def _spread(processes: int, argv: Sequence[str]) -> int:
    """Start this command once per process, as torchrun does."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run([*launcher, "-m", "stages.train", *argv], check=False).returncode


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="entry of params.yaml: runs")
    parser.add_argument("--samples", type=Path, required=True, help="folder of the data set's samples")
    parser.add_argument("--features", type=Path, required=True, help="folder of the data set's stores")
    parser.add_argument("--video-confounders", type=Path, required=True, help="dictionary of the video stream (.npz), if any")
    parser.add_argument("--query-confounders", type=Path, required=True, help="dictionary of the query stream, or vocabulary")
    parser.add_argument("--out", type=Path, required=True, help="run folder to write")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, help="default: %(default)s")
    again = parser.add_mutually_exclusive_group()
    again.add_argument(
        "--resume", action="store_true", help="go on with an interrupted training even if code or versions changed"
    )
    again.add_argument("--restart", action="store_true", help="start anew even if there is a training to go on with")
    parser.add_argument("--checkpoint", type=Path, help="weights to start from: a run folder or its model.safetensors")
    parser.add_argument("--seed", type=int, help="instead of the run's")
    parser.add_argument("--amp", choices=("none", "bf16", "fp16"), help="instead of the run's")
    parser.add_argument("--epochs", type=int, help="instead of the run's")
    parser.add_argument("--debug-nan", action="store_true", help="find out where the first non-finite number appears; slow")
    args = parser.parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    try:
        run = _settled(lookup(load_params(args.params).runs, args.name, "runs"), args)
        if run.train.processes > 1 and "WORLD_SIZE" not in os.environ:
            sys.exit(_spread(run.train.processes, sys.argv[1:] if argv is None else argv))
        start = args.checkpoint / WEIGHTS if args.checkpoint is not None and args.checkpoint.is_dir() else args.checkpoint
        confounders = {"video": args.video_confounders, "query": args.query_confounders}
        inputs = Inputs(samples=args.samples, features=args.features, confounders=confounders, checkpoint=start)
        policy: Policy = "insist" if args.resume else "restart" if args.restart else "auto"
        train(args.name, run, inputs, args.out, policy=policy, debug_nan=args.debug_nan)
    except KNOWN_ERRORS as error:
        parser.exit(2, f"{type(error).__name__}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"interrupted; the same command goes on from the last state in {args.out / 'resume'}\n")


if __name__ == "__main__":
    main()
