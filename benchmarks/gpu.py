"""Everything that only a GPU can show, in one call of under ten minutes and one JSON file (results/gpu.json).

    python -m benchmarks.gpu [--minutes 9] [--parts steps epoch precision modes]
    python -m benchmarks.gpu --tiny --device cpu          the same on small networks, to try it without a GPU; nothing is saved

steps       a training step of every method on a batch of real size that lies on the device: fp32, bf16, and a straightforward
            implementation (benchmarks/plain) where there is one, else the released numerics, op by op as published
epoch       one epoch of CausalVTG at the size of Charades-STA (CLIP + SlowFast, 12,404 queries on 5,338 videos) from stores
            on the device; the share of it in which the host prepares batches is the most that the GPU can wait for data
precision   CausalVTG on the planted world, trained in fp32 and in bf16 from the same seed: metrics of both
modes       torch.compile, and compile with CUDA graphs, of every method until the time is over

Limit beside the steps: one large matrix product in the same rounds. Steps are timed interleaved, to their end on the device.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from benchmarks import causalvtg_step, ccr_step
from benchmarks.gpu_batches import Case, cases
from benchmarks.gpu_epoch import charades_epoch
from benchmarks.rounds import ROOT, interleave, save
from stages.training.loop import Objective
from tests import workspace

PARTS = ("steps", "epoch", "precision", "modes")
ROWS = {False: 4096, True: 64}
MODES = {"compile": "default", "compile, CUDA graphs": "reduce-overhead"}


@dataclass
class Clock:
    """Whether there is time left for one more thing."""

    minutes: float

    def __post_init__(self) -> None:
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begin

    def left(self) -> float:
        """Seconds."""
        return 60 * self.minutes - self.seconds


class Step:
    """One optimiser step on a batch that is there already; `losses` gives its total."""

    def __init__(self, case: Case, numerics: str, device: str, *, amp: str = "none", mode: str | None = None) -> None:
        self.model, self.batch, self.device = case.model(numerics).to(device).train(), case.batch.to(device), device
        objective: nn.Module = Objective(self.model, torch.device(device), amp)
        self.objective: Callable[..., dict[str, Tensor]] = torch.compile(objective, mode=mode) if mode else objective
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=device == "cuda")
        self.generator = torch.Generator().manual_seed(0)
        self.model.enter(1)

    def __call__(self) -> None:
        """Run it to its end."""
        self.optimiser.zero_grad(set_to_none=True)
        self.model.observe(self.batch)
        draws = self.model.draw(self.batch, self.generator)
        self.objective(self.batch, draws.to(self.device) if hasattr(draws, "to") else draws)["total"].backward()
        self.optimiser.step()
        finish(self.device)


def finish(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def plain_step(method: str, device: str, *, tiny: bool) -> tuple[Callable[[], object], Callable[[], object]] | None:
    """(a straightforward implementation, ours with the same numerics) of the methods that have one, on the same batch."""
    names = ("plain", "released")
    if method == "causalvtg":
        size = causalvtg_step.WORKLOADS["charades-like"]
        batch = causalvtg_step.workload(*size, 2 if tiny else causalvtg_step.BATCH, device)
        first, second = (causalvtg_step.Step(name, device) for name in names)
        return partial(first, batch), partial(second, batch)
    if method in ccr_step.HEADS:
        description = ccr_step.workload(2 if tiny else ccr_step.BATCH, device)
        one, other = (ccr_step.Step(method, name, device) for name in names)
        return partial(one, description), partial(other, description)
    return None


def tried(make: Callable[[], Callable[[], object]]) -> Callable[[], object] | str:
    """The step, run once; or why it cannot be."""
    try:
        step = make()
        step()
    except Exception as error:  # whatever a compiler or a driver comes up with is a finding here
        return f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
    return step


def timed(
    makers: Mapping[str, Callable[[], Callable[[], object]]], reference: str, rounds: int, device: str, rows: int
) -> dict[str, Any]:
    """Ratios of those that run, with steps per second; for the others why they do not. `rows` of the large product."""
    found = {name: tried(make) for name, make in makers.items()}
    steps = {name: step for name, step in found.items() if not isinstance(step, str)}
    figures: dict[str, Any] = {name: {"failed": step} for name, step in found.items() if isinstance(step, str)}
    if reference not in steps:
        return figures
    left, right = (torch.randn(*shape, device=device) for shape in ((rows, 2816), (2816, 1024)))

    def product() -> None:
        left @ right
        finish(device)

    ratios = interleave({**steps, "limit: large product": product}, reference=reference, rounds=rounds)
    for name, one in ratios.items():
        one["per_second"] = round(1 / max(one["seconds_median"], 1e-4), 1)
        figures[name] = one
    return figures


def of_steps(device: str, rounds: int, *, tiny: bool) -> dict[str, Any]:
    """Part `steps`."""
    figures = {}
    for case in cases(tiny=tiny):
        makers = {name: partial(Step, case, numerics, device, amp=amp) for name, numerics, amp in case.candidates()}
        figures[case.method] = timed(makers, case.reference, rounds, device, ROWS[tiny])
        if (pair := plain_step(case.method, device, tiny=tiny)) is not None:
            plain, ours = pair
            named = {"straightforward": plain, "ours, the same numerics": ours}
            figures[case.method]["against a straightforward implementation"] = interleave(
                named, reference="straightforward", rounds=rounds
            )
        free(device)
    return figures


def of_modes(device: str, rounds: int, clock: Clock, *, tiny: bool) -> dict[str, Any]:
    """Part `modes`: as many methods as there is time for."""
    figures: dict[str, Any] = {}
    longest = 0.0
    for case in cases(tiny=tiny):
        if clock.left() < 1.5 * longest:
            figures[case.method] = {"failed": "no time left"}
            continue
        begin = clock.seconds
        makers: dict[str, Callable[[], Callable[[], object]]] = {"eager": partial(Step, case, "corrected", device)}
        makers |= {name: partial(Step, case, "corrected", device, mode=mode) for name, mode in MODES.items()}
        figures[case.method] = timed(makers, "eager", rounds, device, ROWS[tiny])
        torch.compiler.reset()
        free(device)
        longest = max(longest, clock.seconds - begin)
    return figures


def free(device: str) -> None:
    """Give the device's memory back."""
    if device == "cuda":
        torch.cuda.empty_cache()


