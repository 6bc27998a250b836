"""What matrix products are of a run, recurrent layers among them: their floating-point operations, their share of its time.

PyTorch's counter knows products, convolutions and attention; recurrent layers are one operation to it, whose products it would
leave out. The formulas here are those of an LSTM or GRU layer: every step multiplies its input and its state by all weights of
the gates, and the way back makes two products of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

LARGE = (4096, 2816, 1024)
IN_A_ROW = 4
KERNELS = tuple(
    f"aten::{name}"
    for name in (
        "mm",
        "addmm",
        "bmm",
        "baddbmm",
        "_scaled_dot_product",
        "mkldnn_rnn",
        "mkldnn_convolution",
        "convolution_backward",
    )
)
Shape = Sequence[int]
aten = torch.ops.aten


def flop_of(run: Callable[[], object]) -> float:
    """Of one run."""
    with FlopCounterMode(display=False) as counter:
        run()
    return float(counter.get_total_flops())


def layer_flop(x: Shape, weights: Sequence[Shape]) -> int:
    """Of one recurrent layer on x (B, T, D) or (T, B, D): weights (G, D) and (G, H) once a row, biases (G,) left out."""
    return 2 * x[0] * x[1] * sum(prod(weight) for weight in weights if len(weight) == 2)


def time_in_products(run: Callable[[], object]) -> float:
    """Share of the CPU time of one run that products take, those of attention, convolutions and recurrent layers among them."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        run()
    times = {event.key: float(event.self_cpu_time_total) for event in recorded.key_averages()}
    return round(sum(time for name, time in times.items() if name.startswith(KERNELS)) / sum(times.values()), 2)


class LargeProduct:
    """Several large products in a row, to their end on the device, of `flop` operations: the rate that this machine reaches."""

    def __init__(self, device: str) -> None:
        rows, inner, columns = LARGE
        self.left, self.right = torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device)
        self.flop, self.device = 2.0 * IN_A_ROW * rows * inner * columns, device

    def __call__(self) -> None:
        """Run them."""
        for _ in range(IN_A_ROW):
            self.left @ self.right
        if self.device == "cuda":
            torch.cuda.synchronize()

    def shares(self, flop: float, own: Mapping[str, Any], large: Mapping[str, Any]) -> dict[str, float]:
        """How near a run of so many operations comes to this rate, from the ratios of both in the same rounds."""
        times_faster = large["ratio_median"] / own["ratio_median"]
        return {
            "gigaflop_in_products": round(flop / 1e9, 1),
            "share_of_product_rate": round(flop / self.flop / times_faster, 2),
        }

    def gigaflop_per_second(self, large: Mapping[str, Any]) -> float:
        """The rate, from its figures."""
        return round(self.flop / float(large["seconds_median"]) / 1e9, 1)


@register_flop_formula(aten.mkldnn_rnn_layer)
def _mkldnn(x: Shape, w0: Shape, w1: Shape, *_: Any, **__: Any) -> int:
    return layer_flop(x, (w0, w1))


@register_flop_formula(aten.mkldnn_rnn_layer_backward)
def _mkldnn_back(x: Shape, w1: Shape, w2: Shape, *_: Any, **__: Any) -> int:
    return 2 * layer_flop(x, (w1, w2))


@register_flop_formula(aten._cudnn_rnn)
def _cudnn(x: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    return layer_flop(x, weights)


@register_flop_formula(aten._cudnn_rnn_backward)
def _cudnn_back(x: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    return 2 * layer_flop(x, weights)
