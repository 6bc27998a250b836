"""Intervention over a dictionary of class prototypes: every class is considered as likely, or as frequent, as we say.

    P(y | do(x)) ~ sum_z P(z) P(y | x, z),     a_z = softmax_z((Wq x).(Wk z) / sqrt(D)),     g_z = N a_z
    nwgm     y = sigmoid(W1 x + W2 sum_z P(z) g_z z + b)         the expectation moved inside
    exact    y = sum_z P(z) sigmoid(W1 x + W2 g_z z + b)                                                -> Intervention
    P(z)     1 / N (uniform), or proportional to how often z was seen (frequency); only classes that were seen, N of them
    z <- m z + (1 - m) mean of the x labelled z,     at first: that mean                                -> running_mean

Source: IVRD (Li et al., ACM MM 2021) for the first formula; attention, modes and maintenance are this project's.
Q observations (pairs), P classes (predicates), D channels.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, distributed, nn

Prior = Literal["uniform", "frequency", "none"]
Expectation = Literal["nwgm", "exact"]


def label_sums(x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """x (Q, D), labels (Q, P) of 0 and 1 -> sums (P, D) of the x with each label, and how many they are (P,)."""
    weights = labels.to(x.dtype)
    return weights.T @ x, weights.sum(dim=0)


def over_processes(sums: Tensor, hits: Tensor) -> tuple[Tensor, Tensor]:
    """Both added up over all processes, so that each applies the same update."""
    if distributed.is_available() and distributed.is_initialized():
        both = torch.cat((sums, hits[:, None]), dim=1)
        distributed.all_reduce(both)
        sums, hits = both[:, :-1], both[:, -1]
    return sums, hits


def running_mean(prototypes: Tensor, count: Tensor, sums: Tensor, hits: Tensor, *, momentum: float) -> Tensor:
    """prototypes, sums (P, D), count, hits (P,) -> the prototypes after one step; classes without a hit stay as they are."""
    mean = sums / hits.clamp(min=1)[:, None]
    moved = torch.where((count > 0)[:, None], momentum * prototypes + (1 - momentum) * mean, mean)
    return torch.where((hits > 0)[:, None], moved, prototypes)


def prior_weights(count: Tensor, prior: Prior) -> Tensor:
    """count (P,) -> P(z) (P,) over the classes that were seen; all 0 while there is none, and for prior "none"."""
    if prior == "none":
        return torch.zeros_like(count)
    weight = count if prior == "frequency" else (count > 0).to(count.dtype)
    return weight / weight.sum().clamp(min=1)


def mean_cosine(prototypes: Tensor, count: Tensor) -> float:
    """Mean cosine of two different prototypes that were seen; 0 with fewer than two. Near 1: they have become alike."""
    rows = torch.nn.functional.normalize(prototypes[count > 0], dim=-1)
    if len(rows) < 2:
        return 0.0
    return float(((rows @ rows.T).sum() - len(rows)) / (len(rows) * (len(rows) - 1)))


class Intervention(nn.Module):
    """The head above. Prototypes, their counts and the prior are arguments; keeping them is the caller's work."""

    def __init__(self, *, d_model: int, classes: int, expectation: Expectation) -> None:
        super().__init__()
        self.expectation = expectation
        self.q, self.k = (nn.Linear(d_model, d_model, bias=False) for _ in range(2))
        self.head_x = nn.Linear(d_model, classes)
        self.head_z = nn.Linear(d_model, classes, bias=False)

    def attention(self, x: Tensor, prototypes: Tensor, seen: Tensor) -> Tensor:
        """x (Q, D), prototypes (P, D), seen (P,) bool -> a (Q, P): 0 on unseen classes, unless none was seen."""
        scores = self.q(x) @ self.k(prototypes).T / math.sqrt(x.shape[-1])
        return scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(dim=-1)

    def forward(self, x: Tensor, prototypes: Tensor, count: Tensor, prior: Prior) -> Tensor:
        """x (Q, D), prototypes (P, D), count (P,) -> (Q, P): log-odds for "nwgm", probabilities for "exact"."""
        own = self.head_x(x)
        if prior == "none":
            return own.sigmoid() if self.expectation == "exact" else own
        seen, weights = count > 0, prior_weights(count, prior)
        g = self.attention(x, prototypes, seen) * seen.sum()  # (Q, P)
        if self.expectation == "nwgm":
            return own + self.head_z((g * weights) @ prototypes)
        given_z = own[:, None] + g[..., None] * self.head_z(prototypes)  # (Q, P of z, P of y)
        intervened = torch.einsum("z,qzy->qy", weights, given_z.sigmoid())
        return torch.where(seen.any(), intervened, own.sigmoid())