def of_precision(run: str = "causalvtg-planted", *, tiny: bool) -> dict[str, Any]:
    """Part `precision`: primary metrics after a training in each; both see the same batches in the same order."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    if tiny:
        for split in params["worlds"]["demo"]["planted"]["splits"].values():
            split["videos"] = 24
        for name in ("planted-video", "planted-query"):
            params["dictionaries"][name]["k"] = 4
        params["runs"][run]["train"]["epochs"] = 1
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = workspace.prepare(Path(work), params)
        workspace.dvc(folder, "repro", "dictionary@planted-video", "dictionary@planted-query")
        shared = ["--samples", "data/samples/planted", "--features", "data/features/planted", "--raw", "data/raw/planted"]
        for amp in ("none", "bf16"):
            begin = time.monotonic()
            confounders = [f"--{side}-confounders=data/dictionaries/planted-{side}.npz" for side in ("video", "query")]
            stage(folder, "train", "--name", run, "--amp", amp, "--out", f"data/{amp}", *shared, *confounders)
            seconds = time.monotonic() - begin
            results = ["--results", f"data/{amp}-results", "--page", f"data/{amp}.json"]
            stage(folder, "evaluate", "--name", run, "--run", f"data/{amp}", *shared, *results)
            metrics = json.loads((folder / f"data/{amp}-results/metrics.json").read_text(encoding="utf-8"))
            kept = {
                name: value for name, value in metrics.items() if name.rpartition(".")[2] in ("MR-full-R1@0.5", "MR-full-mAP")
            }
            figures["fp32" if amp == "none" else amp] = {"training_seconds": round(seconds, 1), **kept}
    return figures


def stage(folder: Path, name: str, *arguments: str) -> None:
    """Run a stage in a workspace. Raises SystemExit with its log if it fails."""
    command = [sys.executable, "-m", f"stages.{name}", *arguments]
    done = subprocess.run(command, cwd=folder, env=workspace.environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Command line; what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks and batches; nothing is saved")
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no new method is compiled (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    args = parser.parse_args(argv)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error(
            "PyTorch sees no GPU here (python -m stages.doctor says why); --tiny --device cpu tries the script without one"
        )
    clock = Clock(args.minutes)
    figures: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "torch": torch.__version__,
        "rounds": args.rounds,
    }
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "steps": partial(of_steps, args.device, args.rounds, tiny=args.tiny),
        "epoch": partial(charades_epoch, args.device, tiny=args.tiny),
        "precision": partial(of_precision, tiny=args.tiny),
        "modes": partial(of_modes, args.device, args.rounds, clock, tiny=args.tiny),
    }
    for name in PARTS:
        if name in args.parts:
            figures[name] = parts[name]()
            figures["seconds"] = round(clock.seconds, 1)
            if not args.tiny:
                save("gpu", figures)  # after every part: what is measured is kept if the call is cut short
    if args.tiny:
        print(json.dumps(figures, indent=1))
    return figures


if __name__ == "__main__":
    main()
