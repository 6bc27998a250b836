r"""Stage `audit`: does an intervention remove a bias whose true effect is known? Variants of one run are trained and compared.

reads   data/samples/, data/features/, data/raw/    those of the audit's data sets; their confounders as params.yaml names them
writes  data/audits/<name>/cells/<variant>/<seed>/  a training and its evaluation each (stages/auditing/cells.py). A complete cell
                                                    whose inputs have not changed is not run again: an interrupted audit resumes;
                                                    cells that the entry does not ask for stay, but are in none of the results
        data/audits/<name>/cells/data-at-<x>/       of a sweep: the world with its bias at strength x, and what is made from it;
                                                    trainings on it are beside it, <variant>-at-<x>/<seed>/
        data/audits/<name>/outcomes.parquet         numbers of single queries: variant, split, seed, sample_id, measures
        data/audits/<name>/metrics.json             <variant>.<split, gap, gain, ...>.<measure>, with .low, .high and .seed_sd
        data/audits/<name>/plots/effects.csv        the same as a table (stages/auditing/effects.py says what the effects are)
        data/audits/<name>/plots/numbers.csv        further metrics of the evaluations by variant and split, over seeds
        data/pages/<report>/audits/<name>.json      all of it for a results page, with the findings in sentences

for example
  python -m stages.audit --name ccr --samples data/samples --features data/features --raw data/raw --out data/audits/ccr \
      --page data/pages/audits/audits/ccr.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tqdm import tqdm

from models.method import load_method
from stages.auditing.cells import AuditError, Cell, keep_or_remove_others, run_cells
from stages.auditing.code import combined_digest, digests
from stages.auditing.effects import Effect, effects
from stages.auditing.outcomes import Outcomes, align, read_records, write_outcomes
from stages.auditing.pages import page
from stages.auditing.settings import Audit, AuditData, Confounders
from stages.auditing.steps import chained_command
from stages.auditing.tables import at_strength, csv_table, evaluation_numbers, metrics_of, tabled_numbers
from stages.datasets.schema import DatasetError
from stages.parameters.strict import nearest
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

    @property
    def numbers(self) -> dict[str, dict[str, float]]:
        """split -> metric -> value, of the finished evaluation."""
        return evaluation_numbers(self.results / "metrics.json", self.run.evaluate.splits)


def plan(audit: Audit, places: Places, out: Path, at: str = "") -> list[Planned]:
    """Every cell, seed by seed: an audit that is interrupted early has all variants of one seed, which can be compared.

    at    end of the names of the variants' folders

    Raises ParamsError for a variant that is no run, OSError for inputs that are not there.
    """
    planned = []
    for seed in audit.seeds:
        for variant, changes in audit.changes().items():
            alone = {"seed": seed, "train.threads": 1, "train.processes": 1}  # cells run side by side already
            text, run = run_alone(places.params, audit.run, {**changes, **alone})
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
                digest=combined_digest(_decisive(text, run, places)),
                commands=_commands(audit.run, run, places, folder),
                results=("results/metrics.json", *(f"results/splits/{split}.jsonl" for split in audit.splits.names())),
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
    return (chained_command([("stages.train", *_options(data | train)), ("stages.evaluate", *_options(data | evaluate))]),)


@dataclass(frozen=True, kw_only=True)
class Strength:
    """The data of one strength of a sweep, which are made in a cell of their own, and the audit of what is trained on them."""

    value: float
    cell: Cell
    audit: Audit
    places: Places

    def planned(self, out: Path) -> list[Planned]:
        """The trainings; the cell of the data has to be complete."""
        return plan(self.audit, self.places, out, at_strength(self.value))


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


def plan_strengths(audit: Audit, places: Places, out: Path) -> list[Strength]:
    """The worlds of a sweep, made by the same stages as any other: world, fetch, consolidate, and those of the confounders.

    Raises ParamsError for a strength that the world cannot have.
    """
    strengths = []
    for value in audit.sweep.strengths if audit.sweep else ():
        assert audit.sweep is not None
        folder, name = out / "cells" / f"data{at_strength(value)}" / "0", audit.data.dataset
        text, world = world_alone(places.params, name, dict.fromkeys(audit.sweep.fields, value), folder / "world")
        made = Places(**{part: folder / part for part in ("samples", "features", "raw")}, params=places.params)
        data = {"samples": made.samples / name, "features": made.features / name, "raw": made.raw / name}
        steps = [
            ("world", world, {"out": folder / "world"}),
            ("fetch", name, {"out": data["raw"]}),
            ("consolidate", name, data),
        ]
        confounders, made_files = {}, []
        for stream, path in asdict(audit.data.confounders).items():
            confounders[stream] = path
            if stage := MAKERS.get(Path(path).parent.name):
                confounders[stream] = str(folder / Path(path).parent.name / Path(path).name)
                made_files.append(f"{Path(path).parent.name}/{Path(path).name}")
                read = {part: data[part] for part in stage.reads}
                steps.append((stage.name, Path(path).stem, read | {"out": confounders[stream]}))
        stages = [stage for stage, _, _ in steps]
        cell = Cell(
            variant=f"data{at_strength(value)}",
            seed=0,
            folder=folder,
            params=text,
            digest=combined_digest({"params": combined_digest({"": text}), **_code_of(stages, audit, places)}),
            commands=(
                chained_command(
                    (f"stages.{stage}", *_options({"name": key, **files, "params": folder / "params.yaml"}))
                    for stage, key, files in steps
                ),
            ),
            results=(f"samples/{name}/quality.json", f"raw/{name}/manifest.json", *made_files),
            temporary=("world",),  # fetch has copied what belongs to the data set
        )
        own = replace(audit.at_strength(), data=AuditData(dataset=name, confounders=Confounders(**confounders)))
        strengths.append(Strength(value=value, cell=cell, audit=own, places=made))
    return strengths


def _code_of(stages: Sequence[str], audit: Audit, places: Places) -> dict[str, str]:
    """Digests of the code that makes data, the adapter of the data set among it."""
    adapter = load_params(places.params, methods=False).datasets[audit.data.dataset].adapter
    return digests([*(f"stages.{stage}" for stage in stages), f"stages.datasets.{adapter}"], ROOT)


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
        "params": combined_digest({"": text}),
        **inputs.digests(run.features.stores(), run.features.encoder),
        **digests(modules, ROOT),
        **versions,
    }


def refuse_unknown(place: str, names: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Raises ParamsError for names that are not known, with the nearest and all known ones; owner: who has those."""
    known = list(dict.fromkeys(known))
    if unknown := [f"no {name!r}{nearest(name, dict.fromkeys(known)).rstrip('.')}" for name in names if name not in known]:
        raise ParamsError(f"{place}: {'; '.join(unknown)}; {owner} {', '.join(known)}")


