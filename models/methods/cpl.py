"""CPL: weakly supervised temporal sentence grounding with Gaussian-based contrastive proposals (Zheng et al., CVPR 2022).

A moment is what helps to reconstruct the sentence. P Gaussians over time are proposed; the one from which the partly hidden
sentence is reconstructed best is the answer, and must beat the whole video and two Gaussians beside it:

    p_i = NLL(words | frames weighted by g_i),   p = min_i p_i,   r = NLL(words | all frames),   n1, n2 = NLL(words | beside g_i)
    L = (mean p + mean r) / 2 + alpha_1 ([p - r + m_1]+ + [p - n1 + m_2]+ + [p - n2 + m_2]+) + alpha_2 |G G' - lambda I|^2

The core is models.layers.gaussian_proposals, the losses are models.losses.reconstruction.
B batch, P proposals, L words, V classes, T steps of time.  Masks: True = real.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from models.batch import Description, Proposals
from models.layers.attention import check_heads
from models.layers.gaussian_proposals import GaussianProposals, hardness, hidden_words, word_noise
from models.losses.reconstruction import diversity, hinge, smoothed_nll
from models.method import Departures, Method


@dataclass(frozen=True, kw_only=True)
class Deviations(Departures):
    """Where the released code departs from sound masking; true = as released."""

    padded_grid: bool  # the grid is one in four of the padded frames: padding moves proposals; rows without frames pass
    end_class: bool  # sentences shorter than the batch's longest also predict class 0 after their last word


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method."""

    numerics: Literal["corrected", "released"]
    hidden: int
    heads: int
    video_layers: int
    word_layers: int
    dropout: float
    proposals: int  # P
    grid: int  # T; released: a quarter of the frames fed instead
    sigma: float  # widths are this many standard deviations
    gamma: float  # how fast the negatives grow; 0: full from the beginning
    epochs: int  # at which they have grown
    margin_1: float  # against the whole video
    margin_2: float  # against the negatives
    diversity: float  # lambda
    alpha_1: float
    alpha_2: float
    deviations: Deviations | None = None  # None: the preset of `numerics`

    def __post_init__(self) -> None:
        Deviations.chosen(self.numerics, self.deviations)
        check_heads(self.hidden, self.heads)

    @property
    def deviates(self) -> Deviations:
        """The deviations in force."""
        return Deviations.chosen(self.numerics, self.deviations)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """hidden (B, L) bool: words that are hidden; hardness: of the negatives, scalar 0..1, None where nothing is to be learnt."""

    hidden: Tensor
    hardness: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the network says.

    center, width, nll (B, P)      of the proposals
    weights (B, P, T)              Gaussians on the grid
    logits (B, P, L, V)            of the words, from each proposal
    whole (B,)                     NLL from the whole video; None without hardness
    left, right (B,)               NLL from the negatives of the best proposal; None without hardness
    """

    center: Tensor
    width: Tensor
    nll: Tensor
    weights: Tensor
    logits: Tensor
    whole: Tensor | None
    left: Tensor | None
    right: Tensor | None


class Model(Method):
    """The network. `widths` has the entries video, words (channels) and classes (V). There are no confounders."""

    TASK = "weak_moments"

    def __init__(self, config: Config, *, widths: Mapping[str, int], confounders: Mapping[str, Tensor]) -> None:
        super().__init__(config, widths=widths, confounders=confounders)
        self.deviates, self.epoch = config.deviates, float(config.epochs)
        self.core = GaussianProposals(
            d_video=widths["video"],
            d_word=widths["words"],
            d_model=config.hidden,
            heads=config.heads,
            video_layers=config.video_layers,
            word_layers=config.word_layers,
            dropout=config.dropout,
            proposals=config.proposals,
            classes=widths["classes"],
            sigma=config.sigma,
            grid=None if self.deviates.padded_grid else config.grid,
        )

    def enter(self, epoch: int) -> None:
        """An epoch of training begins, the first is 1: the negatives grow with it."""
        self.epoch = float(epoch)

    def hardness(self, batch: Description) -> Tensor:
        """That of the negatives in this epoch; a tensor, so that a compiled pass stays the same from epoch to epoch."""
        value = hardness(self.epoch, self.config.epochs, self.config.gamma)
        return torch.tensor(value).to(batch.video.device, non_blocking=True)

    def draw(self, batch: Description, generator: torch.Generator) -> Draws:
        """Which words are hidden, in training."""
        noise = torch.rand(batch.hiding.shape, generator=generator).to(batch.hiding.device, non_blocking=True)
        return Draws(hidden=hidden_words(noise, batch.hiding, batch.word_mask), hardness=self.hardness(batch))

    def draw_each(self, batch: Description, generators: Sequence[torch.Generator]) -> Draws:
        """Which words are hidden where nothing is to be learnt: row b by generators[b] alone."""
        noise = word_noise(batch.word_mask, generators)
        return Draws(hidden=hidden_words(noise, batch.hiding, batch.word_mask), hardness=None)

    def forward(self, batch: Description, draws: Draws) -> Output:
        """One pass. With a hardness also from the whole video and from the negatives, which only the losses need."""
        core = self.core
        reading = core.read(batch.video, batch.video_mask, batch.words, batch.word_mask)
        sentence, keys = core.incomplete(reading, draws.hidden), self.sentence_mask(batch)
        counted = keys if self.deviates.end_class else batch.word_mask
        weights = core.gaussians(reading)  # (B, P, T)

        def told(chosen: Tensor | None) -> Tensor:
            """Logits (B, C, L, V) from C Gaussians, or (B, 1, L, V) from the whole video."""
            return core.to_words(core.reconstruct(reading, sentence, keys, chosen))

        logits = told(weights)
        nll = smoothed_nll(logits, batch.word_ids[:, None], counted[:, None])  # (B, P)
        whole = left = right = None
        if draws.hardness is not None:
            whole = smoothed_nll(told(None), batch.word_ids[:, None], counted[:, None])[:, 0]
            best = nll.argmin(dim=1)[:, None, None].expand(-1, 1, weights.shape[2])  # only these negatives are asked for
            pair = core.negatives(reading, draws.hardness)
            left, right = (
                smoothed_nll(told(beside.gather(1, best)), batch.word_ids[:, None], counted[:, None])[:, 0] for beside in pair
            )
        return Output(
            center=reading.center,
            width=reading.width,
            nll=nll,
            weights=weights,
            logits=logits,
            whole=whole,
            left=left,
            right=right,
        )

    def reconstructions(self, batch: Description, draws: Draws) -> dict[str, Tensor]:
        """Which words are reconstructed right (B, L), from the best proposal and from what lies beside it at full hardness."""
        reading = self.core.read(batch.video, batch.video_mask, batch.words, batch.word_mask)
        sentence, keys = self.core.incomplete(reading, draws.hidden), self.sentence_mask(batch)
        weights = self.core.gaussians(reading)
        best = self.forward(batch, draws).nll.argmin(dim=1)[:, None, None].expand(-1, 1, weights.shape[2])
        sides = {"positive": weights, **dict(zip(("left", "right"), self.core.negatives(reading, 1.0), strict=True))}
        right = {}
        for name, side in sides.items():
            logits = self.core.to_words(self.core.reconstruct(reading, sentence, keys, side.gather(1, best)))
            right[f"{name}.before"] = (logits[:, 0].argmax(dim=-1) == batch.word_ids) & batch.word_mask
        return right

    def sentence_mask(self, batch: Description) -> Tensor:
        """Start and words but the last column of the batch: (B, L)."""
        return torch.cat((torch.ones_like(batch.word_mask[:, :1]), batch.word_mask[:, :-1]), dim=1)

    def losses(self, output: Output, batch: Description) -> dict[str, Tensor]:  # noqa: ARG002
        """The terms by name, unweighted, and their weighted sum."""
        if output.whole is None or output.left is None or output.right is None:
            raise ValueError("losses need the output of a forward pass with a hardness in its draws")
        config, best = self.config, output.nll.amin(dim=1)
        terms = {
            "reconstruction": (best.mean() + output.whole.mean()) / 2,
            "rank_whole": hinge(best, output.whole, config.margin_1),
            "rank_left": hinge(best, output.left, config.margin_2),
            "rank_right": hinge(best, output.right, config.margin_2),
            "diversity": diversity(output.weights, config.diversity),
        }
        rank = terms["rank_whole"] + terms["rank_left"] + terms["rank_right"]
        return {**terms, "total": terms["reconstruction"] + config.alpha_1 * rank + config.alpha_2 * terms["diversity"]}

    def decode(self, output: Output, batch: Description) -> list[Proposals]:
        """The proposals of every row."""
        center, width, nll = (value.detach().float().cpu() for value in (output.center, output.width, output.nll))
        return [Proposals(center=center[i], width=width[i], nll=nll[i]) for i in range(len(batch))]
