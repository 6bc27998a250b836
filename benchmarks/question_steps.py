"""A training step of IGV, EIGV, TranSTR and IVRD on the CPU, networks of published sizes: corrected against released numerics.

    python -m benchmarks.question_steps [--rounds 3] [--batch 32] [--methods igv ...] [--tiny]

The released numerics compute what the published code does, operation by operation, and are the reference; IVRD has no published
code and is timed alone. The parity cases (tests/test_parity.py) hold the released numerics to the published values. Limit in the
same rounds: one large matrix product; `share_of_product_rate` is the rate of the step's own products against it,
`share_of_time_in_products` what they take of its time.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from typing import Any

import torch

from benchmarks.gpu_batches import RUNS, Case, case_of
from benchmarks.gpu_steps import Step
from benchmarks.products import LargeProduct, flop_of, time_in_products
from benchmarks.rounds import interleave, save


def cut(case: Case, samples: int) -> Case:
    """The case with the first samples of its batch."""
    first = {field.name: getattr(case.batch, field.name) for field in fields(case.batch)}
    return replace(case, batch=replace(case.batch, **{name: t[:samples] for name, t in first.items() if t is not None}))


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Figures of one method."""
    names = ("released", "corrected") if case.released else ("corrected",)
    steps = {name: Step(case, name, "cpu") for name in names}
    counts = {name: flop_of(step) for name, step in steps.items()}
    large = LargeProduct("cpu")
    figures = interleave({**steps, "large product": large}, reference=case.reference, rounds=rounds)
    for name, step in steps.items():
        figures[name] |= large.shares(counts[name], figures[name], figures["large product"])
        figures[name]["share_of_time_in_products"] = time_in_products(step)
    return {"batch": len(case.batch), "candidates": figures}


def measured(methods: list[str], *, batch: int, rounds: int, tiny: bool) -> dict[str, Any]:
    """Figures by method."""
    return {method: measure(cut(case_of(method, tiny=tiny), batch), rounds) for method in methods}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=32, help="samples of a batch at most (default: %(default)s)")
    parser.add_argument("--methods", nargs="+", choices=list(RUNS), default=list(RUNS), metavar="METHOD", help=", ".join(RUNS))
    parser.add_argument("--tiny", action="store_true", help="small networks, to try the benchmark itself; nothing is saved")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = measured(args.methods, batch=args.batch, rounds=args.rounds, tiny=args.tiny)
    if args.tiny:
        print(figures)
        return
    save("question_steps", {"rounds": args.rounds, **figures})


if __name__ == "__main__":
    main()
