r"""Stage `predict`: what a finished run says to a whole split, or to one video of your own. Run by hand, without DVC.

reads   --run                          model.safetensors, config.json; no dictionaries, the weights hold them
        a split:                       samples/<dataset>/ and features/<dataset>/ below --data
        a video of your own:           --features FILE ..., one per kind of features of the run, in its order (npz, npy, pt)
                                       --query TEXT ..., what to look for, or the question
          runs that find moments       --query-features FILE per query; without them, the stored features of a query of the data
                                       set with the same text, or the text encoder that the run's features name
          CPL, CCR                     read the words of --query themselves, and want the video's length: --duration S
          runs that answer questions   --options TEXT TEXT ... per query, unless answers are open-ended; --objects FILE where the
                                       run sees objects, (frames, objects, channels); --query-features, one file per text: the
                                       question where the run reads it alone, then the question with each option (or the stored
                                       features of the same texts); CRA reads the words themselves, and wants --duration S
          relations                    not from files of clip features
writes  --out                          JSON lines in the submission format: vid, qid, pred_relevant_windows, pred_saliency_scores,
                                       relavent_score; of questions and relations the lines of evaluate's predictions.jsonl, which
                                       the score stage reads as well; into a folder under the benchmark's own file name
        --zip                          with --split val test: what the QVHighlights evaluation server takes, checked
        --plot                         a picture of the timelines (of a split: of some queries); not of relations

exit    0 predicted    2 a file, an option or an entry that does not fit

for example
  python -m stages.predict --run data/runs/causalvtg-charades-clip-released --dataset charades_sta_clip --split test \
      --out hl_test_submission.jsonl
  python -m stages.predict --run data/runs/causalvtg-qvhighlights-clip-released --dataset qvhighlights_clip --split val test \
      --out upload/ --zip upload.zip
  python -m stages.predict --run data/runs/causalvtg-charades-clip-released --features clip/AO8RW.npz slowfast/AO8RW.npz \
      --query "a person opens a door" --query-features door.npz --out door.jsonl --plot door.png
  python -m stages.predict --run data/runs/eigv-nextqa-released --features app_mot.npy --query "what did he do" \
      --options jump run sing sit fall --query-features jump.npy run.npy sing.npy sit.npy fall.npy --out answer.jsonl
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from models.method import Method, load_method
from stages.datasets.schema import DatasetError, MomentSample
from stages.features.store import StoreError
from stages.features.vocabularies import VocabularyError
from stages.params import DEFAULT_FILE, ParamsError, Run, load_params, parse
from stages.predictions.inference import PredictionError, published_ids
from stages.predictions.submission import check, lines, submission_name, write_jsonl, write_zip
from stages.predictions.timeline import draw
from stages.tasks.moments import post_processing
from stages.tasks.own import Own, load_own
from stages.tasks.task import Data, Finished, Predicted, load_task
from stages.training.devices import DEVICES, device_of
from stages.training.loop import TrainingError
from stages.training.runs import RunError, RunRecord, load_run
from stages.training.tokenising import EncoderError

KNOWN_ERRORS = (
    ParamsError,
    RunError,
    DatasetError,
    StoreError,
    VocabularyError,
    PredictionError,
    EncoderError,
    TrainingError,
    LookupError,
    OSError,
)  # fmt: skip
OWN = ("query", "options", "query_features", "objects", "text_encoder", "duration", "fps", "video_id")  # of one's own video
SPLITS = ("split", "zip")
BUDGET_BYTES = 2**31  # of resident features, where params.yaml has no entry for the run


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A run that is ready: its entry in params.yaml where it has one, and the settings of its predictions.

    extractors    store name -> what made its features, as params.yaml says
    """

    finished: Finished
    entry: Run | None
    settings: Any
    extractors: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> RunRecord:
        """What the run's folder says about it."""
        return self.finished.record

    @property
    def model(self) -> Method:
        """Its model."""
        return self.finished.model


def load(args: argparse.Namespace) -> Loaded:
    """The run of the command line, its post-processing from params.yaml and from the options."""
    device = device_of(args.device)
    model, record = load_run(args.run, parse)
    params = load_params(args.params) if args.params != DEFAULT_FILE or args.params.is_file() else None
    runs = params.runs if params else {}
    entry = runs.get(args.settings or record.run)
    if args.settings and entry is None:
        raise ParamsError(f"{args.params}: runs: no entry {args.settings!r}; known: {', '.join(runs) or 'none'}")
    if entry and (task := load_method(entry.method).Model.TASK) != model.TASK:
        raise ParamsError(
            f"{args.params}: runs.{args.settings or record.run} is of the task {task}, and {args.run} of {model.TASK}; name "
            "another entry with --settings"
        )
    budget = entry.train.budget_bytes if entry else BUDGET_BYTES
    finished = Finished(model=model.to(device), record=record, folder=args.run, device=device, budget_bytes=budget)
    if model.TASK == "moments":
        settings: Any = post_processing(record, entry, args.rounding_unit)
    else:
        settings = entry.evaluate if entry else None
    stores = params.features[entry.dataset] if params and entry else {}
    extractors = {name: store.extractor for name, store in stores.items()}
    return Loaded(finished=finished, entry=entry, settings=settings, extractors=extractors)


