r"""Stage `train`: one method on one data set, from samples, feature stores and confounder dictionaries to a run folder.

reads   data/samples/<dataset>/                   samples to train on, and to select by (published split, or held-out videos)
        data/features/<dataset>/<feature>.zarr    features of videos and queries
        data/dictionaries/<name>.npz              confounder dictionaries, for methods that have them
        data/vocabularies/<name>.npz              words to reconstruct, for methods that learn without times
        data/raw/<dataset>/<encoder>/             pretrained text encoder, for methods that begin with one
writes  data/runs/<run>/model.safetensors         weights of the selected epoch
        data/runs/<run>/config.json               what rebuilds the model, and what it was made from
        data/runs/<run>/history.csv               one row per epoch; grows while it trains
        data/runs/<run>/vocabulary.npz            what else the task needs: its vocabulary, its answers, its tokenizer
        data/runs/<run>/resume                    while training only, a link to data/runs/<run>.resume/: an interrupted
                                                  training goes on from there by itself, even if the run's folder is removed

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.method import Method, load_method
from stages.confounders.files import DictionaryError
from stages.datasets.schema import DatasetError
from stages.features.store import StoreError
from stages.features.vocabularies import VocabularyError
from stages.params import DEFAULT_FILE, ParamsError, Run, load_params, lookup
from stages.predictions.inference import PredictionError
from stages.tasks.task import Inputs, load_task
from stages.training.checkpoints import Identity, Policy, ResumeError
from stages.training.loop import Training, TrainingError
from stages.training.processes import Processes
from stages.training.runs import WEIGHTS, RunError, RunRecord, load_weights, save_run, write_whole
from stages.training.seeding import derived
from stages.training.targets import TargetError
from stages.training.tokenising import EncoderError

KNOWN_ERRORS = (
    ParamsError, DatasetError, StoreError, DictionaryError, RunError, ResumeError, TargetError, TrainingError, PredictionError,
    VocabularyError, EncoderError, OSError,
)  # fmt: skip

NOT_VALIDATED = ("splits", "primary", "published", "baseline_seed", "examples")  # of an evaluation, whatever the task

log = logging.getLogger(__name__)


def train(name: str, run: Run, inputs: Inputs, out: Path, *, policy: Policy = "auto", debug_nan: bool = False) -> None:
    """Train the run and write its folder.

    Raises one of KNOWN_ERRORS; nothing is then in `out` that passes for a finished run.
    """
    torch.set_num_threads(run.train.threads)
    processes = Processes.join(run.train.device)
    features = run.features.stores()
    prepared = load_task(load_method(run.method).Model.TASK).prepare(run, inputs, processes.device)
    torch.manual_seed(derived(run.seed, "weights"))
    try:
        model: Method = load_method(run.method).Model(run.model, widths=prepared.feed.widths, confounders=prepared.rows)
        if prepared.begin is not None:
            prepared.begin(model)
    except ValueError as error:
        files = ", ".join(map(str, inputs.confounders.values()))
        raise TrainingError(f"runs.{name}: {run.method} does not fit features and dictionaries ({files}): {error}") from error
    if inputs.checkpoint is not None:
        load_weights(model, inputs.checkpoint)
    record = RunRecord(
        run=name,
        method=run.method,
        model=dataclasses.asdict(run.model),
        widths=prepared.feed.widths,
        confounders={stream: tuple(value.shape) for stream, value in prepared.rows.items()},
        dataset=run.dataset,
        features=features,
        fps=prepared.feed.fps,
        clips=run.features.clips,
        shown=run.features.shown,
        seed=run.seed,
        train=dataclasses.asdict(run.recipe),
        inputs=inputs.digests(features, run.features.encoder),
    )
    training = Training(
        model,
        prepared.feed,
        run.recipe,
        seed=run.seed,
        folder=out,
        identity=Identity(recipe=_recipe(record, run.evaluate), code=_code(processes)),
        processes=processes,
        validate=prepared.validate,
        debug_nan=debug_nan,
    )
    kept = training.run(policy)
    if processes.first:
        for path, content in prepared.files.items():
            write_whole(out / path, content)
        save_run(out, kept.weights, dataclasses.replace(record, selection=kept.selection))
    training.finish()
    processes.leave()


def _recipe(record: RunRecord, evaluate: Any) -> dict[str, Any]:
    """What decides the result: the record, and how the validation turns what a model says into metrics."""
    validation = {name: value for name, value in dataclasses.asdict(evaluate).items() if name not in NOT_VALIDATED}
    return dataclasses.asdict(record) | {"validation": validation}


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


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="entry of params.yaml: runs")
    parser.add_argument("--samples", type=Path, required=True, help="folder of the data set's samples")
    parser.add_argument("--features", type=Path, required=True, help="folder of the data set's stores")
    parser.add_argument("--video-confounders", type=Path, required=True, help="dictionary of the video stream (.npz), if any")
    parser.add_argument("--query-confounders", type=Path, required=True, help="dictionary of the query stream, or vocabulary")
    parser.add_argument("--out", type=Path, required=True, help="run folder to write")
    parser.add_argument("--raw", type=Path, help="folder of the published files, where the run names a text encoder in it")
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
            return _spread(run.train.processes, sys.argv[1:] if argv is None else argv)
        start = args.checkpoint / WEIGHTS if args.checkpoint is not None and args.checkpoint.is_dir() else args.checkpoint
        confounders = {"video": args.video_confounders, "query": args.query_confounders}
        inputs = Inputs(samples=args.samples, features=args.features, confounders=confounders, checkpoint=start, raw=args.raw)
        policy: Policy = "insist" if args.resume else "restart" if args.restart else "auto"
        train(args.name, run, inputs, args.out, policy=policy, debug_nan=args.debug_nan)
    except KNOWN_ERRORS as error:
        parser.exit(2, f"{type(error).__name__}: {error}\n")
    except KeyboardInterrupt:
        parser.exit(130, f"interrupted; the same command goes on from the last state in {args.out / 'resume'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
