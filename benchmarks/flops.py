"""How many floating-point operations the matrix products of a run make, recurrent layers with them.

PyTorch's counter knows products, convolutions and attention; recurrent layers are one operation to it, whose products it would
leave out. The formulas here are those of an LSTM or GRU layer: every step multiplies its input and its state by all weights of
the gates, and the way back makes two products of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula

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
