r"""Stage `import_checkpoint`: a published checkpoint as a run that `evaluate` and `predict` accept. Run by hand, not by DVC.

reads   --checkpoint   .pth, .pt, .ckpt or .safetensors of the method's reference repository; nothing in it is executed
        --config       what the weights do not tell, optional, by its suffix:
                         .py     a configuration of the reference repository, read as data
                         .yaml   our params.yaml; --run names the entry of its section `runs`
                         .json   config.json of one of our runs, or a configuration of the reference repository
        what no checkpoint holds, and the run's folder has to before it is evaluated:
        --answers      open-ended questions (IGV; TranSTR on MSVD-QA and MSRVTT-QA): the answers in the order of their classes
        --tokenizer    CRA: the tokenizer of its text encoder, a folder in the layout of transformers
        --vocabulary   CPL, CCR, optional: the words with their vectors; otherwise those that the run's entry names are taken
        With a run's config.json these are taken from its folder, the tokenizer also from data/raw if the entry's encoder is
        there; what is still missing is said, and can be put into the folder later
writes  --out          model.safetensors, config.json, answers.json, tokenizer/, vocabulary.npz: a finished run without a training

Sizes come from the shapes of the weights. Numbers that nothing told are those of the published configurations, and are listed.

exit    0 imported    2 the file cannot be read, or its keys differ from the reference's (unknown and missing ones are all listed)

For example
  python -m stages.import_checkpoint --method causalvtg --checkpoint charades.pth --config params.yaml \
    --run causalvtg-charades-clip-released --out data/runs/charades-published
  python -m stages.import_checkpoint --method igv --checkpoint igv.ckpt --config params.yaml --run igv-msvd-released \
    --answers vocab.json --out data/runs/igv-published
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.method import load_method
from models.reference_keys.conversion import Converted, KeysDiffer, find
from stages.features.vocabularies import read_vocabulary
from stages.importing.checkpoint_files import CheckpointError, read_state
from stages.importing.reference_config import read_json_config, read_reference_config
from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup, parse
from stages.tasks.grounded_questions import check_words
from stages.training.answer_vocabulary import ANSWERS, read_answers
from stages.training.loop import TrainingError
from stages.training.runs import (
    CONFIG,
    HISTORY,
    VOCABULARY,
    WEIGHTS,
    RunError,
    RunRecord,
    load_run,
    read_record,
    save_run,
    write_whole,
)
from stages.training.settings import Shown
from stages.training.tokenising import FOLDER, Tokeniser, tokenizer_files

KNOWN_ERRORS = (TrainingError, LookupError, ValueError, OSError)  # ValueError: all others that a stage knows
ASSUMED_FPS = 1.0
RAW = Path("data/raw")
PLACES = {"answers": ANSWERS, "tokenizer": FOLDER, "vocabulary": VOCABULARY}  # option -> below the run's folder


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a configuration tells beside the weights: fields of the method's Config, and where the features come from.

    beside    what no checkpoint holds, where the configuration's run has it: option -> path
    """

    model: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""
    features: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fps: float | None = None
    clips: int | None = None
    shown: Shown = "all"
    beside: dict[str, Path] = field(default_factory=dict)


def known_from(config: Path | None, run: str | None, method: str) -> Known:
    """Read --config.

    Raises ParamsError, RunError or ReferenceConfigError for a file that is not what its suffix says, or is about another method.
    """
    if config is None:
        return Known()
    if config.suffix in (".yaml", ".yml"):
        return _from_params(config, run, method)
    reference = read_json_config(config) if config.suffix == ".json" else read_reference_config(config)
    if config.name == CONFIG and "schema_version" in reference:
        record = read_record(config.parent)
        _same_method(record.method, method, config)
        return Known(
            model=record.model,
            dataset=record.dataset,
            features=record.features,
            fps=record.fps,
            clips=record.clips,
            shown=record.shown,
            beside={name: config.parent / place for name, place in PLACES.items() if (config.parent / place).exists()},
        )
    rates = [float(value) for value in find(reference, "fps") if isinstance(value, int | float)]
    return Known(model=_keys(method).settings(reference), fps=rates[0] if rates else None)


