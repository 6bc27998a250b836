"""Causal clips and their environment, and what stands in for one of them.

    S = [s_c; s_e],   y = softmax((S + G) / tau) over the two rows,   I = hard(y) + y - stop(y)         -> divide
    x' = x * keep + foreign * (1 - keep),   foreign clips drawn from the clips of other videos          -> replace, ClipBank

G is Gumbel noise, or 0 for the plain decision; the causal row wins a tie. The gradient is that of y, the value that of hard(y).
Source: IGV (CVPR 2022), EIGV (ACM MM 2022).   B batch, T clips, D channels.  Masks: True = real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

SMALL = 1e-8  # added to a variance


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which clip belongs to which part.

    causal, environment (B, T)                 0 or 1 with the gradient of y; both 0 on padding
    causal_score, environment_score (B, T)     s_c, s_e: each sums to 1 over the real clips; nothing but the comparison with the
                                               reference's stored values reads s_e
    """

    causal: Tensor
    environment: Tensor
    causal_score: Tensor
    environment_score: Tensor


class Relevance(nn.Module):
    """q(query) . k(row) / sqrt(D) for every row."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(d_model, d_model), nn.Linear(d_model, d_model)

    def forward(self, query: Tensor, rows: Tensor) -> Tensor:
        """query (B, D), rows (B, T, D) -> (B, T)."""
        return (self.key(rows) @ self.query(query)[..., None])[..., 0] / math.sqrt(query.shape[-1])


class Grounding(nn.Module):
    """The indicator: splits the clips of a video in the light of a question.

    probabilities_as_logits (reference behaviour)   S are the scores themselves; otherwise their logarithms, so that without noise
                                                    a clip is causal with odds s_c : s_e
    may_be_empty (reference behaviour)              the causal part may hold no clip; otherwise it gets at least the best one
    deviation (ours)                                the difference of the heads' logits has mean 0 and this deviation over the
                                                    real clips, whatever they are: no video is all causal, so there is always an
                                                    environment to exchange; None: as they come
    """

    def __init__(
        self, d_model: int, *, tau: float, probabilities_as_logits: bool, may_be_empty: bool, deviation: float | None = None
    ) -> None:
        super().__init__()
        self.tau, self.probabilities_as_logits, self.may_be_empty = tau, probabilities_as_logits, may_be_empty
        self.deviation = deviation
        self.causal, self.environment = Relevance(d_model), Relevance(d_model)

    def forward(self, question: Tensor, rows: Tensor, mask: Tensor | None, gumbel: Tensor | None) -> Split:
        """question (B, D), rows (B, T, D), mask (B, T) or None, gumbel (B, 2, T), row 0 causal; None: no noise."""
        scores = torch.stack((self.causal(question, rows), self.environment(question, rows)), dim=1)  # (B, 2, T)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -math.inf)
        score, logarithm = scores.softmax(dim=-1), scores.log_softmax(dim=-1)
        logits = score if self.probabilities_as_logits else logarithm
        if self.deviation is not None:
            lead = self.deviation * standardise(logarithm[:, 0] - logarithm[:, 1], mask)
            logits = torch.stack((lead, torch.zeros_like(lead)), dim=1)
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None], 0.0)  # padding: any number will do, it is in neither part
        part = divide(logits, mask, gumbel, tau=self.tau, may_be_empty=self.may_be_empty)
        return Split(causal=part[:, 0], environment=part[:, 1], causal_score=score[:, 0], environment_score=score[:, 1])


def standardise(x: Tensor, mask: Tensor | None) -> Tensor:
    """x, mask (B, T) or None for all -> (B, T): mean 0 and deviation 1 over the real clips; what is on padding has no meaning.

    Rows that are constant become 0.
    """
    real = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
    x, count = x.masked_fill(~real, 0.0), real.sum(dim=1, keepdim=True)
    centred = (x - x.sum(dim=1, keepdim=True) / count).masked_fill(~real, 0.0)
    return centred * (centred.square().sum(dim=1, keepdim=True) / count + SMALL).rsqrt()


def divide(logits: Tensor, mask: Tensor | None, gumbel: Tensor | None, *, tau: float, may_be_empty: bool) -> Tensor:
    """logits and gumbel (B, 2, T), mask (B, T) or None for all -> (B, 2, T): causal and environment, 0 or 1."""
    soft = ((logits if gumbel is None else logits + gumbel) / tau).softmax(dim=1)
    margin = soft[:, 0] - soft[:, 1]  # (B, T)
    causal = margin >= 0
    if mask is not None:
        causal = causal & mask
    if not may_be_empty:
        best = (margin if mask is None else margin.masked_fill(~mask, -math.inf)).argmax(dim=1, keepdim=True)
        place = torch.arange(margin.shape[1], device=margin.device)
        causal = causal | ((place == best) & ~causal.any(dim=1, keepdim=True))
    hard = torch.stack((causal, ~causal), dim=1).to(soft.dtype)
    part = hard + (soft - soft.detach())  # the difference is exactly 0
    return part if mask is None else part.masked_fill(~mask[:, None], 0.0)


def undivided(mask: Tensor) -> Split:
    """mask (B, T): every real clip is causal, all with the same score; for methods without their grounding."""
    causal, none = mask.float(), torch.zeros_like(mask, dtype=torch.float32)
    return Split(causal=causal, environment=none, causal_score=causal / causal.sum(dim=1, keepdim=True), environment_score=none)


def never_empty(keep: Tensor, mask: Tensor | None) -> Tensor:
    """keep (B, T) bool; a row without a True becomes that of the mask, all True without one."""
    everything = torch.ones_like(keep) if mask is None else mask
    return torch.where(keep.any(dim=1, keepdim=True), keep, everything)


def replace(clips: Tensor, keep: Tensor, foreign: Tensor) -> Tensor:
    """clips, foreign (B, T, D), keep (B, T) in 0..1 -> clips * keep + foreign * (1 - keep)."""
    keep = keep[..., None]
    return clips * keep + foreign * (1 - keep)


def gumbel_noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """-log E with E exponential of mean 1, on the CPU."""
    return -torch.empty(*shape).exponential_(generator=generator).log()


class ClipBank:
    """Clips of the training videos, from which environments are drawn. Not part of a checkpoint.

    rows (N, D)            all clips, video after video, in any precision; or a function from row numbers (...) int64 on any
                           device to clips (..., D), for a store that holds them already
    offsets (V + 1,)       int64: video v has the rows offsets[v] .. offsets[v + 1]
    """

    def __init__(self, rows: Tensor | Callable[[Tensor], Tensor], offsets: Tensor) -> None:
        self.rows, self.offsets = rows, offsets.cpu()
        count = len(rows) if isinstance(rows, Tensor) else int(self.offsets[-1])
        if offsets.dim() != 1 or len(offsets) < 2 or int(self.offsets[0]) or int(self.offsets[-1]) != count:
            raise ValueError(f"clip bank: offsets must run from 0 to the number of rows {count}, got {offsets.tolist()[:3]}...")
        self._filled = int((self.offsets.diff() > 0).sum())  # videos that have clips

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.offsets) - 1

    def draw(self, own: Tensor, count: int, generator: torch.Generator) -> Tensor:
        """own (B, E) int64: videos that row b must not draw from, -1 for none -> (B, count) int64 row numbers, where `own` is.

        Uniform over all clips of all other videos, with repetition, in O(B (count + E)). Raises ValueError if a row has none.
        The generator lives on the CPU; nothing waits for a GPU, unless there are so few videos that a row may have none.
        """
        own, offsets = own.sort(dim=1).values, self.offsets.to(own.device, non_blocking=True)
        start = offsets[own.clamp(min=0)]
        size = offsets[own.clamp(min=0) + 1] - start
        twice = torch.cat((torch.zeros_like(own[:, :1], dtype=torch.bool), own[:, 1:] == own[:, :-1]), dim=1)
        size = size.masked_fill((own < 0) | twice, 0)  # (B, E)
        free = offsets[-1] - size.sum(dim=1, keepdim=True)
        if self._filled <= own.shape[1] and bool((free <= 0).any()):
            raise ValueError(
                f"clip bank: {len(self)} training videos are too few, every sample needs a clip of yet another video"
            )
        uniform = torch.rand(len(own), count, generator=generator, dtype=torch.float64)
        row = (uniform.to(own.device, non_blocking=True) * free).long().clamp(max=free - 1)
        for place in range(own.shape[1]):  # in order of the rows, so each forbidden stretch is stepped over once
            row = row + torch.where(row >= start[:, place : place + 1], size[:, place : place + 1], 0)
        return row

    def take(self, index: Tensor, like: Tensor) -> Tensor:
        """index (...) int64 -> (..., D) clips, in the type and on the device of `like`."""
        rows = self.rows[index.to(self.rows.device)] if isinstance(self.rows, Tensor) else self.rows(index)
        return rows.to(like.device, like.dtype, non_blocking=True)
