"""Training steps of one method on a batch that lies on the device, timed interleaved; for benchmarks/gpu.py.

    python -m benchmarks.gpu_steps --method causalvtg --out FILE [--what eager|compiled] [--device cuda] [--rounds 5] [--tiny]

eager       fp32, bf16, the released numerics (as published, operation by operation); where there is one a straightforward
            implementation (benchmarks/plain) with ours of the same numerics; on a GPU the step as one CUDA graph
compiled    torch.compile, and compile with CUDA graphs, against the step as it is

A round runs as many steps in a row as take ROUND_SECONDS and waits for the device once, as a training does. Limits beside them in
the same rounds: a large matrix product in fp32 and in bf16. FILE is written again after every comparison.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import causalvtg_step, ccr_step
from benchmarks.gpu_batches import METHODS, Case, case_of
from benchmarks.products import flop_of
from benchmarks.rounds import interleave, part_of_gpu, write_whole
from models.batch import Description, Grounding
from stages.training.loop import Objective

WARM = 5  # steps before anything is timed: a compiled one is traced, recorded, and only then as fast as it gets
ROUND_SECONDS = {False: 0.1, True: 0.0}
PRODUCTS = {False: (400, 4096), True: (1, 64)}  # how many in a row, rows of each
PRECISIONS = {"limit: product, fp32": torch.float32, "limit: product, bf16": torch.bfloat16}
GRAPHS = {"fp32": "none", "bf16": "bf16"}
MODES = {"compile": "default", "compile, CUDA graphs": "reduce-overhead"}

Run = Callable[[], object]
Makers = Mapping[str, Callable[[], Run]]


class Step:
    """One optimiser step; it does not wait for the device."""

    def __init__(self, case: Case, numerics: str, device: str, *, amp: str = "none", mode: str | None = None) -> None:
        self.model, self.batch, self.device = case.model(numerics, device).train(), case.batch.to(device), device
        self.alone, self.mode = Objective(self.model, torch.device(device), amp), mode
        self.objective: Callable[..., dict[str, Tensor]] = torch.compile(self.alone, mode=mode) if mode else self.alone
        cuda = device == "cuda"
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=cuda, capturable=cuda)
        self.generator = torch.Generator().manual_seed(0)
        self.model.enter(1 + getattr(case.config, "warm_up", 0))  # beyond epochs in which only a part of the network learns

    def draws(self) -> Any:
        """New ones, on the device."""
        found = self.model.draw(self.batch, self.generator)
        return found.to(self.device) if hasattr(found, "to") else found

    def update(self, draws: Any) -> None:
        """All but the draws."""
        self.optimiser.zero_grad(set_to_none=True)
        self.model.observe(self.batch)
        self.objective(self.batch, draws)["total"].backward()
        self.alone.remember()
        self.optimiser.step()

    def __call__(self) -> None:
        """Run it."""
        if self.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()
        self.update(self.draws())


class Captured:
    """A step as one CUDA graph; its draws are made anew every time and copied into it.

    Raises ValueError if draws hold what is no tensor and changes: a graph would repeat it for ever.
    """

    def __init__(self, step: Step) -> None:
        self.step, self.draws = step, step.draws()
        refill(self.draws, step.draws())
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM):
                step.update(self.draws)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            step.update(self.draws)

    def __call__(self) -> None:
        """Run it."""
        refill(self.draws, self.step.draws())
        self.graph.replay()


def captured(case: Case, amp: str) -> Run:
    """The corrected step as a graph."""
    return Captured(Step(case, "corrected", "cuda", amp=amp))


def refill(kept: Any, fresh: Any) -> None:
    """Copy the tensors of one set of draws into those of another.

    Raises ValueError if anything else in them differs.
    """
    if isinstance(kept, Tensor):
        kept.copy_(fresh, non_blocking=True)
    elif is_dataclass(kept):
        for field in fields(kept):
            refill(getattr(kept, field.name), getattr(fresh, field.name))
    elif isinstance(kept, tuple | list):
        for one, other in zip(kept, fresh, strict=True):
            refill(one, other)
    elif kept != fresh:
        raise ValueError(f"draws hold {kept!r}, then {fresh!r}: no tensor, so that a graph would repeat the first")


class InARow:
    """Several runs, to their end on the device."""

    def __init__(self, run: Run, count: int, device: str) -> None:
        self.run, self.count, self.device = run, count, device

    def __call__(self) -> None:
        """Run them."""
        for _ in range(self.count):
            self.run()
        finish(self.device)


def finish(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def tried(make: Callable[[], Run], device: str) -> Run | str:
    """What was made, warm; or why it cannot be."""
    try:
        run = make()
        for _ in range(WARM if device == "cuda" else 1):
            run()
        finish(device)
    except Exception as error:  # whatever a compiler or a driver comes up with is a finding here
        return f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
    return run


def timed(makers: Makers, reference: str, rounds: int, device: str, *, tiny: bool) -> dict[str, Any]:
    """Ratios of those that run, with steps per second; for the others why they do not."""
    found = {name: tried(make, device) for name, make in makers.items()}
    steps = {name: run for name, run in found.items() if not isinstance(run, str)}
    figures: dict[str, Any] = {name: {"failed": run} for name, run in found.items() if isinstance(run, str)}
    if reference not in steps:
        return figures
    begin = time.perf_counter()
    InARow(steps[reference], 3, device)()
    count = max(1, math.ceil(ROUND_SECONDS[tiny] / ((time.perf_counter() - begin) / 3)))
    candidates: dict[str, Run] = {name: InARow(run, count, device) for name, run in steps.items()}
    products, size = PRODUCTS[tiny]
    candidates |= {name: InARow(product(size, dtype, device), products, device) for name, dtype in PRECISIONS.items()}
    ratios = interleave(candidates, reference=reference, rounds=rounds)
    for name in PRECISIONS:
        seconds = max(ratios[name]["seconds_median"], 1e-4)
        rate = products * 2 * size * 2816 * 1024 / seconds
        figures[name] = {"teraflop_per_second": round(rate / 1e12, 3), "seconds_median": ratios[name]["seconds_median"]}
    for name in steps:
        per_second = count / max(ratios[name]["seconds_median"], 1e-4)
        figures[name] = ratios[name] | {"steps_in_a_round": count, "steps_per_second": round(per_second, 1)}
    return figures


def product(size: int, dtype: torch.dtype, device: str) -> Run:
    """One large matrix product: `size` rows of 2816 channels to 1024."""
    left, right = (torch.randn(*shape, device=device, dtype=dtype) for shape in ((size, 2816), (2816, 1024)))
    return partial(torch.matmul, left, right)


def plain_makers(method: str, device: str, *, tiny: bool) -> Makers:
    """A straightforward implementation, and ours with the same numerics, of the methods that have one, on the same batch."""
    names = {"straightforward": "plain", "ours, the same numerics": "released"}
    if method == "causalvtg":
        size = causalvtg_step.WORKLOADS["charades-like"]
        batch = causalvtg_step.workload(*size, 2 if tiny else causalvtg_step.BATCH, device)
        return {name: partial(_plain_causalvtg, which, batch, device) for name, which in names.items()}
    if method in ccr_step.HEADS:
        description = ccr_step.workload(2 if tiny else ccr_step.BATCH, device)
        return {name: partial(_plain_weak, method, which, description, device) for name, which in names.items()}
    return {}


def _plain_causalvtg(which: str, batch: Grounding, device: str) -> Run:
    return partial(causalvtg_step.Step(which, device), batch)


def _plain_weak(method: str, which: str, batch: Description, device: str) -> Run:
    return partial(ccr_step.Step(method, which, device), batch)


def measure(case: Case, what: str, device: str, rounds: int, *, tiny: bool, keep: Callable[[dict[str, Any]], object]) -> None:
    """Every comparison, one after the other; `keep` is called after each with all there are."""

    def make(numerics: str, amp: str = "none", mode: str | None = None) -> Callable[[], Run]:
        return partial(Step, case, numerics, device, amp=amp, mode=mode)

    figures: dict[str, Any] = {"batch": len(case.batch)}
    compare = partial(timed, rounds=rounds, device=device, tiny=tiny)
    if what == "compiled":
        for name, mode in MODES.items():
            figures[name] = compare({"eager": make("corrected"), name: make("corrected", mode=mode)}, "eager")
            keep(figures)
        return
    makers = {name: make(numerics, amp) for name, numerics, amp in case.candidates()}
    figures["steps"] = compare(makers, case.reference)
    figures["gigaflop_in_products"] = float(f"{flop_of(Step(case, 'corrected', device)) / 1e9:.4g}")
    keep(figures)
    if plain := plain_makers(case.method, device, tiny=tiny):
        figures["against a straightforward implementation"] = compare(plain, "straightforward")
        keep(figures)
    if device == "cuda":
        as_graphs = {name: partial(captured, case, amp) for name, amp in GRAPHS.items()}
        figures["one CUDA graph"] = compare({"eager": make("corrected"), **as_graphs}, "eager")
        keep(figures)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = part_of_gpu(__doc__)
    parser.add_argument("--method", required=True, choices=METHODS)
    parser.add_argument("--what", choices=("eager", "compiled"), default="eager")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(argv)
    case, keep = case_of(args.method, tiny=args.tiny), partial(write_whole, args.out)
    measure(case, args.what, args.device, args.rounds, tiny=args.tiny, keep=keep)


if __name__ == "__main__":
    main()