def check_measures(place: str, audit: Audit, planned: Sequence[Planned]) -> None:
    """Raises ParamsError for a measure that no task of the variants can yield."""
    tasks = {load_method(training.run.method).Model.TASK for training in planned}
    known = (name for task in sorted(tasks) for name in load_task(task).MEASURES)
    refuse_unknown(f"{place}.measures", audit.measures, known, f"{', '.join(sorted(tasks))} has")


def first_cells(audit: Audit, planned: Sequence[Planned]) -> list[Planned]:
    """Those of base and full with the first seed: they show which measures and numbers there are."""
    compared = (audit.base, audit.full)
    return [training for training in planned if training.cell.variant in compared and training.cell.seed == audit.seeds[0]]


def check_first(place: str, audit: Audit, first: Sequence[Planned], places: Places) -> None:
    """Hold the finished first cells against what the audit compares.

    Raises ParamsError for a measure without a value, and for `numbers` or `chance` that no evaluation has.
    """
    outcomes = read_outcomes(audit, first, places).values()
    valued = (name for split in outcomes for name, values in split.values.items() if not all(map(math.isnan, values)))
    refuse_unknown(f"{place}.measures", audit.measures, valued, f"on these data {audit.base} and {audit.full} have")
    numbers = {training.cell.variant: training.numbers for training in first}
    every = sorted(name for of_cell in numbers.values() for split in of_cell.values() for name in split)
    refuse_unknown(f"{place}.numbers", audit.numbers, every, f"the evaluations of {audit.base} and {audit.full} have")
    if isinstance(audit.chance, str):
        cut = audit.splits.interventional
        refuse_unknown(f"{place}.chance", [audit.chance], sorted(numbers[audit.base][cut]), f"{audit.base} on {cut} has")


