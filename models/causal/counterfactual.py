"""Counterfactual subtraction: what an answer owes to the query alone is taken off what it owes to query and video together.

    total effect   rho(phi, psi)        phi: logits from video and query, psi: from the query alone
    direct effect  rho(mu, psi)         the same query beside a video that says nothing, mu
    difference     rho(phi, psi) - rho(mu, psi)

Source: CCR (ACM MM 2023), equations 7 to 10 and 17.   V classes; leading axes broadcast.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Form = Literal["product", "sum", "projection"]


class Aggregation(nn.Module):
    """rho(x, y) of two logits: x sigmoid(y) (product), sigmoid(x + y) (sum), W [x; y] + b (projection).

    A projection is linear: psi cancels in the difference, the trivial solution that the paper warns of.
    """

    def __init__(self, form: Form, *, classes: int) -> None:
        super().__init__()
        self.form = form
        if form == "projection":
            self.mix = nn.Linear(2 * classes, classes)

    def forward(self, x: Tensor, y: Tensor, *, frozen: bool = False) -> Tensor:
        """x and y broadcast to (..., V) -> (..., V). `frozen`: no gradient reaches the projection."""
        if self.form == "product":
            return x * y.sigmoid()
        if self.form == "sum":
            return (x + y).sigmoid()
        x, y = torch.broadcast_tensors(x, y)
        weight, bias = (value.detach() if frozen else value for value in (self.mix.weight, self.mix.bias))
        return F.linear(torch.cat((x, y), dim=-1), weight, bias)
