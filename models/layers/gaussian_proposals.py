"""Gaussian proposals that must help to reconstruct a sentence (CPL, Zheng et al., CVPR 2022): the core that CPL and CCR share.

    c, w = sigmoid(W h),  h: the video's last state, a learnt token that has read frames and words         -> read
    g(t) = exp(-(t - c)^2 / 2 s^2) / max,  s = max(w, 0.01) / sigma                                         -> bumps
    negatives: the same at a and 1 - b with s = max(a or b, 0.01) / (sigma / 2),
               a = k/2 [c - w/2]+, b = k/2 [1 - c - w/2]+, k = min(epoch / epochs, 1)^gamma                 -> beside
    hidden of word j+1 = decoder over start, word 1..j (some of them hidden), and the frames weighted by g  -> reconstruct

B batch, P proposals, R = B P rows (sample-major), N frames fed, T frames of the grid, L words, D hidden, V classes.
Masks: True = real.  Centres and widths are fractions of the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.layers.causal_decoder import WEIGHT_FLOOR, CausalDecoder
from models.layers.dropout import Dropout
from models.layers.masks import lengths
from models.layers.positions import word_positions

NARROWEST = 0.01  # width of a Gaussian is never taken as less
RELEASED_STRIDE = 4  # released: the grid has one frame in four of the padded ones


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the first pass says.

    frames (B, T, D), frames_mask (B, T) or None     frames of the grid; None: all are real
    words (B, L + 1, D)                              start and words, projected, without positions
    center, width (B, P)                             of the proposals, 0..1
    memory (B, L + 1, D), states (B, N + 1, D)       encoded words; encoded frames and, last, the prediction token

    Nothing but the comparison with the reference's stored values reads `memory` and `states`.
    """

    frames: Tensor
    frames_mask: Tensor | None
    words: Tensor
    center: Tensor
    width: Tensor
    memory: Tensor
    states: Tensor


def bumps(center: Tensor, deviation: Tensor, length: int) -> Tensor:
    """Gaussians on `length` equal steps from 0 to 1, the highest step scaled to 1: (...,) twice -> (..., length).

    The smallest squared distance is taken off before the exponential: narrow Gaussians between two steps cannot become 0/0.
    """
    t = torch.linspace(0, 1, length, device=center.device)
    distance = (t - center.float()[..., None]).square()
    return (-(distance - distance.amin(dim=-1, keepdim=True)) / (2 * deviation.float()[..., None].square())).exp()


def proposals(center: Tensor, width: Tensor, *, sigma: float, length: int) -> Tensor:
    """Weights of the proposals on the grid: (..., ) twice -> (..., length)."""
    return bumps(center, width.clamp(min=NARROWEST) / sigma, length)


def beside(center: Tensor, width: Tensor, *, sigma: float, hardness: Tensor | float, length: int) -> tuple[Tensor, Tensor]:
    """Weights of the left and of the right negative: (...,) twice -> (..., length) twice. hardness 1: they fill the rest."""
    left = 0.5 * hardness * (center - width / 2).clamp(min=0)
    right = 0.5 * hardness * (1 - center - width / 2).clamp(min=0)
    return (
        bumps(left, left.clamp(min=NARROWEST) / (sigma / 2), length),
        bumps(1 - right, right.clamp(min=NARROWEST) / (sigma / 2), length),
    )


def hardness(epoch: float, epochs: int, gamma: float) -> float:
    """k of the negatives, 0..1. With gamma 0 they are as hard from the beginning (0^0 = 1)."""
    return float(min(epoch / epochs, 1.0) ** gamma)


