"""Memory of a training: the most its process held, against store + model + 1 GiB.

    make demo
    python -m benchmarks.memory [--runs causalvtg-planted ...]

Each run of the demo (or those named) is trained for one epoch by `stages.train` into a temporary folder, in a process of its own;
the system says how much that held at most (ru_maxrss). Beside it: the bytes of the stores it reads as float32, weights with their
gradients and two moments, and the limit - what a process holds that has imported the stage and does nothing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.rounds import ROOT, save
from stages.features.store import FeatureStore
from stages.params import Run, load_params

MIB = 2**20
ROOM = 1024  # MiB that a training may hold beyond its store and its model
COPIES = 4  # of the weights: themselves, gradients, two moments
# A process that is started counts what its starter held as memory of its own. So a bare interpreter starts it, not this one.
WATCH = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def peak_mib(command: list[str]) -> float:
    """The most memory that the command held. Raises CalledProcessError, with the end of what it said, if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "peak"
        watched = [sys.executable, "-S", "-c", WATCH, str(kept), *command]
        done = subprocess.run(watched, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, command, done.stdout[-3000:].decode())
        return int(kept.read_text(encoding="ascii")) / 1024


def store_mib(folder: Path, wanted: set[str]) -> float:
    """Values of the stores of these features as float32."""
    stores = [FeatureStore.open(path, verify=False) for path in folder.glob("*.zarr") if path.stem in wanted]
    return sum(store.info.rows * store.info.width * 4 for store in stores) / MIB


def measure(name: str, run: Run, work: Path) -> dict[str, Any]:
    """Figures of one run."""
    dataset = run.dataset
    command = [sys.executable, "-m", "stages.train", "--name", name, "--epochs", "1", "--out", str(work / name)]
    command += ["--samples", f"data/samples/{dataset}", "--features", f"data/features/{dataset}", "--raw", f"data/raw/{dataset}"]
    command += [f"--video-confounders={run.confounders.video}", f"--query-confounders={run.confounders.query}"]
    peak = peak_mib(command)
    wanted = {feature for features in run.features.stores().values() for feature in features}
    store = store_mib(ROOT / "data/features" / dataset, wanted)
    model = COPIES * (work / name / "model.safetensors").stat().st_size / MIB
    allowed = store + model + ROOM
    return {
        "peak_mib": round(peak),
        "store_mib": round(store, 1),
        "model_mib": round(model, 1),
        "allowed_mib": round(allowed),
        "share_of_allowed": round(peak / allowed, 2),
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    runs = load_params(ROOT / "params.yaml").runs
    demo = [name for name, run in runs.items() if run.report == "demo"]
    parser.add_argument("--runs", nargs="+", choices=list(runs), default=demo, metavar="RUN", help="default: those of the demo")
    args = parser.parse_args()
    if missing := sorted({runs[name].dataset for name in args.runs if not (ROOT / "data/samples" / runs[name].dataset).is_dir()}):
        raise SystemExit(f"no samples of {', '.join(missing)}: `make demo` first")
    limit = peak_mib([sys.executable, "-c", "import stages.train"])
    with tempfile.TemporaryDirectory() as work:
        figures = {name: measure(name, runs[name], Path(work)) for name in args.runs}
    save("memory", {"limit: stage imported, idle (MiB)": round(limit), "room_mib": ROOM, "runs": figures})


if __name__ == "__main__":
    main()