def build(
    converted: Converted, known: Known, *, method: str, checkpoint: Path, out: Path, given: Mapping[str, Path] | None = None
) -> RunRecord:
    """Write the run. `given`: paths of what no checkpoint holds, by option.

    Raises RunError or CheckpointError if the weights are no weights of this Config, ParamsError if it is no valid Config, and
    the errors of what is given beside.
    """
    model = parse(load_method(method).Config, _plain(converted.model), f"{checkpoint}: model")
    files = files_beside(method, model, converted, known, given or {})
    digests = {"checkpoint": checkpoint.read_bytes(), **files}
    assumed_fps = ASSUMED_FPS if load_method(method).Model.TASK == "moments" else 0.0
    record = RunRecord(
        run=out.name,
        method=method,
        model=dataclasses.asdict(model),
        widths=converted.widths,
        confounders=converted.confounders,
        dataset=known.dataset,
        features=known.features,
        fps=assumed_fps if known.fps is None else known.fps,
        clips=known.clips,
        shown=known.shown,
        inputs={name: f"sha256:{hashlib.sha256(content).hexdigest()}" for name, content in digests.items()},
    )
    weights = {name: value.float() for name, value in converted.weights.items()}
    if broken := sorted(name for name, value in weights.items() if not bool(value.isfinite().all())):
        raise CheckpointError(f"{checkpoint}: not finite: {', '.join(broken)}; this training had failed")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as trial:
        save_run(Path(trial), weights, record)
        try:
            load_run(Path(trial), parse)  # before an older run in `out` is touched
        except RunError as error:
            raise RunError(str(error).replace(str(Path(trial) / WEIGHTS), str(checkpoint))) from error
    _clear(out)
    for place, content in files.items():
        write_whole(out / place, content)
    save_run(out, weights, record)
    return record


def files_beside(method: str, model: Any, converted: Converted, known: Known, given: Mapping[str, Path]) -> dict[str, bytes]:
    """What the run's folder holds beside weights and record: place below it -> content. `model`: the method's Config.

    Raises ParamsError for what is of no use, and the errors of the files.
    """
    task, classes = load_method(method).Model.TASK, getattr(model, "answers", None)
    use = {"answers": classes is not None, "tokenizer": task == "grounded_questions", "vocabulary": task == "weak_moments"}
    why = {"answers": "chooses among options", "tokenizer": "reads no words", "vocabulary": "reconstructs no words"}
    if idle := [name for name in given if not use[name]]:
        raise ParamsError(f"--{idle[0]}: {method} {why[idle[0]]}; leave it out")
    paths = {name: path for name, path in {**known.beside, **given}.items() if use[name]}
    if "answers" in paths:
        return {ANSWERS: _answers(paths["answers"], classes)}
    if "tokenizer" in paths:
        check_words(model, Tokeniser(paths["tokenizer"]))
        return tokenizer_files(paths["tokenizer"])
    return {VOCABULARY: _words(paths["vocabulary"], converted.widths["classes"])} if "vocabulary" in paths else {}


def missing(out: Path, record: RunRecord) -> str | None:
    """What the run's folder has to hold before it is evaluated, and does not; None: nothing is missing."""
    if (classes := record.model.get("answers")) is not None and not (out / ANSWERS).is_file():
        return (
            f"{out / ANSWERS}: {record.method} answers from {classes} classes, and no checkpoint says which words they are; give "
            f"--answers FILE, the list that it was trained with, as its repository publishes it: a JSON list of {classes} texts"
        )
    if load_method(record.method).Model.TASK == "grounded_questions" and not (out / FOLDER).is_dir():
        return (
            f"{out / FOLDER}: {record.method} reads words, and no checkpoint holds its tokenizer; give --tokenizer DIR, the "
            "folder of the text encoder that it began with, in the layout of transformers (fetch: data/raw/<dataset>/encoders)"
        )
    return None


def _answers(path: Path, classes: Any) -> bytes:
    """answers.json. Raises RunError for a file that is no list of answers, ParamsError for one of another length."""
    if not path.is_file():
        raise RunError(f"{path}: no such file")
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(path, Path(folder) / ANSWERS)
        try:
            found = read_answers(Path(folder))
        except RunError as error:
            raise RunError(str(error).replace(str(Path(folder) / ANSWERS), str(path))) from error
    if len(found) != classes:
        raise ParamsError(f"{path}: {len(found)} answers; the checkpoint has {classes} classes: this list belongs to another one")
    return found.content()