def hidden_words(noise: Tensor, weights: Tensor, mask: Tensor) -> Tensor:
    """Which words are hidden: max(floor(l / 3), 1) of the l real ones, none of none, without replacement, likely by `weights`.

    noise (B, L) uniform in 0..1, weights (B, L), mask (B, L) -> (B, L) bool. The largest w / -log(u) win: the same law as drawing
    one after the other with the remaining probabilities (Efraimidis and Spirakis, 2006).
    """
    count = lengths(mask)
    wanted = torch.where(count > 0, (count // 3).clamp(min=1), 0)
    keys = (weights / -noise.clamp(min=1e-30).log().clamp(max=-1e-30)).masked_fill(~mask, -1.0)
    rank = keys.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return (rank < wanted[:, None]) & mask


def word_noise(mask: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """Uniform numbers for `hidden_words`, mask (B, L) -> (B, L), row b from generators[b] alone.

    As many are drawn as the row has words: what a sample gets depends neither on its batch nor on the padding.
    """
    drawn = [torch.rand(count, generator=one) for count, one in zip(lengths(mask).tolist(), generators, strict=True)]
    noise = torch.full(mask.shape, 0.5)
    for row, values in zip(noise, drawn, strict=True):
        row[: len(values)] = values
    return noise.to(mask.device)


class GaussianProposals(nn.Module):
    """Both decoders, the learnt tokens and the heads.

    grid      T; None: one in four of the padded frames, the grid over them, padded keys masked (released)
    """

    def __init__(
        self,
        *,
        d_video: int,
        d_word: int,
        d_model: int,
        heads: int,
        video_layers: int,
        word_layers: int,
        dropout: float,
        proposals: int,
        classes: int,
        sigma: float,
        grid: int | None,
    ) -> None:
        super().__init__()
        self.count, self.sigma, self.grid = proposals, sigma, grid
        self.start, self.hidden = nn.Parameter(torch.zeros(d_word)), nn.Parameter(torch.zeros(d_word))
        self.prediction = nn.Parameter(torch.zeros(d_video))
        self.frame_map, self.word_map = nn.Linear(d_video, d_model), nn.Linear(d_word, d_model)
        self.video_decoder = CausalDecoder(layers=video_layers, d_model=d_model, heads=heads, dropout=dropout)
        self.word_decoder = CausalDecoder(layers=word_layers, d_model=d_model, heads=heads, dropout=dropout)
        self.to_words, self.to_gaussians = nn.Linear(d_model, classes), nn.Linear(d_model, 2 * proposals)
        self.drop = Dropout(dropout)

    def read(self, video: Tensor, video_mask: Tensor, words: Tensor, word_mask: Tensor) -> Reading:
        """video (B, N, D_v), video_mask (B, N), words (B, L, D_w), word_mask (B, L)."""
        rows = video.shape[0]
        token = self.prediction.expand(rows, 1, -1)
        frames = self.frame_map(self.drop(torch.cat((video, token.to(video.dtype)), dim=1)))  # (B, N + 1, D)
        start = self.start.expand(rows, 1, -1)
        told = self.word_map(self.drop(torch.cat((start.to(words.dtype), words), dim=1)))  # (B, L + 1, D)
        real = torch.cat((torch.ones_like(word_mask[:, :1]), word_mask), dim=1)
        # the prediction token is masked as a key: it reads the frames, nothing reads it, not even itself
        keys = torch.cat((video_mask, torch.zeros_like(video_mask[:, :1])), dim=1)
        memory = self.word_decoder(told + self.positions(told), real)
        seen = video_mask.any(dim=1) if self.grid is None else None
        states = self.video_decoder(frames, keys, memory, real, seen=seen)
        gaussians = self.to_gaussians(states[:, -1]).float().sigmoid().unflatten(1, (self.count, 2))  # (B, P, 2)
        sampled, sampled_mask = self.sample(frames[:, :-1], video_mask)
        return Reading(
            frames=sampled,
            frames_mask=sampled_mask,
            words=told,
            center=gaussians[..., 0],
            width=gaussians[..., 1],
            memory=memory,
            states=states,
        )

    def sample(self, frames: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """The frames of the grid: frames (B, N, D), mask (B, N) -> (B, T, D) and (B, T), or None where all are real."""
        if self.grid is None:
            padded = frames.shape[1]
            # computed in float32 and truncated: an integer formula gives other frames for some N (95, 160)
            kept = torch.linspace(0, padded - 1, padded // RELEASED_STRIDE).long().to(frames.device)
            return frames[:, kept], mask[:, kept]
        steps = torch.arange(self.grid, device=frames.device)
        kept = steps * (lengths(mask)[:, None] - 1) // max(self.grid - 1, 1)  # (B, T)
        return frames.gather(1, kept[..., None].expand(-1, -1, frames.shape[2])), None

    def gaussians(self, reading: Reading) -> Tensor:
        """Weights of the proposals on the grid (B, P, T)."""
        return proposals(reading.center, reading.width, sigma=self.sigma, length=reading.frames.shape[1])

    def negatives(self, reading: Reading, k: Tensor | float) -> tuple[Tensor, Tensor]:
        """Weights of the left and right negatives at hardness k, (B, P, T) each."""
        return beside(reading.center, reading.width, sigma=self.sigma, hardness=k, length=reading.frames.shape[1])

    def incomplete(self, reading: Reading, hidden: Tensor) -> Tensor:
        """The sentence with words hidden, from its start to its last word but one: hidden (B, L) bool -> (B, L, D)."""
        hidden = torch.cat((torch.zeros_like(hidden[:, :1]), hidden), dim=1)
        words = torch.where(hidden[..., None], self.word_map(self.hidden).to(reading.words.dtype), reading.words)
        return (words + self.positions(words))[:, :-1]

    def reconstruct(self, reading: Reading, sentence: Tensor, sentence_mask: Tensor, weights: Tensor | None) -> Tensor:
        """sentence (B, L, D), sentence_mask (B, L), weights (B, C, T) or None -> hidden states (B, C or 1, L, D).

        State j stands for word j + 1. Without weights the whole video counts.
        """
        log_weight = None if weights is None else (weights + WEIGHT_FLOOR).log().flatten(0, 1)  # (R, T)
        mask = reading.frames_mask
        seen = None if mask is None else mask.any(dim=1)
        memory = self.video_decoder(reading.frames, mask, log_self=log_weight, seen=seen)  # (R, T, D)
        states = self.word_decoder(sentence, sentence_mask, memory, mask, log_cross=log_weight, memory_seen=seen)
        return states.unflatten(0, (len(sentence), -1))

    def positions(self, words: Tensor) -> Tensor:
        """Positional code of words (B, L, D), (1, L, D)."""
        return word_positions(words.shape[1], words.shape[2], words.device).to(words.dtype)
