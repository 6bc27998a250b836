"""Everything that only a GPU can show, in one call of under ten minutes and one JSON file (results/gpu.json).

    python -m benchmarks.gpu [--minutes 9] [--parts steps epoch precision compiled] [--methods causalvtg ...]
    python -m benchmarks.gpu --tiny --device cpu          the same on small networks, to try it without a GPU; nothing is saved

steps       a training step of every method on a batch of real size that lies on the device: fp32, bf16, as one CUDA graph, and a
            straightforward implementation where there is one, else the released numerics, operation by operation as published
epoch       epochs of CausalVTG at the size of Charades-STA (CLIP + SlowFast, 12,404 queries on 5,338 videos) from stores on the
            device: time of a whole training, the share of it that waits for batches
precision   CausalVTG on the planted world, trained in fp32 and in bf16: metrics of both, beside those of another seed
compiled    torch.compile, and compile with CUDA graphs, of every method until the time is over

Every part, and every method of a part, is a process of its own with a share of the time: what fails, hangs or spoils its GPU
costs its own figures and no others, and says why in their place. The file is written again after each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_batches import METHODS
from benchmarks.rounds import ROOT, save

SHARES = {"steps": 0.35, "epoch": 0.2, "precision": 0.25, "compiled": 1.0}  # of the time, at most; the last one takes the rest
LEAST = 10  # seconds, without which no process is started


@dataclass(frozen=True)
class Clock:
    """Time that is left, in seconds, of all and of a part that began at a moment of it."""

    minutes: float
    begin: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.begin

    def left(self, part: str, since: float) -> float:
        """For a part that began then."""
        return min(since + 60 * self.minutes * SHARES[part], 60 * self.minutes) - self.now()


def apart(module: str, arguments: Sequence[str], seconds: float) -> dict[str, Any]:
    """What a module of this folder has measured in a process of its own until it ended, or was ended after so many seconds."""
    if seconds < LEAST:
        return {"failed": "no time left"}
    with tempfile.TemporaryDirectory() as work:
        out, log = Path(work) / "figures.json", Path(work) / "log.txt"
        command = [sys.executable, "-m", f"benchmarks.{module}", "--out", str(out), *arguments]
        with log.open("wb") as told:
            process = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=told, start_new_session=True)
            try:
                failure = f"exit {code}" if (code := process.wait(seconds)) else ""
            except subprocess.TimeoutExpired:
                failure = f"ended after {seconds:.0f} s"
            finally:
                end(process)
        figures: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
        if failure:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            figures["failed"] = ": ".join([failure, *last])[:500]
        return figures


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill it, and the stages and compilers that it has started, if anything of it is left."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def measure(args: argparse.Namespace, clock: Clock, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Every part that is asked for; `keep` is called with all there are after each process."""
    figures: dict[str, Any] = {"torch": torch.__version__, "rounds": args.rounds}
    figures["device"] = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    where = ["--device", args.device, *["--tiny"] * args.tiny]
    for part in SHARES:
        if part not in args.parts:
            continue
        since = clock.now()
        if part in ("epoch", "precision"):
            figures[part] = apart(f"gpu_{part}", where, clock.left(part, since))
            keep(figures)
            continue
        figures[part] = {}
        what = ["--what", "compiled" if part == "compiled" else "eager", "--rounds", str(args.rounds)]
        for method in args.methods:
            arguments = ["--method", method, *what, *where]
            figures[part][method] = apart("gpu_steps", arguments, clock.left(part, since))
            keep(figures)
    return figures


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Command line; what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks and batches; nothing is saved")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which nothing is measured (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=SHARES, default=list(SHARES), metavar="PART", help=", ".join(SHARES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD", help=", ".join(METHODS))
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error(
            "PyTorch sees no GPU here (python -m stages.doctor says why); --tiny --device cpu tries the script without one"
        )
    clock = Clock(args.minutes)

    def keep(figures: dict[str, Any]) -> None:
        figures["seconds"] = round(clock.now(), 1)
        if not args.tiny:
            save("gpu", figures)

    figures = measure(args, clock, keep)
    if args.tiny:
        print(json.dumps(figures, indent=1))
    return figures


if __name__ == "__main__":
    main()
