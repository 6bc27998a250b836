"""How much of a video a run is shown: the controls of an audit see a part only, in training and in tests alike.

    all         the run as it is
    average     every clip is the mean of all: what the scene gives away
    nothing     zeros: what the words give away
    evidence    clips that do not show the answer are replaced by those that do, in turn: what is left to gain

B batch, T clips, D channels.  Masks: True = real.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.training.batches import Indices, Rows
from stages.training.settings import Shown
from stages.training.targets import TargetError


class PartRows:
    """Features of which only the time average is shown, or nothing."""

    def __init__(self, rows: Rows, shown: Shown) -> None:
        self._rows, self._shown, self.width = rows, shown, rows.width

    def lengths(self, ids: Sequence[str]) -> Indices:
        """As of the whole."""
        return self._rows.lengths(ids)

    def batch(self, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, T, D), zero on padding, and the mask (B, T)."""
        values, mask = self._rows.batch(ids)
        real = mask[..., None].to(values.dtype)
        if self._shown == "nothing":
            return torch.zeros_like(values), mask
        count = (mask & (values != 0).any(dim=-1)).sum(dim=1).clamp(min=1)  # a row of zeros is no object
        return real * (values.sum(dim=1) / count[:, None])[:, None], mask


def part(rows: Rows, shown: Shown) -> Rows:
    """The rows as far as they are shown to all samples alike.

    Raises TargetError for evidence: that is a matter of the single sample (`only`).
    """
    if shown == "evidence":
        raise TargetError("features.shown: evidence is for methods that answer questions from stored words; take another")
    return PartRows(rows, shown) if shown != "all" else rows


def only(values: Tensor, evidence: Sequence[NDArray[np.bool_] | None]) -> Tensor:
    """values (B, T, ...): rows outside the evidence (T_i,) of a sample give way to rows inside, in turn; None: all stay."""
    count = values.shape[1]
    places = np.tile(np.arange(count), (len(evidence), 1))
    for row, found in zip(places, evidence, strict=True):
        if found is not None and found.any():
            inside = np.flatnonzero(found)
            row[: len(found)] = np.where(found, row[: len(found)], inside[np.arange(len(found)) % len(inside)])
    index = torch.from_numpy(places).to(values.device)
    return values[torch.arange(len(values), device=values.device)[:, None], index]