def predict_split(loaded: Loaded, data: Path, dataset: str, split: str) -> Predicted:
    """Samples and records of a split.

    Raises DatasetError or StoreError if samples or features are not there.
    """
    places = Data(samples=data / "samples" / dataset, features=data / "features" / dataset)
    return load_task(loaded.model.TASK).predicted(loaded.finished, loaded.entry, places, split, loaded.settings)


def run_splits(loaded: Loaded, args: argparse.Namespace) -> None:
    """Everything that --dataset and --split ask for."""
    if len(args.split) > 1 and args.out.suffix:
        raise PredictionError(f"{len(args.split)} splits need a folder: --out {args.out.with_suffix('')}/")
    data = args.data or args.run.parent.parent
    files, shown = {}, []
    moments = loaded.model.TASK == "moments"
    if args.zip and not moments:
        raise PredictionError(f"--zip: {loaded.record.method} (task {loaded.model.TASK}) predicts nothing that this server takes")
    if args.plot and loaded.model.TASK == "relations":
        raise PredictionError(
            f"--plot: {loaded.record.method} predicts relations, which this picture does not show; the results page of "
            "evaluate and report does"
        )
    for split in args.split:
        found = predict_split(loaded, data, args.dataset, split)
        name = submission_name(split) if moments else f"{split}.jsonl"
        path = args.out if args.out.suffix else args.out / name
        if args.zip:
            samples = cast(Sequence[MomentSample], found.samples)
            check(found.records, {published_ids(sample)[1]: sample.duration for sample in samples}, str(path))
        if name in files:
            raise PredictionError(f"splits {', '.join(args.split)}: two of them would be called {name}")
        files[name] = lines(found.records)
        write_jsonl(path, found.records)
        shown += found.examples
    if args.zip:
        if len(files) != 2:
            raise PredictionError("the evaluation server wants predictions of both splits in one zip: --split val test")
        write_zip(args.zip, files)
    if args.plot:
        draw(args.plot, shown)


def run_own(loaded: Loaded, args: argparse.Namespace) -> None:
    """Everything that --features and --query ask for."""
    if args.out.is_dir():
        raise PredictionError(f"{args.out} is a folder; what is said about one video goes into a file: {args.out / 'own.jsonl'}")
    own = Own(
        features=args.features,
        queries=args.query,
        options=tuple(map(tuple, args.options or ())),
        query_features=args.query_features or (),
        objects=args.objects,
        text_encoder=args.text_encoder,
        extractors=loaded.extractors,
        duration=args.duration,
        fps=args.fps,
        video_id=args.video_id,
        data=args.data or args.run.parent.parent,
    )
    found = load_own(loaded.model.TASK)(loaded.finished, loaded.entry, own, loaded.settings)
    write_jsonl(args.out, found.records)
    if args.plot:
        draw(args.plot, found.examples)


def _above_zero(text: str) -> float:
    """A number of seconds, or per second."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {text}")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="stages.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True, metavar="DIR", help="finished run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON lines, or a folder for them")
    parser.add_argument("--dataset", metavar="NAME", help="entry of params.yaml: datasets")
    parser.add_argument("--split", nargs="+", metavar="S", help="splits of the data set")
    parser.add_argument("--features", type=Path, nargs="+", metavar="FILE", help="clip features of your video")
    parser.add_argument("--query", action="append", metavar="TEXT", help="what to look for; may be repeated")
    parser.add_argument(
        "--options", action="append", nargs="+", metavar="TEXT", help="candidate answers of a question, once per --query"
    )
    parser.add_argument("--objects", type=Path, metavar="FILE", help="regions of every frame of your video, with their boxes")
    parser.add_argument("--query-features", type=Path, nargs="+", metavar="FILE", help="text features, one file per text")
    parser.add_argument("--text-encoder", metavar="DIR", help="text model on this machine (default: the one params.yaml names)")
    parser.add_argument("--duration", type=_above_zero, metavar="S", help="length of your video (default: that of its features)")
    parser.add_argument("--fps", type=_above_zero, metavar="F", help="clips per second of your features (default: as the run)")
    parser.add_argument("--video-id", metavar="ID", help="default: name of the first feature file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of samples/ and features/ (default: two above the run)")
    parser.add_argument("--zip", type=Path, metavar="FILE", help="archive for the QVHighlights evaluation server")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="PNG with timelines")
    parser.add_argument("--rounding-unit", type=_above_zero, metavar="S", help="round window ends to multiples of this")
    parser.add_argument("--settings", metavar="R", help="entry of params.yaml: runs, for the post-processing (default: the run)")
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, metavar="FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = _parser()
    args = parser.parse_args(argv)
    if bool(args.dataset and args.split) == bool(args.features and args.query) or (args.dataset and args.features):
        parser.error("give either --dataset and --split, or --features and --query")
    if given := [name for name in (OWN if args.dataset else SPLITS) if getattr(args, name) is not None]:
        parser.error(f"--{given[0].replace('_', '-')} does not go with {'--dataset' if args.dataset else '--features'}")
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        loaded = load(args)
        (run_splits if args.dataset else run_own)(loaded, args)
    except KNOWN_ERRORS as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
