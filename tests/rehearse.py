"""Rehearse a benchmark at full size, offline: real annotations, planted features, a real (loopback) Hub, every stage.

    python -m tests.rehearse --benchmark charades --annotations FOLDER --work FOLDER [--epochs N] [--videos N]

The work folder becomes a DVC workspace of its own: the code of this repository, and a params.yaml made from
tests/data/rehearsal/<benchmark>.yaml. There the `world` stage plants features of the real widths for every video and query of
the annotation files, a Hub server on 127.0.0.1 serves them in the published layout, and `dvc repro` runs fetch, consolidate,
dictionary or vocabulary, train, evaluate and report on them, as it would on the downloaded files. Prints one JSON object: seconds
and peak memory per stage, and the metrics.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from tests import workspace
from tests.hub_process import running_hub

TEMPLATES = workspace.ROOT / "tests" / "data" / "rehearsal"
REPOSITORY = "planted/rehearsal"
# stages before train, by section of params.yaml
CONFOUNDERS = {"dictionary": "dictionaries", "vocabulary": "vocabularies", "semantic_graph": "graphs"}


class AnnotationsError(Exception):
    """The published annotation files are not where they were said to be."""


class StageError(Exception):
    """A stage of the rehearsal failed."""


def rehearse(
    benchmark: str, annotations: Path, work: Path, *, epochs: int | None = None, videos: int | None = None
) -> dict[str, Any]:
    """The whole line on one benchmark; returns seconds and peak memory per stage, and the metrics of the run."""
    params = template(benchmark)
    fill_in(params, annotations.resolve(), epochs, videos)
    workspace.prepare(work, params)

    (dataset,), (run,) = params["datasets"], params["runs"]
    made = [f"{stage}@{name}" for stage, section in CONFOUNDERS.items() for name in params[section]]
    figures: dict[str, Any] = {"stages": {}}
    stages = figures["stages"]
    stages["world"] = repro(work, "world@rehearsal")
    with running_hub(hub_root(work)) as hub:
        stages["fetch"] = repro(work, f"fetch@{dataset}", HF_ENDPOINT=hub.endpoint)
    stages["consolidate"] = repro(work, f"consolidate@{dataset}")
    for target in made:
        stages[target.replace("@", " ")] = repro(work, target)
    for stage in ("train", "evaluate"):
        stages[stage] = repro(work, f"{stage}@{run}")
    stages["report"] = repro(work, "report@rehearsal")
    figures["metrics"] = json.loads((work / "data" / "results" / run / "metrics.json").read_text(encoding="utf-8"))
    figures["bytes"] = {name: folder_bytes(work / "data" / name) for name in ("raw", "features")}
    return figures


def template(benchmark: str) -> dict[str, Any]:
    """The params file of a rehearsal, without the annotations folder."""
    params: dict[str, Any] = yaml.safe_load((TEMPLATES / f"{benchmark}.yaml").read_text(encoding="utf-8"))
    return params


def annotation_files(benchmark: str) -> list[str]:
    """Names of the published annotation files that a rehearsal reads, each plain or with .gz."""
    world = template(benchmark)["worlds"]["rehearsal"]
    if world["rehearsal"]:
        return list(world["rehearsal"]["files"])
    read = (world["question_rehearsal"].get(kind, {}).values() for kind in ("tables", "windows", "copies"))
    return list(dict.fromkeys(name for names in read for name in names))


def published_by(benchmark: str) -> str:
    """Where the authors publish those files: the git mirrors of the same data set in params.yaml, or else who describes them."""
    ((name, dataset),) = template(benchmark)["datasets"].items()
    known = yaml.safe_load((workspace.ROOT / "params.yaml").read_text(encoding="utf-8"))["datasets"][name]
    files = annotation_files(benchmark)
    mirrors = (mirror for source in known["sources"] if Path(source["into"]).name in files for mirror in source["mirrors"])
    folders = {
        (mirror["git"]["repository"].removesuffix(".git"), str(Path(mirror["git"]["path"]).parent))
        for mirror in mirrors
        if "git" in mirror
    }
    if not folders:
        return f"stages/datasets/{dataset['adapter']}.py names the paper whose authors publish them"
    return f"their authors publish them in {' and '.join(f'{folder}/ of {repository}' for repository, folder in sorted(folders))}"


def check_annotations(benchmark: str, folder: str) -> None:
    """Raises AnnotationsError with what is expected there and who publishes it."""
    files = annotation_files(benchmark)
    if not folder:
        found = "none is given"
    elif not Path(folder).is_dir():
        found = f"{folder} is no folder"
    elif absent := [name for name in files if not any((Path(folder) / f"{name}{end}").is_file() for end in ("", ".gz"))]:
        found = f"{folder} lacks {', '.join(absent)}"
    else:
        return
    raise AnnotationsError(
        f"--annotations: expected a folder with {', '.join(files)} (each plain or .gz), but {found}; {published_by(benchmark)}"
    )


def fill_in(params: dict[str, Any], annotations: Path, epochs: int | None, videos: int | None) -> None:
    """Put what the command line says into the template."""
    world = params["worlds"]["rehearsal"]
    rehearsal = world["rehearsal"] or world["question_rehearsal"]
    rehearsal["annotations"] = str(annotations)
    rehearsal["subset"] = videos
    if videos is not None:  # the annotation files stay whole, so most annotated videos have no features
        for feature in (feature for kinds in params["features"].values() for feature in kinds.values()):
            feature["missing"] = "drop"
    for run in params["runs"].values():
        if epochs is not None:
            run["train"]["epochs"] = epochs


def repro(work: Path, target: str, **environment: str) -> dict[str, float]:
    """`dvc repro target`; seconds and the largest memory of any process so far (it only grows).

    Raises StageError if it fails.
    """
    print(f"== {target}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    command = [sys.executable, "-m", "dvc", "repro", target]
    done = subprocess.run(command, cwd=work, env=workspace.environment(**environment), check=False, stdout=sys.stderr)
    if done.returncode:
        raise StageError(f"`dvc repro {target}` failed in {work}; its own message stands above")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {"seconds": round(time.perf_counter() - start, 1), "peak_gib_so_far": round(peak, 2)}


def hub_root(work: Path) -> Path:
    """A folder in which the world's upstream files are a data set repository."""
    root = work / "data" / "hub"
    link = root / "datasets" / REPOSITORY
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to((work / "data" / "worlds" / "rehearsal" / "upstream").resolve())
    return root


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(argv: list[str] | None = None) -> int:
    """Command line. Returns the exit code: 2 for annotations that are not there, 1 for a stage that fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", required=True, choices=sorted(path.stem for path in TEMPLATES.glob("*.yaml")))
    parser.add_argument("--annotations", required=True, help="folder with the published annotation files, plain or .gz")
    parser.add_argument("--work", required=True, type=Path, help="workspace to make or go on with; several GB")
    parser.add_argument("--epochs", type=int, help="instead of the template's number")
    parser.add_argument("--videos", type=int, help="only the first so many videos")
    args = parser.parse_args(argv)
    try:
        check_annotations(args.benchmark, args.annotations)
        figures = rehearse(args.benchmark, Path(args.annotations), args.work, epochs=args.epochs, videos=args.videos)
    except (AnnotationsError, StageError) as error:
        print(f"rehearse: {error}", file=sys.stderr)
        return 1 if isinstance(error, StageError) else 2
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
