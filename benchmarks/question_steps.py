"""A training step of IGV, EIGV, TranSTR and IVRD on the CPU, networks of published sizes: corrected against released numerics.

    python -m benchmarks.question_steps [--rounds 3] [--batch 32] [--methods igv ...] [--tiny]

The released numerics compute what the published code does, operation by operation, and are the reference; IVRD has no published
code and is timed alone. The parity cases (tests/test_parity.py) hold the released numerics to the published values. Limit in the
same rounds: one large matrix product; `share_of_product_rate` is the rate of the step's own products against it.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from typing import Any

import torch

from benchmarks.flops import flop_of
from benchmarks.gpu_batches import RUNS, Case, case_of
from benchmarks.gpu_steps import Step
from benchmarks.rounds import interleave, save

PRODUCT = (4096, 2816, 1024)


def cut(case: Case, samples: int) -> Case:
    """The case with the first samples of its batch."""
    first = {field.name: getattr(case.batch, field.name) for field in fields(case.batch)}
    return replace(case, batch=replace(case.batch, **{name: t[:samples] for name, t in first.items() if t is not None}))


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Figures of one method."""
    names = ("released", "corrected") if case.released else ("corrected",)
    steps = {name: Step(case, name, "cpu") for name in names}
    counts = {name: flop_of(step) for name, step in steps.items()}
    m, k, n = PRODUCT
    left, right = torch.randn(m, k), torch.randn(k, n)
    figures = interleave({**steps, "large product": lambda: left @ right}, reference=case.reference, rounds=rounds)
    for name in names:
        times_faster = figures["large product"]["ratio_median"] / figures[name]["ratio_median"]  # in the same rounds
        figures[name] |= {
            "gigaflop_in_products": round(counts[name] / 1e9, 1),
            "share_of_product_rate": round(counts[name] / (2 * m * k * n) / times_faster, 2),
        }
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
