r"""Stage `predict`: what a finished run says to a whole split, or to one video of your own. Run by hand, without DVC.

reads   --run                          model.safetensors, config.json; no dictionaries, the weights hold them
        a split:                       samples/<dataset>/ and features/<dataset>/ below --data
        a video of your own:           --features FILE ..., one per kind of features of the run, in its order (npz, npy, pt)
                                       --query TEXT ..., with --query-features FILE ... beside; without them, the stored features
                                       of a query of the data set with the same text, or the text encoder that the run's features
                                       name; a run trained without times (CPL, CCR) reads the words of --query themselves, and
                                       wants the video's length: --duration S
writes  --out                          JSON lines in the submission format: vid, qid, pred_relevant_windows, pred_saliency_scores,
                                       relavent_score; of questions and relations the lines of evaluate's predictions.jsonl, which
                                       the score stage reads as well; into a folder under the benchmark's own file name
        --zip                          with --split val test: what the QVHighlights evaluation server takes, checked
        --plot                         a picture of the timelines (of a split: of some queries)

for example
  python -m stages.predict --run data/runs/charades --dataset charades_sta_clip --split test --out hl_test_submission.jsonl
  python -m stages.predict --run data/runs/qvh --dataset qvhighlights_clip --split val test --out upload/ --zip upload.zip
  python -m stages.predict --run data/runs/charades --features clip/AO8RW.npz slowfast/AO8RW.npz --query "a person opens a door" \
      --query-features door.npz --out door.jsonl --plot door.png
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from models.method import Method
from stages.datasets.samples import read_samples
from stages.datasets.schema import DatasetError, MomentSample
from stages.features.store import FeatureStore, StoreError
from stages.features.vocabularies import VocabularyError
from stages.params import DEFAULT_FILE, ParamsError, Run, load_params, parse
from stages.predictions import own_video
from stages.predictions.inference import PredictionError, published_ids
from stages.predictions.moments import postprocess, submission_record
from stages.predictions.submission import check, lines, submission_name, write_jsonl, write_zip
from stages.predictions.text_encoders import encode
from stages.predictions.timeline import draw
from stages.tasks.moments import features, post_processing
from stages.tasks.own_description import describe
from stages.tasks.task import Data, Finished, Predicted, load_task
from stages.training.runs import RunError, RunRecord, load_run
from stages.training.tokenising import EncoderError

BUDGET_BYTES = 2**31  # of resident features, where params.yaml has no entry for the run

log = logging.getLogger("stages.predict")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A run that is ready: its entry in params.yaml where it has one, and the settings of its predictions."""

    finished: Finished
    entry: Run | None
    settings: Any

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
    device = torch.device("cuda" if args.device == "cuda" or (args.device == "auto" and torch.cuda.is_available()) else "cpu")
    model, record = load_run(args.run, parse)
    runs = load_params(args.params).runs if args.params.is_file() else {}
    entry = runs.get(args.settings or record.run)
    if args.settings and entry is None:
        raise ParamsError(f"{args.params}: runs: no entry {args.settings!r}; known: {', '.join(runs) or 'none'}")
    budget = entry.train.budget_bytes if entry else BUDGET_BYTES
    finished = Finished(model=model.to(device), record=record, folder=args.run, device=device, budget_bytes=budget)
    if model.TASK == "moments":
        settings: Any = post_processing(record, entry, args.rounding_unit)
    else:
        settings = entry.evaluate if entry else None
    return Loaded(finished=finished, entry=entry, settings=settings)


def predict_split(loaded: Loaded, data: Path, dataset: str, split: str) -> Predicted:
    """Samples and records of a split.

    Raises DatasetError or StoreError if samples or features are not there.
    """
    places = Data(samples=data / "samples" / dataset, features=data / "features" / dataset)
    return load_task(loaded.model.TASK).predicted(loaded.finished, loaded.entry, places, split, loaded.settings)


def predict_own(
    loaded: Loaded, video: own_video.OwnVideo, queries: Sequence[str], tokens: Sequence[own_video.Rows]
) -> list[dict[str, Any]]:
    """Submission records of queries on one video, each with its text under "query"."""
    moments = [own_video.ground(loaded.model, video, one, loaded.finished.device) for one in tokens]
    windows = postprocess(
        [one.windows.numpy() for one in moments],
        [video.duration] * len(moments),
        rounding=loaded.settings.rounding,
        unit=loaded.settings.rounding_unit,
        nms_threshold=loaded.settings.nms_threshold,
        top=loaded.settings.top,
    )
    return [
        {
            **submission_record(
                vid=video.name, qid=number, windows=rows, saliency=one.saliency.numpy(), answerable=one.answerable
            ),
            "query": text,
        }
        for number, (text, rows, one) in enumerate(zip(queries, windows, moments, strict=True))
    ]


def token_features(loaded: Loaded, args: argparse.Namespace) -> list[own_video.Rows]:
    """Text features (L, D) of every --query, as the run is fed them.

    Raises PredictionError if they are neither given, nor stored for the same text, nor computable here.
    """
    width = loaded.record.widths["query"]
    if args.query_features:
        if len(args.query_features) != len(args.query):
            raise PredictionError(
                f"{len(args.query_features)} --query-features for {len(args.query)} --query; give one file each"
            )
        return [own_video.read_query(file, width=width) for file in args.query_features]
    known = _stored_queries(loaded, args.data or args.run.parent.parent, args.query)
    missing = [text for text in args.query if text not in known]
    if missing:
        encoder = args.text_encoder or _named_encoder(loaded, args.params)
        if not encoder:
            raise PredictionError(
                f"no text features for {missing[0]!r}: give them with --query-features FILE, or name an encoder: --text-encoder"
            )
        known |= dict(zip(missing, encode(missing, encoder, width=width), strict=True))
    return [own_video.normalised(known[text]) for text in args.query]


