"""Corrected against released numerics of CausalVTG on the planted world: several seeds, every split.

    dvc repro dictionary@planted-video dictionary@planted-query
    python -m benchmarks.numerics [--seeds 5] [--run causalvtg-planted]

Trains the run's recipe once per seed and numerics through the stages themselves, in a temporary folder, and writes mean and
standard deviation over the seeds of every primary metric, and of the accuracy of rejecting unanswerable queries.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from benchmarks.rounds import save

ROOT = Path(__file__).resolve().parents[1]
ANSWERABILITY = ("Acc", "Acc-answerable", "Acc-hard", "Acc-easy")


def measure(entry: dict[str, Any], params: dict[str, Any], numerics: str, seed: int, work: Path) -> dict[str, float]:
    """metrics.json of the recipe with these numerics and this seed."""
    run = {**entry, "seed": seed, "model": {**entry["model"], "numerics": numerics}}
    name, dataset = f"{numerics}-{seed}", entry["dataset"]
    file = work / f"{name}.yaml"
    file.write_text(yaml.safe_dump({**params, "runs": {name: run}}, sort_keys=False), encoding="utf-8")
    shared = ["--name", name, "--params", str(file)]
    shared += ["--samples", f"data/samples/{dataset}", "--features", f"data/features/{dataset}"]
    confounders = [f"--{stream}-confounders={entry['confounders'][stream]}" for stream in ("video", "query")]
    for stage, more in (
        ("train", [*confounders, "--out", str(work / name)]),
        ("evaluate", ["--run", str(work / name), "--results", str(work / f"{name}-results"), "--page", str(work / "page.json")]),
    ):
        subprocess.run([sys.executable, "-m", f"stages.{stage}", *shared, *more], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    metrics: dict[str, float] = json.loads((work / f"{name}-results" / "metrics.json").read_text(encoding="utf-8"))
    return metrics


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--run", default="causalvtg-planted", help="entry of params.yaml: runs")
    args = parser.parse_args()
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    entry = params["runs"][args.run]
    wanted = {*entry["evaluate"]["primary"], *ANSWERABILITY}
    figures: dict[str, Any] = {"run": args.run, "seeds": args.seeds}
    with tempfile.TemporaryDirectory() as folder:
        for numerics in ("corrected", "released"):
            runs = [measure(entry, params, numerics, seed, Path(folder)) for seed in range(args.seeds)]
            figures[numerics] = {
                name: {"mean": round(statistics.mean(values), 2), "sd": round(statistics.stdev(values), 2)}
                for name in runs[0]
                if name.partition(".")[2] in wanted
                for values in [[run[name] for run in runs]]
            }
    save("numerics", figures)


if __name__ == "__main__":
    main()
