"""The K best of many (item, word) pairs, as one row of weights over the items per place.

    hard        Y_k = one-hot of the k-th of the K largest scores a
    perturbed   Y_k = E_z one-hot of the k-th of the K largest a + sigma z,  z normal, by S samples; places in ascending order
    W_k,item    = sum over the words of Y_k

Gradient of the perturbed form, with c_s = sum_k dL/dY_k at what sample s chose:

    full        dL/da = 1 / ((S - 1) sigma) sum_s (c_s - mean c) z_s                 unbiased
    diagonal    dL/da_i = 1 / (S sigma) sum_s sum_k dL/dY_ki [s chose i] z_si        reference behaviour, no gradient of E Y

Source: Cordonnier et al. (CVPR 2021), as in TranSTR (ICCV 2023). Not one-hots (N, S, K, V L) but the chosen pairs (N, S, K) are
kept, at equal values; noise given as a seed is drawn block by block, and once more for the gradient.
N rows, V items, L words, S samples, K places.  Masks: True = may be chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

BLOCK = 2**24  # numbers of noise at a time


@dataclass(frozen=True)
class Noise:
    """Normal noise that is never kept: `samples` draws for every row, the same whenever it is asked for."""

    seed: int
    samples: int

    def rows(self, start: int, stop: int, pairs: int, device: torch.device) -> Tensor:
        """(stop - start, samples, pairs)."""
        generator = torch.Generator(device).manual_seed((self.seed + start * 0x9E3779B97F4A7C15) % 2**63)
        return torch.randn(stop - start, self.samples, pairs, generator=generator, device=device)


@dataclass(frozen=True, kw_only=True)
class Selection:
    """weights (N, K, V): how each place is filled; real (N, K) bool: False where no pair was left, such a row is 0."""

    weights: Tensor
    real: Tensor


def perturbed(scores: Tensor, mask: Tensor | None, noise: Noise | Tensor, k: int, *, sigma: float, diagonal: bool) -> Selection:
    """scores (N, V, L), mask of the same shape or None, noise given or as a tensor (N, S, V L)."""
    flat = scores.flatten(start_dim=1)
    weights: Tensor = _Perturbed.apply(  # type: ignore[no-untyped-call]
        flat, None if mask is None else mask.flatten(start_dim=1), noise, k, scores.shape[2], sigma, diagonal
    )
    return Selection(weights=weights, real=_real(scores, mask, k))


def best_pairs(scores: Tensor, mask: Tensor | None, k: int, *, ascending: bool) -> Tensor:
    """scores (N, V, L), mask of the same shape or None -> (N, K) int64 flat pairs item * L + word, V L where none is left.

    Equal scores: the smaller number first, on every device. ascending False: in the order that PyTorch's unsorted top-k gives.
    """
    flat, pairs = scores.flatten(start_dim=1), scores.shape[1] * scores.shape[2]
    if mask is not None:
        flat = flat.masked_fill(~mask.flatten(start_dim=1), -torch.inf)
    if not ascending:
        return _without_masked(*flat.topk(k, dim=1, sorted=False), pairs)
    ranked = flat.sort(dim=1, descending=True, stable=True)
    index = _without_masked(ranked.values[:, :k], ranked.indices[:, :k], pairs).sort(dim=1).values
    return torch.nn.functional.pad(index, (0, k - index.shape[1]), value=pairs)


def chosen(index: Tensor, items: int, words: int, dtype: torch.dtype) -> Selection:
    """Flat pairs (N, K), as `best_pairs` gives them -> one-hot rows over the items."""
    weights = torch.nn.functional.one_hot(index.div(words, rounding_mode="floor"), items + 1)[..., :items].to(dtype)
    return Selection(weights=weights, real=index < items * words)


def blind(mask: Tensor, k: int, seed: int | None, dtype: torch.dtype) -> Selection:
    """mask (N, V) -> K items that depend on nothing: evenly spread over the real ones, in order; with a seed any of them."""
    items, real = mask.shape[1], mask.sum(dim=1, keepdim=True)  # (N, 1)
    if seed is not None:
        generator = torch.Generator(mask.device).manual_seed(seed)
        scores = torch.rand(mask.shape, generator=generator, device=mask.device)
        return chosen(best_pairs(scores[..., None], mask[..., None], k, ascending=True), items, 1, dtype)
    place = torch.arange(k, device=mask.device)
    kept = real.clamp(max=k)  # as many as there are, each once
    wanted = ((place + 0.5) * real / kept.clamp(min=1)).long()  # among the real ones
    order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)
    index = order.gather(1, wanted.clamp(max=items - 1)).masked_fill(place >= kept, items)
    return chosen(index, items, 1, dtype)


def _real(scores: Tensor, mask: Tensor | None, k: int) -> Tensor:
    """Places that are filled in every sample: as many as there are pairs."""
    pairs = scores.new_full((len(scores),), scores.shape[1] * scores.shape[2]) if mask is None else mask.flatten(1).sum(dim=1)
    return torch.arange(k, device=scores.device) < pairs[:, None]


def _without_masked(values: Tensor, index: Tensor, pairs: int) -> Tensor:
    return index.masked_fill(values == -torch.inf, pairs)


def _blocks(noise: Noise | Tensor, rows: int, pairs: int, device: torch.device) -> Iterator[tuple[slice, Tensor]]:
    """The noise, some rows at a time."""
    samples = noise.samples if isinstance(noise, Noise) else noise.shape[1]
    size = max(BLOCK // max(samples * pairs, 1), 1)
    for start in range(0, rows, size):
        part = slice(start, min(start + size, rows))
        yield part, noise.rows(part.start, part.stop, pairs, device) if isinstance(noise, Noise) else noise[part]


class _Perturbed(torch.autograd.Function):
    """Flat scores (N, V L) -> weights (N, K, V). The row V of the counts collects places without a pair."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, mask: Tensor | None, noise: Noise | Tensor, k: int, words: int, sigma: float, diagonal: bool
    ) -> Tensor:
        rows, pairs = scores.shape
        samples = noise.samples if isinstance(noise, Noise) else noise.shape[1]
        found, take = [], min(k, pairs)
        for part, z in _blocks(noise, rows, pairs, scores.device):
            disturbed = scores[part, None] + sigma * z
            if mask is not None:
                disturbed = disturbed.masked_fill(~mask[part, None], -torch.inf)
            index = _without_masked(*disturbed.topk(take, dim=2, sorted=False), pairs).sort(dim=2).values
            found.append(index.to(torch.int32))
        index = torch.nn.functional.pad(torch.cat(found), (0, k - take), value=pairs)  # (N, S, K)
        items = pairs // words
        counts = scores.new_zeros(rows, k, items + 1)
        counts.scatter_add_(2, (index // words).mT.long(), scores.new_ones(1, 1, 1).expand(rows, k, samples))
        ctx.save_for_backward(index, mask, noise if isinstance(noise, Tensor) else None)
        ctx.noise, ctx.pairs, ctx.words, ctx.sigma, ctx.diagonal = noise, pairs, words, sigma, diagonal
        if isinstance(noise, Tensor):
            ctx.noise = None  # kept above, where autograd watches over it
        return counts[..., :items] / samples

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        index, mask, given = ctx.saved_tensors
        noise = ctx.noise if given is None else given
        rows, samples, _ = index.shape
        gradient = torch.nn.functional.pad(gradients[0], (0, 1))  # (N, K, V + 1): a place without a pair has none
        result = gradient.new_zeros(rows, ctx.pairs + 1)
        for part, z in _blocks(noise, rows, ctx.pairs, gradient.device):
            at = index[part].long()  # (n, S, K)
            each = gradient[part].gather(2, (at // ctx.words).mT).mT  # (n, S, K): dL/dY at what was chosen
            if ctx.diagonal:
                told = each * torch.nn.functional.pad(z, (0, 1)).gather(2, at)
                result[part].scatter_add_(1, at.flatten(start_dim=1), told.flatten(start_dim=1) / (samples * ctx.sigma))
            else:
                c = each.sum(dim=2)
                c = (c - c.mean(dim=1, keepdim=True)) / ((samples - 1) * ctx.sigma)
                result[part, : ctx.pairs] = (c[:, None] @ z.to(c.dtype))[:, 0]
        told = result[:, : ctx.pairs]
        return (told if mask is None else told.masked_fill(~mask, 0.0), None, None, None, None, None, None)
