r"""Stage `audit`: does an intervention remove a bias whose truth is known? Variants of one run over seeds, side by side.

reads   data/samples/, data/features/, data/raw/    those of the audit's data sets; their confounders as params.yaml names them
writes  data/audits/<name>/cells/<variant>/<seed>/  a training and its evaluation each (stages/auditing/cells.py). Found complete
                                                    and made from the same they are kept: an interrupted audit goes on
        data/audits/<name>/cells/data-at-<x>/       of a sweep: the world with its bias at strength x, through the same stages;
                                                    its trainings are beside it, <variant>-at-<x>/<seed>/
        data/audits/<name>/outcomes.parquet         numbers of single queries: variant, split, seed, sample_id, measures
        data/audits/<name>/metrics.json             <variant>.<split, gap, gain, ...>.<measure>, with .low, .high and .seed_sd
        data/audits/<name>/plots/effects.csv        the same as a table (stages/auditing/effects.py says what the effects are)
        data/audits/<name>/plots/numbers.csv        further metrics of the evaluations by variant and split, over seeds
        data/pages/<report>/audits/<name>.json      all of it for a results page, and what it says in sentences

for example
  python -m stages.audit --name ccr --samples data/samples --features data/features --raw data/raw --out data/audits/ccr \
      --page data/pages/audits/audits/ccr.json
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import io
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tqdm import tqdm

from models.method import load_method
from stages.auditing import code
from stages.auditing.cells import AuditError, Cell, remove_others, run_cells
from stages.auditing.effects import Effect, effects
from stages.auditing.outcomes import Outcomes, align, write_outcomes
from stages.auditing.pages import page
from stages.auditing.settings import Audit, AuditData, Confounders
from stages.auditing.steps import joined
from stages.datasets.schema import DatasetError
from stages.params import DEFAULT_FILE, ParamsError, Run, load_params, lookup, run_alone, world_alone, world_value
from stages.predictions.submission import write_beside, write_json
from stages.tasks.task import Data, Inputs, load_task

ROOT = Path(__file__).resolve().parent.parent  # of the code
PACKAGES = ("numpy", "torch")  # whose versions decide results too
SWEPT = ("gap", "gain")  # kinds of effects that are followed over the strength of the bias

log = logging.getLogger("stages.audit")


@dataclass(frozen=True, kw_only=True)
class Places:
    """Folders that have one folder per data set each, and the params file."""

    samples: Path
    features: Path
    raw: Path
    params: Path


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A cell and the run that it trains."""

    cell: Cell
    run: Run

    @property
    def results(self) -> Path:
        """What its evaluation writes."""
        return self.cell.folder / "results"


def plan(audit: Audit, places: Places, out: Path, at: str = "") -> list[Planned]:
    """Every cell, seeds first: an audit that is cut short has whole variants of one seed rather than one variant of all.

    at    what the folders of the variants end with

    Raises ParamsError for a variant that is no run, OSError for inputs that are not there.
    """
    planned = []
    for seed in audit.seeds:
        for variant, changes in audit.changes().items():
            text, run = run_alone(places.params, audit.run, {**changes, "seed": seed, "train.threads": 1})
            if absent := [split for split in audit.splits.names() if split not in run.evaluate.splits]:
                raise ParamsError(
                    f"{places.params}: runs.{audit.run}.evaluate.splits: no {', '.join(absent)}, which the audit compares"
                )
            folder = out / "cells" / f"{variant}{at}" / str(seed)
            cell = Cell(
                variant=variant,
                seed=seed,
                folder=folder,
                params=text,
                digest=code.joined(_decisive(text, run, places)),
                commands=_commands(audit.run, run, places, folder),
            )
            planned.append(Planned(cell=cell, run=run))
    return planned


def _commands(name: str, run: Run, places: Places, folder: Path) -> tuple[tuple[str, ...], ...]:
    """Training and evaluation of a cell."""
    data = {"name": name, "samples": places.samples / run.dataset, "features": places.features / run.dataset}
    data |= {"raw": places.raw / run.dataset, "params": folder / "params.yaml"}
    train = {
        "video-confounders": run.confounders.video,
        "query-confounders": run.confounders.query,
        "out": folder / "run",
    }
    evaluate = {"run": folder / "run", "results": folder / "results", "page": folder / "page.json"}
    return (joined([("stages.train", *_options(data | train)), ("stages.evaluate", *_options(data | evaluate))]),)


@dataclass(frozen=True, kw_only=True)
class Strength:
    """The data of one strength of a sweep, as a cell of their own, and what is trained on them."""

    value: float
    cell: Cell
    audit: Audit
    places: Places

    def planned(self, out: Path) -> list[Planned]:
        """The trainings; the data have to be there."""
        return plan(self.audit, self.places, out, _at(self.value))


@dataclass(frozen=True)
class Maker:
    """The stage that makes the files of one folder of confounders, and what it reads."""

    name: str
    reads: tuple[str, ...]


