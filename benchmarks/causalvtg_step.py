"""A training step of CausalVTG against a straightforward implementation of the same maths (benchmarks/plain/causalvtg.py).

    python -m benchmarks.causalvtg_step [--device cpu|cuda] [--rounds N] [--small]

Losses, memory and gradients are compared without dropout before anything is timed. With dropout plain and released are equal in
law: each draws its own masks. The corrected numerics are other maths, the shared trunk is equal only without dropout: both are
shown beside them.

Sizes: batch 64 of Charades-like (T 46) or QVHighlights-like (T 75) videos, CLIP + SlowFast widths, the published network.
Limits beside the times: the matrix products alone (their count at the rate of one large product in the same round), and the peak
memory of one step above weights, gradients and batch.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plain.causalvtg import Plain
from benchmarks.products import LargeProduct, flop_of, time_in_products
from benchmarks.rounds import interleave, save
from models.batch import Grounding
from models.layers.masks import prefix_mask
from models.methods.causalvtg import Config, Draws, LossWeights, Model

WIDTHS = {"video": 512 + 2304, "query": 512}
ENTRIES = 256
WORKLOADS = {"charades-like": (46, 12), "qvhighlights-like": (75, 20)}  # clips, tokens of the longest sample
BATCH = 64


def published(numerics: str, **changes: Any) -> Config:
    """The network of the published configurations."""
    values: dict[str, Any] = {
        "numerics": numerics,
        "hidden": 256,
        "heads": 8,
        "ffn_ratio": 4,
        "strides": (1, 2, 4, 8),
        "dropout": 0.5,
        "attention_dropout": 0.1,
        "drop_path": 0.1,
        "top": 50,
        "sample_radius": 1.5,
        "focal_gamma": 2.0,
        "temperature": 0.07,
        "loss_weights": LossWeights(cls=1.0, reg=0.2, sal=0.01, neg=0.1),
    }
    return Config(**(values | changes))


def build(config: Config, device: str) -> Model:
    """Random weights, the same for the same sizes."""
    torch.manual_seed(0)
    confounders = {side: F.normalize(torch.randn(ENTRIES, width), dim=-1) for side, width in WIDTHS.items()}
    return Model(config, widths=WIDTHS, confounders=confounders).to(device).train()


def workload(clips: int, tokens: int, batch: int, device: str) -> Grounding:
    """A batch with lengths between a third and all of the longest, one window per sample."""
    generator = torch.Generator().manual_seed(1)
    n = torch.randint(clips // 3, clips + 1, (batch,), generator=generator)
    words = torch.randint(3, tokens + 1, (batch,), generator=generator)
    n[0], words[0] = clips, tokens
    start = (torch.rand(batch, generator=generator) * 0.6 * n).floor()
    spans = torch.stack((start, start + (0.3 * n).ceil()), dim=-1)[:, None]  # (B, 1, 2)
    middle = torch.arange(clips) + 0.5
    masks = {"video": prefix_mask(n, clips), "query": prefix_mask(words, tokens)}
    features = {
        side: F.normalize(torch.randn(*mask.shape, WIDTHS[side], generator=generator), dim=-1) * mask[..., None]
        for side, mask in masks.items()
    }
    return Grounding(
        video=features["video"],
        video_mask=masks["video"],
        query=features["query"],
        query_mask=masks["query"],
        fps=torch.ones(batch),
        duration=n.float(),
        video_group=torch.arange(batch),
        spans=spans,
        spans_mask=torch.ones(batch, 1, dtype=torch.bool),
        saliency=((middle > spans[..., 0]) & (middle < spans[..., 1])).float(),
    ).to(device)


class Step:
    """One optimiser step, part by part."""

    def __init__(self, name: str, device: str) -> None:
        released = name in ("plain", "released")
        settings = {"share_trunk": True} if name.endswith("shared trunk") else {}
        self.model = build(published("released" if released else "corrected", **settings), device)
        plain = Plain(self.model)
        self.observe = plain.observe if name == "plain" else self.model.observe
        self.terms = plain.losses if name == "plain" else self._terms
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        self.generator, self.device = torch.Generator().manual_seed(0), device
        self.parts: dict[str, float] = {}

    def _terms(self, batch: Grounding, draws: Draws) -> dict[str, Tensor]:
        return self.model.losses(self.model(batch, draws), batch)

    def __call__(self, batch: Grounding) -> float:
        """Run it; seconds per part end in `parts`."""
        started = self._now()
        self.optimiser.zero_grad(set_to_none=True)
        self.observe(batch)
        observed = self._now()
        total = self.terms(batch, self.model.draw(batch, self.generator))["total"]
        forward = self._now()
        total.backward()
        backward = self._now()
        nn.utils.clip_grad_norm_(self.model.parameters(), 35.0)
        self.optimiser.step()
        done = self._now()
        marks = {"memory": observed - started, "forward and losses": forward - observed, "backward": backward - forward}
        self.parts = {**marks, "clip and update": done - backward}
        return float(total.detach())

    def _now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return perf_counter()


NAMES = ("plain", "released", "corrected", "corrected, shared trunk")


def agree(batch: Grounding) -> dict[str, float]:
    """Largest differences between plain and released without dropout: loss terms, memory, gradients relative to their norm."""
    config = published("released", dropout=0.0, attention_dropout=0.0, drop_path=0.0)
    ours, theirs = (build(config, str(batch.video.device)) for _ in range(2))
    assert batch.saliency is not None
    draws = Draws(positive=batch.saliency.argmax(dim=1))
    ours.observe(batch)
    Plain(theirs).observe(batch)
    one, other = ours.losses(ours(batch, draws), batch), Plain(theirs).losses(batch, draws)
    for losses in (one, other):
        losses["total"].backward()
    memory = max(
        float((mine.rows - his.rows).abs().max())
        for mine, his in ((ours.video_memory, theirs.video_memory), (ours.query_memory, theirs.query_memory))
    )
    pairs = [(mine.grad, his.grad) for mine, his in zip(ours.parameters(), theirs.parameters(), strict=True)]
    gradients = [float((mine - his).norm() / (1e-3 + his.norm())) for mine, his in pairs if mine is not None and his is not None]
    loss = max(float((one[name] - other[name]).detach().abs()) for name in one)
    worst = {"loss": loss, "memory": memory, "gradient": max(gradients)}
    for what, bound in (("loss", 1e-4), ("memory", 1e-4), ("gradient", 1e-2)):
        if not worst[what] <= bound:
            raise SystemExit(f"plain and released disagree: {what} differs by {worst[what]:.3g}, allowed {bound}")
    return worst


def peak(name: str, size: tuple[int, int], batch_size: int, device: str) -> float:
    """MiB that a step needs at its highest above what is there before it. On a CPU, a matter for a process of its own."""
    batch, step = workload(*size, batch_size, device), Step(name, device)
    if device == "cuda":
        step(batch)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(batch)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the highest resident size counts from here
    already = _resident("VmRSS")
    step(batch)
    return (_resident("VmHWM") - already) / 2**10


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{field}:")[1].split()[0])  # KiB


def measure(size: tuple[int, int], batch_size: int, device: str, rounds: int) -> dict[str, Any]:
    """Everything about one workload."""
    batch = workload(*size, batch_size, device)
    agreement = agree(batch)
    steps = {name: Step(name, device) for name in NAMES}
    counts = {name: flop_of(partial(step, batch)) for name, step in steps.items()}
    large = LargeProduct(device)
    parts: dict[str, dict[str, list[float]]] = {name: {} for name in NAMES}

    def run(name: str) -> None:
        steps[name](batch)
        for part, seconds in steps[name].parts.items():
            parts[name].setdefault(part, []).append(seconds)

    candidates: dict[str, Callable[[], object]] = {name: partial(run, name) for name in NAMES}
    figures = interleave(candidates | {"large product": large}, reference="plain", rounds=rounds)
    for name in NAMES:
        figures[name]["parts_seconds"] = {part: round(statistics.median(times), 4) for part, times in parts[name].items()}
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
    parser.add_argument("--small", action="store_true", help="batch 8, to try the benchmark itself; nothing is saved")
    parser.add_argument("--peak", choices=NAMES, help=argparse.SUPPRESS)
    parser.add_argument("--workload", choices=list(WORKLOADS), help=argparse.SUPPRESS)
    args = parser.parse_args()
    batch_size = 8 if args.small else BATCH
    if args.device == "cpu":
        torch.set_num_threads(1)
    if args.peak:
        print(peak(args.peak, WORKLOADS[args.workload], batch_size, args.device))
        return
    figures = {}
    for name, size in WORKLOADS.items():
        figures[name] = measure(size, batch_size, args.device, args.rounds)
        for candidate in NAMES:
            options = ["--device", args.device, "--peak", candidate, "--workload", name, *["--small"] * args.small]
            command = [sys.executable, "-m", "benchmarks.causalvtg_step", *options]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            figures[name]["candidates"][candidate]["peak_mib"] = round(float(done.stdout))
    if args.small:
        print(figures)
        return
    what = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    save(
        f"causalvtg_step_{args.device}",
        {"device": what, "torch": torch.__version__, "batch": BATCH, "rounds": args.rounds, **figures},
    )


if __name__ == "__main__":
    main()