def _words(path: Path, classes: int) -> bytes:
    """vocabulary.npz. Raises VocabularyError for another file, ParamsError for another number of words."""
    if (found := read_vocabulary(path).classes) != classes:
        raise ParamsError(f"{path}: {found} classes of words; the checkpoint has {classes}: these words belong to another one")
    return path.read_bytes()


def _clear(out: Path) -> None:
    """Remove what an older run in `out` has beside its weights; its record first, so that what is left is no run."""
    for place in (CONFIG, ANSWERS, VOCABULARY, HISTORY):
        (out / place).unlink(missing_ok=True)
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    """Command line; the exit code is returned."""
    parser = argparse.ArgumentParser(
        prog="stages.import_checkpoint", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", required=True, help="name of a file in models/methods/")
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a reference configuration (.py, .json), params.yaml, or a run's config.json"
    )
    parser.add_argument("--run", metavar="NAME", help=f"entry of runs, where --config is a file like {DEFAULT_FILE}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run folder to make")
    parser.add_argument("--answers", type=Path, metavar="FILE", help="JSON list of the answers, class by class")
    parser.add_argument("--tokenizer", type=Path, metavar="DIR", help="folder of the text encoder, in the layout of transformers")
    parser.add_argument(
        "--vocabulary", type=Path, metavar="FILE", help="words with their vectors, as the vocabulary stage makes it"
    )
    args = parser.parse_args(argv)
    given = {name: path for name in PLACES if (path := getattr(args, name)) is not None}
    try:
        known = known_from(args.config, args.run, args.method)
        converted = _keys(args.method).convert(read_state(args.checkpoint), known.model)
        record = build(converted, known, method=args.method, checkpoint=args.checkpoint, out=args.out, given=given)
    except KeysDiffer as error:
        print(f"{type(error).__name__}: {args.checkpoint}: no checkpoint of {args.method}'s reference: {error}", file=sys.stderr)
        return 2
    except KNOWN_ERRORS as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(converted.weights)} tensors of {args.method}, numerics {record.model.get('numerics', 'released')}")
    if (lacking := missing(args.out, record)) is not None:
        print(f"still missing before it is evaluated: {lacking}", file=sys.stderr)
    assumed = converted.assumed | ({"fps": record.fps} if known.fps is None and record.fps else {})
    if assumed:
        print(
            "stated neither by the checkpoint nor by a configuration: "
            + ", ".join(f"{name} = {value}" for name, value in assumed.items())
        )
    return 0


def _from_params(path: Path, run: str | None, method: str) -> Known:
    params = load_params(path)
    if run is None:
        raise ParamsError(f"{path}: which entry of runs? give --run NAME; there are {', '.join(params.runs) or 'none'}")
    entry = lookup(params.runs, run, "runs")
    _same_method(entry.method, method, path)
    stores = params.features[entry.dataset]
    encoder = None if entry.features.encoder is None else RAW / entry.dataset / entry.features.encoder
    rates = [rate for name in entry.features.video if (rate := stores[name].fps) is not None]
    return Known(
        model=dataclasses.asdict(entry.model),
        dataset=entry.dataset,
        features=entry.features.stores(),
        fps=rates[0] if rates else None,
        clips=entry.features.clips,
        shown=entry.features.shown,
        beside={"tokenizer": encoder} if encoder is not None and encoder.is_dir() else {},
    )


def _same_method(found: str, wanted: str, path: Path) -> None:
    if found != wanted:
        raise ParamsError(f"{path}: is about the method {found}, not {wanted}")


def _keys(method: str) -> Any:
    """models/reference_keys/<method>.py. Raises LookupError if there is none."""
    load_method(method)
    try:
        return importlib.import_module(f"models.reference_keys.{method}")
    except ModuleNotFoundError as error:
        raise LookupError(f"{method} has no published checkpoints: there is no models/reference_keys/{method}.py") from error


def _plain(value: Any) -> Any:
    """Tuples as lists, as YAML and JSON have them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    sys.exit(main())
