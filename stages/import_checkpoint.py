r"""Stage `import_checkpoint`: a published checkpoint as a run that `evaluate` and `predict` accept. Run by hand, not by DVC.

reads   --checkpoint   .pth, .pt, .ckpt or .safetensors of the method's reference repository; nothing in it is executed
        --config       what the weights do not tell, optional, by its suffix:
                         .py     a configuration of the reference repository, read as data
                         .yaml   our params.yaml; --run names the entry of its section `runs`
                         .json   config.json of one of our runs, or a configuration of the reference repository
writes  --out          model.safetensors, config.json: a finished run without a training

Sizes come from the shapes of the weights. Numbers that nothing told are those of the published configurations, and are listed.

exit    0 imported    2 the file cannot be read, or its keys differ from the reference's: unknown and missing ones are all listed

For example
  python -m stages.import_checkpoint --method causalvtg --checkpoint charades.pth --config params.yaml --run charades_sta_clip \\
    --out data/runs/charades-published
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.method import load_method
from models.reference_keys.conversion import Converted, KeysDiffer, find
from stages.importing.checkpoint_files import CheckpointError, read_state
from stages.importing.reference_config import ReferenceConfigError, read_json_config, read_reference_config
from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup, parse
from stages.training.runs import CONFIG, WEIGHTS, RunError, RunRecord, load_run, read_record, save_run

ASSUMED_FPS = 1.0


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a configuration tells beside the weights: fields of the method's Config, and where the features come from."""

    model: dict[str, Any] = field(default_factory=dict)
    dataset: str = ""
    features: dict[str, tuple[str, ...]] = field(default_factory=dict)
    fps: float | None = None
    clips: int | None = None


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
        return Known(model=record.model, dataset=record.dataset, features=record.features, fps=record.fps, clips=record.clips)
    rates = [float(value) for value in find(reference, "fps") if isinstance(value, int | float)]
    return Known(model=_keys(method).settings(reference), fps=rates[0] if rates else None)


def build(converted: Converted, known: Known, *, method: str, checkpoint: Path, out: Path) -> RunRecord:
    """Write the run.

    Raises RunError or CheckpointError if the weights are no weights of this Config, ParamsError if it is no valid Config.
    """
    model = parse(load_method(method).Config, _plain(converted.model), f"{checkpoint}: model")
    record = RunRecord(
        run=out.name,
        method=method,
        model=dataclasses.asdict(model),
        widths=converted.widths,
        confounders=converted.confounders,
        dataset=known.dataset,
        features=known.features,
        fps=ASSUMED_FPS if known.fps is None else known.fps,
        clips=known.clips,
        inputs={"checkpoint": f"sha256:{hashlib.sha256(checkpoint.read_bytes()).hexdigest()}"},
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
    save_run(out, weights, record)
    return record


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
    args = parser.parse_args(argv)
    try:
        known = known_from(args.config, args.run, args.method)
        converted = _keys(args.method).convert(read_state(args.checkpoint), known.model)
        record = build(converted, known, method=args.method, checkpoint=args.checkpoint, out=args.out)
    except KeysDiffer as error:
        print(
            f"stages.import_checkpoint: {args.checkpoint}: no checkpoint of {args.method}'s reference: {error}", file=sys.stderr
        )
        return 2
    except (CheckpointError, ReferenceConfigError, ParamsError, RunError, LookupError, ValueError, OSError) as error:
        print(f"stages.import_checkpoint: {error.args[0] if isinstance(error, LookupError) else error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {len(converted.weights)} tensors of {args.method}, numerics {record.model.get('numerics', 'released')}")
    assumed = converted.assumed | ({} if known.fps is not None else {"fps": ASSUMED_FPS})
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
    rates = [rate for name in entry.features.video if (rate := stores[name].fps) is not None]
    return Known(
        model=dataclasses.asdict(entry.model),
        dataset=entry.dataset,
        features={"video": entry.features.video, "query": entry.features.query},
        fps=rates[0] if rates else None,
        clips=entry.features.clips,
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
