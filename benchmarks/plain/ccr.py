"""Training maths of CPL and CCR under `released` numerics, straightforwardly: what benchmarks/ccr_step.py compares with.

Every pass over B * P repeated rows, projections, scores and side heads computed for each of them, hidden words drawn sentence by
sentence, negatives of all proposals although the loss asks for one: as one writes it down first. It uses the weights of a model
of ours, but no line of its code. Every row has a frame and a word, and the grid is fine enough for every Gaussian to be seen.

B batch, P proposals, R = B P rows (sample-major), N frames, T steps of the grid, L words, V classes, D hidden.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models.batch import Description

BRANCHES = ("positive", "whole", "left", "right")


class Plain:
    """The computation on the weights of a model of cpl.py or ccr.py, in its train or eval state."""

    def __init__(self, model: Any) -> None:
        self.model, self.core, self.config = model, model.core, model.config
        self.has_sides = hasattr(model, "side_heads")

    def hide(self, batch: Description, random: np.random.Generator) -> Tensor:
        """Which words are hidden (B, L): a third of each sentence, drawn without replacement."""
        hidden = torch.zeros_like(batch.word_mask)
        for row in range(len(hidden)):
            length = int(batch.word_mask[row].sum())
            share = batch.hiding[row, :length].double().cpu().numpy()
            chosen = random.choice(length, max(length // 3, 1), replace=False, p=share / share.sum())
            hidden[row, torch.from_numpy(chosen)] = True
        return hidden

    def losses(self, batch: Description, hidden: Tensor, hardness: float) -> dict[str, Tensor]:
        """The terms of the model's losses, by the same names."""
        core, config, many = self.core, self.config, self.config.proposals
        size, frames_count = batch.video.shape[:2]
        video = torch.cat((batch.video, core.prediction.expand(size, 1, -1)), dim=1)
        frames = core.frame_map(core.drop(video))
        words = core.word_map(core.drop(torch.cat((core.start.expand(size, 1, -1), batch.words), dim=1)))
        real = torch.cat((torch.ones_like(batch.word_mask[:, :1]), batch.word_mask), dim=1)
        keys = torch.cat((batch.video_mask, torch.zeros_like(batch.video_mask[:, :1])), dim=1)
        places = _places(words.shape[1], words.shape[2]).to(words)
        memory = self._decode(core.word_decoder, words + places, real)
        states = self._decode(core.video_decoder, frames, keys, memory, real)
        found = core.to_gaussians(states[:, -1]).sigmoid().view(size * many, 2)
        center, width = found[:, 0], found[:, 1]  # (R,)

        kept = torch.linspace(0, frames_count - 1, frames_count // 4).long()
        frames, seen = frames[:, :-1][:, kept], batch.video_mask[:, kept]
        told = words.clone()
        for row in range(size):
            for place in range(hidden.shape[1]):
                if hidden[row, place]:
                    told[row, place + 1] = core.word_map(core.hidden)
        sentence, counted = (told + places)[:, :-1], real[:, :-1]

        def reconstructed(weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
            """Logits (R or B, L, V), the sentence and its mask of the same rows."""
            copies = 1 if weights is None else many
            rows = [x.repeat_interleave(copies, dim=0) for x in (frames, seen, sentence, counted)]
            inner = self._decode(core.video_decoder, rows[0], rows[1], weight_self=weights)
            out = self._decode(core.word_decoder, rows[2], rows[3], inner, rows[1], weight_cross=weights)
            return core.to_words(out), rows[2], rows[3]

        steps = torch.linspace(0, 1, len(kept)).to(center)
        positive = _bump(steps, center, width.clamp(min=1e-2) / config.sigma)
        left = 0.5 * hardness * (center - width / 2).clamp(min=0)
        right = 0.5 * hardness * (1 - center - width / 2).clamp(min=0)
        weights = {"positive": positive, "whole": None}
        weights |= {"left": _bump(steps, left, left.clamp(min=1e-2) / (config.sigma / 2))}
        weights |= {"right": _bump(steps, 1 - right, right.clamp(min=1e-2) / (config.sigma / 2))}
        rows: dict[str, Tensor] = {}
        for branch in BRANCHES:
            logits, said, mask = reconstructed(weights[branch])
            targets = batch.word_ids.repeat_interleave(len(logits) // size, dim=0)
            rows[branch] = _nll(logits, targets, mask)
            if self.has_sides:
                rows[f"side_{branch}"] = self._side(branch, logits, said, targets, mask)
        rows = {name: value.view(size, -1) for name, value in rows.items()}
        best = rows["positive"].argmin(dim=1, keepdim=True)
        at = {name: value[:, 0] if value.shape[1] == 1 else value.gather(1, best)[:, 0] for name, value in rows.items()}
        return self._terms(at, positive.view(size, many, -1))

    def _terms(self, at: dict[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
        config, best = self.config, at["positive"]
        margins = {"whole": config.margin_1, "left": config.margin_2, "right": config.margin_2}
        terms = {f"rank_{name}": F.relu(best - at[name] + margin).mean() for name, margin in margins.items()}
        rebuilt = (best.mean() + at["whole"].mean()) / 2
        if self.has_sides:
            side = at["side_positive"]
            rebuilt = (rebuilt + (side.mean() + at["side_whole"].mean()) / 2) / 2
            for name, margin in margins.items():  # of all pairs of samples, as released
                terms[f"side_rank_{name}"] = F.relu(side[:, None] - at[f"side_{name}"][None] + margin).mean()
        share = weights / weights.sum(dim=-1, keepdim=True)
        apart = share @ share.mT - config.diversity * torch.eye(weights.shape[1], device=weights.device)
        terms["diversity"], rank = apart.square().sum(dim=(1, 2)).mean(), sum(terms.values(), torch.zeros(()).to(best))
        return {
            **terms,
            "reconstruction": rebuilt,
            "total": rebuilt + config.alpha_1 * rank + config.alpha_2 * terms["diversity"],
        }

    def _side(self, branch: str, phi: Tensor, said: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """Loss of the side branch per row, its heads computed for every row."""
        psi = self.model.side_heads[branch](said)
        total, query = phi * psi.sigmoid(), self.model.side_maps[branch](psi)
        assumed = self.model.mu * psi.detach().sigmoid()
        known = total.detach().softmax(dim=-1)
        kl = -(known * assumed.log_softmax(dim=-1)).sum() / (len(phi) * phi.shape[-1])
        return kl + _nll(query, targets, mask) + _nll(total, targets, mask)

    def _decode(
        self,
        decoder: Any,
        x: Tensor,
        mask: Tensor,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
        *,
        weight_self: Tensor | None = None,
        weight_cross: Tensor | None = None,
    ) -> Tensor:
        for layer in decoder.layers:
            x = layer.norm_itself(x + layer.drop(_attend(layer.itself, x, x, mask, weight_self, causal=True)))
            if memory is not None and memory_mask is not None:
                told = _attend(layer.cross, x, memory, memory_mask, weight_cross, causal=False)
                x = layer.norm_cross(x + layer.drop(told))
            x = layer.norm_outer(x + layer.drop(layer.outer(F.relu(layer.inner(x)))))
        return x


def _attend(part: Any, x: Tensor, memory: Tensor, mask: Tensor, weight: Tensor | None, *, causal: bool) -> Tensor:
    """Attention of several heads: x (R, T, D), memory (R, S, D), mask and weight (R, S)."""
    size, (wq, wk, wv), (bq, bk, bv) = part.d_model // part.heads, part.packed.weight.chunk(3), part.packed.bias.chunk(3)
    q, k, v = F.linear(x, wq, bq) * size**-0.5, F.linear(memory, wk, bk), F.linear(memory, wv, bv)
    q, k, v = (y.view(*y.shape[:2], part.heads, size).transpose(1, 2) for y in (q, k, v))
    scores = q @ k.mT
    if causal:
        scores = scores + torch.full(scores.shape[-2:], -math.inf, device=x.device).triu(1)
    scores = scores.masked_fill(~mask[:, None, None], -1e30).softmax(dim=-1)
    if weight is not None:
        scores = scores * (weight[:, None, None] + 1e-10)
        scores = scores / scores.sum(dim=-1, keepdim=True)
    return part.out((scores @ v).transpose(1, 2).flatten(2))


def _bump(steps: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Gaussians (R, T), the highest step scaled to 1."""
    density = torch.exp(-((steps - mean[:, None]) ** 2) / (2 * deviation[:, None] ** 2)) / deviation[:, None]
    return density / density.max(dim=-1, keepdim=True).values


def _nll(logits: Tensor, words: Tensor, mask: Tensor) -> Tensor:
    """Smoothed by 0.1, mean over the words of each row: (R, L, V), (R, L), (R, L) -> (R,)."""
    log = logits.log_softmax(dim=-1)
    each = -0.9 * log.gather(-1, words[..., None])[..., 0] - 0.1 * log.mean(dim=-1)
    return (each * mask).sum(dim=-1) / mask.sum(dim=-1)


def _places(length: int, width: int) -> Tensor:
    """Sines and cosines, one half each; the start has none."""
    half = width // 2
    rates = torch.exp(-torch.arange(half) * math.log(10000.0) / (half - 1))
    angles = torch.arange(length)[:, None] * rates
    out = torch.cat((angles.sin(), angles.cos()), dim=1)
    out[0] = 0
    return out