def _stored_queries(loaded: Loaded, data: Path, texts: Sequence[str]) -> dict[str, own_video.Rows]:
    """Stored features of queries of the run's data set that have one of these texts."""
    samples, names = data / "samples" / loaded.record.dataset, features(loaded.record, loaded.entry).get("query", ())
    folder = data / "features" / loaded.record.dataset
    if not loaded.record.dataset or not samples.is_dir() or len(names) != 1 or not (folder / f"{names[0]}.zarr").is_dir():
        return {}
    store = FeatureStore.open(folder / f"{names[0]}.zarr")
    found: dict[str, own_video.Rows] = {}
    for file in sorted(samples.glob("*.parquet")):
        for sample in read_samples(samples, file.stem):
            if sample.query in texts and sample.query not in found and sample.query_id in store:
                found[sample.query] = store.rows(sample.query_id).astype("float32")
                log.info("query %r: features of query %s of %s", sample.query, sample.query_id, loaded.record.dataset)
    return found


def _named_encoder(loaded: Loaded, params: Path) -> str | None:
    """What params.yaml names as the extractor of the run's text features."""
    if loaded.entry is None:
        return None
    stores = load_params(params).features[loaded.entry.dataset]
    return stores[loaded.entry.features.query[0]].extractor or None


def run_splits(loaded: Loaded, args: argparse.Namespace) -> None:
    """Everything that --dataset and --split ask for."""
    if len(args.split) > 1 and args.out.suffix:
        raise PredictionError(f"{len(args.split)} splits need a folder: --out {args.out.with_suffix('')}/")
    data = args.data or args.run.parent.parent
    files, shown = {}, []
    moments = loaded.model.TASK == "moments"
    if args.zip and not moments:
        raise PredictionError(f"--zip: {loaded.record.method} (task {loaded.model.TASK}) predicts nothing that this server takes")
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
    record = loaded.record
    if loaded.model.TASK == "weak_moments":
        run_description(loaded, args)
        return
    if loaded.model.TASK != "moments":
        raise PredictionError(
            f"{args.run}: {record.method} (task {loaded.model.TASK}) is predicted for whole splits only: --dataset and --split"
        )
    video = own_video.read_video(
        args.features, width=record.widths["video"], fps=args.fps or record.fps, duration=args.duration, name=args.video_id
    )
    tokens = token_features(loaded, args)
    records = predict_own(loaded, video, args.query, tokens)
    write_jsonl(args.out, records)
    if args.plot:
        draw(args.plot, [_example(video.name, video.duration, video.fps, record) for record in records])


def run_description(loaded: Loaded, args: argparse.Namespace) -> None:
    """The same for a run that was trained without times: words instead of text features, clips instead of a frame rate."""
    if loaded.entry is None:
        raise PredictionError(
            f"{args.params} has no entry {loaded.record.run!r} that says how proposals answer; name one with --settings"
        )
    if args.query_features:
        raise PredictionError(f"--query-features: {loaded.record.method} reads the words of --query themselves")
    parts = [own_video.read_rows(file) for file in args.features]
    if args.duration is None and args.fps is None:
        raise PredictionError(
            "these features are not spaced in time alike: give the length of your video, --duration S, or --fps F"
        )
    duration = len(parts[0]) / args.fps if args.duration is None else args.duration
    name = args.video_id or args.features[0].stem
    records = describe(loaded.finished, loaded.entry, parts, args.query, name=name, duration=duration, settings=loaded.settings)
    write_jsonl(args.out, records)
    if args.plot:
        draw(args.plot, [_example(name, duration, 1.0, record) for record in records])


def _example(name: str, duration: float, fps: float, record: dict[str, Any]) -> dict[str, Any]:
    return {
        "query": record["query"],
        "video_id": name,
        "duration": duration,
        "truth": [],
        "windows": record["pred_relevant_windows"],
        "saliency": record.get("pred_saliency_scores", []),
        "seconds_per_clip": 1 / fps,
        "answerable_probability": record.get("relavent_score"),
    }


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
    parser.add_argument("--query-features", type=Path, nargs="+", metavar="FILE", help="text features, one file per --query")
    parser.add_argument("--text-encoder", metavar="DIR", help="text model on this machine (default: the one params.yaml names)")
    parser.add_argument("--duration", type=float, metavar="S", help="length of your video (default: that of its features)")
    parser.add_argument("--fps", type=float, metavar="F", help="clips per second of your features (default: as the run)")
    parser.add_argument("--video-id", metavar="ID", help="default: name of the first feature file")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of samples/ and features/ (default: two above the run)")
    parser.add_argument("--zip", type=Path, metavar="FILE", help="archive for the QVHighlights evaluation server")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="PNG with timelines")
    parser.add_argument("--rounding-unit", type=float, metavar="S", help="round window ends to multiples of this")
    parser.add_argument("--settings", metavar="R", help="entry of params.yaml: runs, for the post-processing (default: the run)")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, metavar="FILE")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = _parser()
    args = parser.parse_args(argv)
    if bool(args.dataset and args.split) == bool(args.features and args.query) or (args.dataset and args.features):
        parser.error("give either --dataset and --split, or --features and --query")
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        loaded = load(args)
        (run_splits if args.dataset else run_own)(loaded, args)
    except (
        ParamsError,
        RunError,
        DatasetError,
        StoreError,
        VocabularyError,
        PredictionError,
        EncoderError,
        LookupError,
        OSError,
    ) as error:
        print(f"stages.predict: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