MAKERS = {
    "dictionaries": Maker("dictionary", ("samples", "features", "raw")),
    "vocabularies": Maker("vocabulary", ("samples", "raw")),
    "graphs": Maker("semantic_graph", ("samples", "raw")),
}


def _at(strength: float) -> str:
    return f"-at-{strength:g}"


def plan_strengths(audit: Audit, places: Places, out: Path) -> list[Strength]:
    """The worlds of a sweep, made as the stages make any: world, fetch, consolidate, and what the runs read beside.

    Raises ParamsError for a strength that the world cannot have.
    """
    found = []
    for value in audit.sweep.strengths if audit.sweep else ():
        assert audit.sweep is not None
        folder, name = out / "cells" / f"data{_at(value)}" / "0", audit.data.dataset
        text, world = world_alone(places.params, name, dict.fromkeys(audit.sweep.fields, value), folder / "world")
        there = Places(**{part: folder / part for part in ("samples", "features", "raw")}, params=places.params)
        data = {"samples": there.samples / name, "features": there.features / name, "raw": there.raw / name}
        steps = [
            ("world", world, {"out": folder / "world"}),
            ("fetch", name, {"out": data["raw"]}),
            ("consolidate", name, data),
        ]
        confounders = {}
        for stream, path in asdict(audit.data.confounders).items():
            confounders[stream] = path
            if stage := MAKERS.get(Path(path).parent.name):
                confounders[stream] = str(folder / Path(path).parent.name / Path(path).name)
                read = {part: data[part] for part in stage.reads}
                steps.append((stage.name, Path(path).stem, read | {"out": confounders[stream]}))
        cell = Cell(
            variant=f"data{_at(value)}",
            seed=0,
            folder=folder,
            params=text,
            digest=code.joined({"params": code.joined({"": text}), **_code_of([stage for stage, _, _ in steps], audit, places)}),
            commands=(
                joined(
                    (f"stages.{stage}", *_options({"name": key, **files, "params": folder / "params.yaml"}))
                    for stage, key, files in steps
                ),
            ),
            passing=("world",),  # the fetch has what belongs to the data set
        )
        own = replace(audit.at_strength(), data=AuditData(dataset=name, confounders=Confounders(**confounders)))
        found.append(Strength(value=value, cell=cell, audit=own, places=there))
    return found


def _code_of(stages: Sequence[str], audit: Audit, places: Places) -> dict[str, str]:
    """Digests of the code that makes data, the adapter of the data set among it."""
    adapter = load_params(places.params, methods=False).datasets[audit.data.dataset].adapter
    return code.digests([*(f"stages.{stage}" for stage in stages), f"stages.datasets.{adapter}"], ROOT)


def _options(values: Mapping[str, object]) -> Iterable[str]:
    return [text for name, value in values.items() for text in (f"--{name}", str(value))]


def _decisive(text: str, run: Run, places: Places) -> dict[str, str]:
    """Digests of everything that decides the results of a cell: numbers, data, code, versions."""
    inputs = Inputs(
        samples=places.samples / run.dataset,
        features=places.features / run.dataset,
        confounders={stream: Path(path) for stream, path in asdict(run.confounders).items()},
        raw=places.raw / run.dataset,
    )
    task = load_method(run.method).Model.TASK
    modules = ["stages.train", "stages.evaluate", f"stages.tasks.{task}", f"models.methods.{run.method}"]
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "params": code.joined({"": text}),
        **inputs.digests(run.features.stores(), run.features.encoder),
        **code.digests(modules, ROOT),
        **versions,
    }


