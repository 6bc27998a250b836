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


def rehearse(
    benchmark: str, annotations: Path, work: Path, *, epochs: int | None = None, videos: int | None = None
) -> dict[str, Any]:
    """The whole line on one benchmark; returns seconds and peak memory per stage, and the metrics of the run."""
    params = yaml.safe_load((TEMPLATES / f"{benchmark}.yaml").read_text(encoding="utf-8"))
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
    """`dvc repro target`; seconds and the largest memory of any process so far (it only grows)."""
    print(f"== {target}", file=sys.stderr, flush=True)
    start = time.perf_counter()
    command = [sys.executable, "-m", "dvc", "repro", target]
    subprocess.run(command, cwd=work, env=workspace.environment(**environment), check=True, stdout=sys.stderr)
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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", required=True, choices=sorted(path.stem for path in TEMPLATES.glob("*.yaml")))
    parser.add_argument(
        "--annotations", required=True, type=Path, help="folder with the published annotation files, plain or .gz"
    )
    parser.add_argument("--work", required=True, type=Path, help="workspace to make or go on with; several GB")
    parser.add_argument("--epochs", type=int, help="instead of the template's number")
    parser.add_argument("--videos", type=int, help="only the first so many videos")
    args = parser.parse_args()
    if not args.annotations.is_dir():
        parser.error(
            f"--annotations {args.annotations}: no such folder; the README says where the annotation files are published"
        )
    print(json.dumps(rehearse(args.benchmark, args.annotations, args.work, epochs=args.epochs, videos=args.videos), indent=1))


if __name__ == "__main__":
    main()