def read_outcomes(audit: Audit, planned: Sequence[Planned], places: Places) -> dict[tuple[str, int, str], Outcomes]:
    """(variant, seed, split) -> its queries.

    Raises AuditError for predictions that cannot be read, DatasetError for those that do not belong to the samples.
    """
    outcomes = {}
    for training in tqdm(planned, desc="outcomes", unit="cell", dynamic_ncols=True, leave=None):
        name = training.run.dataset
        data = Data(samples=places.samples / name, features=places.features / name, raw=places.raw / name)
        task = load_task(load_method(training.run.method).Model.TASK)
        for split in audit.splits.names():
            records = read_records(training.results / "splits" / f"{split}.jsonl")
            outcomes[training.cell.variant, training.cell.seed, split] = task.outcomes(data, split, records)
    return outcomes


def swept(strengths: Sequence[Strength], out: Path) -> Iterator[tuple[float, Effect]]:
    """(strength, effect): gaps of base and full, and the gain, at every strength."""
    for strength in strengths:
        outcomes = read_outcomes(strength.audit, strength.planned(out), strength.places)
        aligned = align(outcomes, strength.audit.seeds)
        yield from ((strength.value, effect) for effect in effects(strength.audit, aligned) if effect.kind in SWEPT)


def own_strength(audit: Audit, places: Places) -> float:
    """The strength of the bias in the world of the audit's own data set."""
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
    """Write everything that is made from the finished cells; metrics.json last."""
    (out / "metrics.json").unlink(missing_ok=True)
    aligned = align(read_outcomes(audit, planned, places), audit.seeds)
    write_outcomes(out / "outcomes.parquet", aligned)
    measured = list(tqdm(effects(audit, aligned), desc="intervals", unit="effect", dynamic_ncols=True, leave=None))
    numbers = tabled_numbers(audit.numbers, ((training.cell.variant, training.numbers) for training in planned))
    write_beside(out / "plots" / "effects.csv", csv_table([asdict(effect) for effect in measured]))
    write_beside(out / "plots" / "numbers.csv", csv_table(numbers))
    digest_by_cell = {training.cell.name: training.cell.digest for training in planned}
    method = next(training.run.method for training in planned if training.cell.variant == audit.full)
    sweep_effects = list(swept(strengths, out))
    if audit.sweep:
        own, compared = own_strength(audit, places), (audit.base, audit.full)
        sweep_effects += [(own, effect) for effect in measured if effect.kind in SWEPT and effect.variant in compared]
        of_sweep = (training.cell for strength in strengths for training in strength.planned(out))
        digest_by_cell |= {cell.name: cell.digest for cell in of_sweep}
    write_json(page_file, page(name, audit, method, measured, numbers, digest_by_cell, sweep_effects))
    write_json(out / "metrics.json", metrics_of(measured, numbers, sweep_effects))


def run_audit(name: str, args: argparse.Namespace) -> None:
    """Run the cells that are not complete, base and full of the first seed before all others, and write the results.

    Raises ParamsError, AuditError, DatasetError, LookupError or OSError.
    """
    audit = lookup(load_params(args.params, methods=False).audits, name, "audits")
    place = f"{args.params}: audits.{name}"
    places = Places(samples=args.samples, features=args.features, raw=args.raw, params=args.params)
    planned = plan(audit, places, args.out)
    check_measures(place, audit, planned)
    strengths = plan_strengths(audit, places, args.out)
    jobs, first = args.jobs or audit.jobs, first_cells(audit, planned)
    worked = run_cells([training.cell for training in first], jobs=jobs, label=f"{name}, first")
    check_first(place, audit, first, places)
    data = [strength.cell for strength in strengths]
    if data:
        run_cells(data, jobs=jobs, label=f"{name}, worlds")
    of_sweep = [training for strength in strengths for training in strength.planned(args.out)]
    cells = [training.cell for training in (*planned, *of_sweep)]
    worked += run_cells(cells, jobs=jobs, label=name)
    log.info("%d of %d cells were there", len(cells) - worked, len(cells))
    write(name, audit, planned, strengths, places, args.out, args.page)
    keep_or_remove_others(f"audits.{name}", args.out / "cells", [*cells, *data], removing=args.remove_others)


def jobs_argument(text: str) -> int:
    """A number of cells at a time from the command line."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


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
    parser.add_argument("--jobs", type=jobs_argument, metavar="N", help="cells at a time, instead of the audit's")
    parser.add_argument(
        "--remove-others", action="store_true", help="delete the cells in --out that the entry does not ask for (any more)"
    )
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, metavar="FILE")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        run_audit(args.name, args)
    except (ParamsError, AuditError, DatasetError, LookupError, OSError) as error:
        print(f"stages.audit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stages.audit: interrupted; the same command resumes with the cells that are not complete", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