def read_outcomes(audit: Audit, planned: Sequence[Planned], places: Places) -> dict[tuple[str, int, str], Outcomes]:
    """(variant, seed, split) -> its queries.

    Raises DatasetError for predictions that do not belong to the samples.
    """
    found = {}
    for one in tqdm(planned, desc="outcomes", unit="cell", dynamic_ncols=True, leave=None):
        name = one.run.dataset
        data = Data(samples=places.samples / name, features=places.features / name, raw=places.raw / name)
        task = load_task(load_method(one.run.method).Model.TASK)
        for split in audit.splits.names():
            lines = (one.results / "splits" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
            found[one.cell.variant, one.cell.seed, split] = task.outcomes(data, split, [json.loads(line) for line in lines])
    return found


def tabled_numbers(audit: Audit, planned: Sequence[Planned]) -> list[dict[str, Any]]:
    """Metrics of the evaluations that the audit names, per variant and split: mean, deviation over seeds, number of seeds."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for one in planned:
        metrics = json.loads((one.results / "metrics.json").read_text(encoding="utf-8"))
        for name in audit.numbers:
            for split in one.run.evaluate.splits:
                if f"{split}.{name}" in metrics:
                    values.setdefault((one.cell.variant, split, name), []).append(metrics[f"{split}.{name}"])
    return [
        {
            "number": name,
            "variant": variant,
            "split": split,
            "mean": fmean(found),
            "seed_sd": stdev(found) if len(found) > 1 else None,
            "seeds": len(found),
        }
        for (variant, split, name), found in sorted(values.items(), key=lambda item: (item[0][2], item[0][1], item[0][0]))
    ]


def metrics_of(
    found: Sequence[Effect], numbers: Sequence[Mapping[str, Any]], points: Sequence[tuple[float, Effect]] = ()
) -> dict[str, float]:
    """The content of metrics.json: flat, six decimals."""
    out: dict[str, float | None] = {}
    named = [(effect.name, effect) for effect in found] + [(f"{effect.name}{_at(at)}", effect) for at, effect in points]
    for name, effect in named:
        out[name] = effect.value
        out |= {f"{name}.{end}": getattr(effect, end) for end in ("low", "high", "seed_sd")}
    for row in numbers:
        name = f"{row['variant']}.{row['split']}.{row['number']}"
        out |= {name: row["mean"], f"{name}.seed_sd": row["seed_sd"]}
    return {name: round(value, 6) for name, value in out.items() if value is not None and value == value}


def table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """CSV with a header; missing and undefined values are empty."""
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: "" if value is None or value != value else value for key, value in row.items()} for row in rows)
    return stream.getvalue().encode()


def swept(strengths: Sequence[Strength], out: Path) -> Iterator[tuple[float, Effect]]:
    """(strength, effect): gaps of base and full, and the gain, at every strength."""
    for one in strengths:
        aligned = align(read_outcomes(one.audit, one.planned(out), one.places), one.audit.seeds)
        yield from ((one.value, effect) for effect in effects(one.audit, aligned) if effect.kind in SWEPT)


def own_strength(audit: Audit, places: Places) -> float:
    """That of the world of the audit."""
    assert audit.sweep is not None
    return world_value(places.params, audit.data.dataset, audit.sweep.fields[0])


def write(
    name: str,
    audit: Audit,
    planned: Sequence[Planned],
    strengths: Sequence[Strength],
    places: Places,
    out: Path,
    page_file: Path,
) -> None:
    """Everything that is made from the finished cells; metrics.json last."""
    (out / "metrics.json").unlink(missing_ok=True)
    aligned = align(read_outcomes(audit, planned, places), audit.seeds)
    write_outcomes(out / "outcomes.parquet", aligned)
    found = list(tqdm(effects(audit, aligned), desc="intervals", unit="effect", dynamic_ncols=True, leave=None))
    numbers = tabled_numbers(audit, planned)
    write_beside(out / "plots" / "effects.csv", table([asdict(effect) for effect in found]))
    write_beside(out / "plots" / "numbers.csv", table(numbers))
    cells = {one.cell.name: one.cell.digest for one in planned}
    method = next(one.run.method for one in planned if one.cell.variant == audit.full)
    points = list(swept(strengths, out))
    if audit.sweep:
        own = own_strength(audit, places)
        compared = (audit.base, audit.full)
        points += [(own, effect) for effect in found if effect.kind in SWEPT and effect.variant in compared]
        cells |= {one.cell.name: one.cell.digest for strength in strengths for one in strength.planned(out)}
    write_json(page_file, page(name, audit, method, found, numbers, cells, points))
    write_json(out / "metrics.json", metrics_of(found, numbers, points))


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="stages.audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", required=True, metavar="A", help="entry of params.yaml: audits")
    parser.add_argument("--samples", type=Path, required=True, metavar="DIR", help="folder of all data sets' samples")
    parser.add_argument("--features", type=Path, required=True, metavar="DIR", help="folder of all data sets' stores")
    parser.add_argument("--raw", type=Path, required=True, metavar="DIR", help="folder of all data sets' published files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--page", type=Path, required=True, metavar="FILE")
    parser.add_argument("--jobs", type=int, metavar="N", help="cells at a time, instead of the audit's")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, metavar="FILE")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        audit = lookup(load_params(args.params, methods=False).audits, args.name, "audits")
        places = Places(samples=args.samples, features=args.features, raw=args.raw, params=args.params)
        planned = plan(audit, places, args.out)
        strengths = plan_strengths(audit, places, args.out)
        jobs, data = args.jobs or audit.jobs, [one.cell for one in strengths]
        if data:
            run_cells(data, jobs=jobs, label=f"{args.name}, worlds")
        cells = [one.cell for one in (*planned, *(one for strength in strengths for one in strength.planned(args.out)))]
        remove_others(args.out / "cells", [*cells, *data])
        worked = run_cells(cells, jobs=jobs, label=args.name)
        log.info("%d of %d cells were there", len(cells) - worked, len(cells))
        write(args.name, audit, planned, strengths, places, args.out, args.page)
    except (ParamsError, AuditError, DatasetError, LookupError, OSError) as error:
        print(f"stages.audit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stages.audit: interrupted; the same command goes on with the cells that are left", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
