"""A training step of CPL and of CCR against a straightforward implementation of the same maths (benchmarks/plain/ccr.py).

    python -m benchmarks.ccr_step [--device cpu|cuda] [--rounds N] [--small]

plain       heads and projections per proposal, negatives of all proposals, hidden words drawn in a loop
released    the same maths on our model: losses and gradients are compared without dropout before anything is timed. With dropout
            both are equal in law, each draws its own masks and its own hidden words
corrected   the paper's formulation (CCR) or sound masking (CPL): other maths, shown beside
compiled    corrected through torch.compile; GPU only

Sizes: batch 32, 200 clips of width 1024, 20 words, 1,112 classes, the published network. Limit beside the times: the matrix
products alone, their count at the rate of one large product in the same round. Why a step stays below that rate:
`share_of_time_in_products` (CPU, one step under the profiler) is what products take of it, the rest goes to dropout masks,
softmax, norms, copies; products of the step's own, smaller shapes run slower than the large one (the one share over the other).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plain.ccr import Plain
from benchmarks.products import LargeProduct, flop_of, time_in_products
from benchmarks.rounds import interleave, save
from models.batch import Description
from models.layers.masks import prefix_mask
from models.method import load_method

WIDTHS = {"video": 1024, "words": 300, "classes": 1112}
HEADS = {"cpl": 4, "ccr": 8}
BATCH, CLIPS, WORDS = 32, 200, 20
EPOCH = 15  # of 30: negatives of middling size


def published(method: str, numerics: str, **changes: Any) -> Any:
    """The network of the published Charades-STA configuration."""
    values: dict[str, Any] = {
        "numerics": numerics, "hidden": 256, "heads": HEADS[method], "video_layers": 3, "word_layers": 3, "dropout": 0.1,
        "proposals": 8, "grid": 50, "sigma": 9.0, "gamma": 0.5, "epochs": 30, "margin_1": 0.1, "margin_2": 0.15,
        "diversity": 0.146, "alpha_1": 1.0, "alpha_2": 5.0,
    }  # fmt: skip
    return load_method(method).Config(**(values | changes))


def build(method: str, config: Any, device: str) -> Any:
    """Random weights, the same for the same sizes."""
    torch.manual_seed(0)
    model: Any = load_method(method).Model(config, widths=WIDTHS, confounders={}).to(device).train()
    model.enter(EPOCH)
    return model


def workload(batch: int, device: str) -> Description:
    """Whole videos, as resampling makes them, and sentences of 5 to 20 words."""
    generator = torch.Generator().manual_seed(1)
    count = torch.randint(5, WORDS + 1, (batch,), generator=generator)
    count[0] = WORDS
    mask = prefix_mask(count, WORDS)
    return Description(
        video=torch.randn(batch, CLIPS, WIDTHS["video"], generator=generator),
        video_mask=torch.ones(batch, CLIPS, dtype=torch.bool),
        words=torch.randn(batch, WORDS, WIDTHS["words"], generator=generator) * mask[..., None],
        word_mask=mask,
        word_ids=torch.randint(1, WIDTHS["classes"], (batch, WORDS), generator=generator) * mask,
        hiding=mask / count[:, None],
    ).to(device)


class Step:
    """One optimiser step."""

    def __init__(self, method: str, name: str, device: str) -> None:
        self.model = build(method, published(method, "released" if name in ("plain", "released") else "corrected"), device)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-5)
        self.generator, self.random = torch.Generator().manual_seed(0), np.random.default_rng(0)
        self.device, self.plain = device, Plain(self.model) if name == "plain" else None
        self.run: Callable[..., Any] = torch.compile(self.model) if name == "compiled" else self.model

    def terms(self, batch: Description) -> dict[str, Tensor]:
        """Losses of one pass with its own draws."""
        if self.plain is not None:
            k = float(self.model.hardness(batch))
            return self.plain.losses(batch, self.plain.hide(batch, self.random), k)
        found: dict[str, Tensor] = self.model.losses(self.run(batch, self.model.draw(batch, self.generator)), batch)
        return found

    def __call__(self, batch: Description) -> None:
        """Run it, to its end on a GPU too."""
        self.optimiser.zero_grad(set_to_none=True)
        self.terms(batch)["total"].backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 10.0)
        self.optimiser.step()
        if self.device == "cuda":
            torch.cuda.synchronize()


def agree(method: str, batch: Description) -> dict[str, float]:
    """Largest differences between plain and released without dropout: loss terms, gradients relative to their norm."""
    ours, theirs = (build(method, published(method, "released", dropout=0.0), str(batch.video.device)) for _ in range(2))
    draws = ours.draw(batch, torch.Generator().manual_seed(0))
    one = ours.losses(ours(batch, draws), batch)
    other = Plain(theirs).losses(batch, draws.hidden, float(draws.hardness))
    for losses in (one, other):
        losses["total"].backward()
    pairs = [(mine.grad, his.grad) for mine, his in zip(ours.parameters(), theirs.parameters(), strict=True)]
    gradients = [float((mine - his).norm() / (1e-3 + his.norm())) for mine, his in pairs if mine is not None and his is not None]
    worst = {"loss": max(float((one[name] - other[name]).detach().abs()) for name in one), "gradient": max(gradients)}
    for what, bound in (("loss", 1e-4), ("gradient", 1e-2)):
        if not worst[what] <= bound:
            raise SystemExit(f"{method}: plain and released disagree: {what} differs by {worst[what]:.3g}, allowed {bound}")
    return worst


def measure(method: str, batch_size: int, device: str, rounds: int) -> dict[str, Any]:
    """Everything about one method."""
    batch = workload(batch_size, device)
    agreement = agree(method, batch)
    names = ("plain", "released", "corrected", *(["compiled"] if device == "cuda" else []))
    steps = {name: Step(method, name, device) for name in names}
    counts = {name: flop_of(partial(step, batch)) for name, step in steps.items() if name != "compiled"}
    counts["compiled"] = counts["corrected"]
    large = LargeProduct(device)
    candidates: dict[str, Callable[[], object]] = {name: partial(step, batch) for name, step in steps.items()}
    figures = interleave(candidates | {"large product": large}, reference="plain", rounds=rounds)
    for name in names:
        figures[name] |= large.shares(counts[name], figures[name], figures["large product"])
        if device == "cpu":
            figures[name]["share_of_time_in_products"] = time_in_products(partial(steps[name], batch))
    rate = large.gigaflop_per_second(figures["large product"])
    return {"agreement": agreement, "product_gigaflop_per_second": rate, "candidates": figures}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--small", action="store_true", help="batch 4, to try the benchmark itself; nothing is saved")
    args = parser.parse_args()
    if args.device == "cpu":
        torch.set_num_threads(1)
    figures = {method: measure(method, 4 if args.small else BATCH, args.device, args.rounds) for method in HEADS}
    if args.small:
        print(figures)
        return
    what = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    about = {"device": what, "torch": torch.__version__, "batch": BATCH, "rounds": args.rounds}
    save(f"ccr_step_{args.device}", {**about, **figures})


if __name__ == "__main__":
    main()
