"""CCR: counterfactual cross-modality reasoning for weakly supervised video moment localisation (Lv et al., ACM MM 2023).

CPL (cpl.py) reconstructs hidden words from a proposal; part of that is guessed from the other words. A side branch that sees the
query alone says how much, and is subtracted. For each branch * (proposals p, whole video r, negatives n1, n2):

    phi* = pi(chi(frames weighted by g*, q~)),   psi = pi(q~)                       equations 5, 6
    q* = rho(phi*, psi),   q^c = rho(mu, psi),   rectified: q* - q^c                7 to 10
    l* = NLL(q* - q^c) + NLL(q*),   i* = argmin_i NLL(q^{p_i} - q^c)                12   -> Model.rectified
    l_c = [m_1 + l^p - l^r]+ + [m_2 + l^p - l^n1]+ + [m_2 + l^p - l^n2]+            13, 11: l_div, 14: l_q = NLL(psi)
    L = w_rec (l^p + l^r) / 2 + alpha_1 l_c + w_q l_q + alpha_2 l_div + l_kl        15, and CPL's own reconstruction term
    l_kl = sum over * of KL(softmax q* || softmax q^c), which mu alone learns from  16

The released code is another method: four heads beside the shared pi, and no subtraction in loss or ranking  -> Model.released.
B batch, P proposals, L words, V classes, T steps of time.  Masks: True = real.  Shapes of logits: (B, P or 1, L, V).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.batch import Description, Proposals
from models.causal.counterfactual import Aggregation, Form
from models.layers.attention import check_heads
from models.layers.gaussian_proposals import GaussianProposals, Reading, hardness, hidden_words, word_noise
from models.losses.reconstruction import divergence, diversity, hinge, smoothed_nll
from models.method import Departures, Method

BRANCHES = ("positive", "whole", "left", "right")


@dataclass(frozen=True, kw_only=True)
class Deviations(Departures):
    """Where the released code departs from the paper; true = as released."""

    padded_grid: bool  # the grid is one in four of the padded frames: padding moves proposals; rows without frames pass
    end_class: bool  # sentences shorter than the batch's longest also predict class 0 after their last word
    side_heads: bool  # a head and a map of its own per branch; hinges of all pairs; plain logits rank


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method. What CPL has too means the same there."""

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
    w_rec: float = 1.0  # 0: equation 15 to the letter
    w_q: float = 1.0
    aggregation: Form = "product"  # rho; table 5
    counterfactual: Literal["uniform", "average", "random"] = "uniform"  # mu: learnt number, or other predictions; table 4
    query_trains_core: bool = False  # l_q also trains the words' projection (algorithm 1), not only pi (the text)
    deviations: Deviations | None = None  # None: the preset of `numerics`

    def __post_init__(self) -> None:
        Deviations.chosen(self.numerics, self.deviations)
        check_heads(self.hidden, self.heads)
        if self.deviates.side_heads and (self.aggregation, self.counterfactual) != ("product", "uniform"):
            raise ValueError(
                "aggregation and counterfactual are choices of the paper's formulation, not of side_heads (released)"
            )

    @property
    def deviates(self) -> Deviations:
        """The deviations in force."""
        return Deviations.chosen(self.numerics, self.deviations)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """hidden (B, L) bool: words that are hidden; hardness: of the negatives, scalar 0..1, None where nothing is to be learnt.

    others (B, P), (B, 1): "random" only, places in the flat (B, P, L) and (B, 1, L) whose prediction stands for mu.
    """

    hidden: Tensor
    hardness: Tensor | None
    others: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What all branches share: the first pass, the sentence with its hidden words, keys (B, L) and counted (B, L) bool."""

    reading: Reading
    sentence: Tensor
    keys: Tensor
    counted: Tensor


@dataclass(frozen=True, kw_only=True)
class Side:
    """One branch under `side_heads`: total effect a, difference d, query head t, assumed z, logits each; the loss and its parts.

    a, d (B, C, L, V), t, z (B, 1, L, V);  loss = kl + nll_query + nll_total (B, C), kl scalar

    The method reads `difference` and `loss`; nothing but the comparison with the reference's stored values reads the others.
    """

    difference: Tensor
    loss: Tensor
    total: Tensor
    query: Tensor
    assumed: Tensor
    kl: Tensor
    nll_query: Tensor
    nll_total: Tensor


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the network says.

    center, width, nll (B, P)     of the proposals; nll ranks them
    weights (B, P, T)             Gaussians on the grid
    rows                          what the losses need by name, (B,) or scalar; None without hardness
    """

    center: Tensor
    width: Tensor
    nll: Tensor
    weights: Tensor
    rows: dict[str, Tensor] | None


class Model(Method):
    """The network. `widths` has the entries video, words (channels) and classes (V). There are no confounders."""

    TASK = "weak_moments"

    def __init__(self, config: Config, *, widths: Mapping[str, int], confounders: Mapping[str, Tensor]) -> None:
        super().__init__(config, widths=widths, confounders=confounders)
        self.deviates, self.epoch, classes = config.deviates, float(config.epochs), widths["classes"]
        self.core = GaussianProposals(
            d_video=widths["video"],
            d_word=widths["words"],
            d_model=config.hidden,
            heads=config.heads,
            video_layers=config.video_layers,
            word_layers=config.word_layers,
            dropout=config.dropout,
            proposals=config.proposals,
            classes=classes,
            sigma=config.sigma,
            grid=None if self.deviates.padded_grid else config.grid,
        )
        self.aggregate = Aggregation(config.aggregation, classes=classes)
        if config.counterfactual == "uniform":
            self.mu = nn.Parameter(torch.zeros(()))
        if self.deviates.side_heads:
            self.side_heads = nn.ModuleDict({branch: nn.Linear(config.hidden, classes) for branch in BRANCHES})
            self.side_maps = nn.ModuleDict({branch: nn.Linear(classes, classes) for branch in BRANCHES})
            for head in self.side_heads.values():
                head.load_state_dict(self.core.to_words.state_dict())
        elif config.counterfactual == "uniform":
            self.apart = ("mu",)  # equation 16: an optimisation of its own

    def enter(self, epoch: int) -> None:
        """An epoch of training begins, the first is 1: the negatives grow with it."""
        self.epoch = float(epoch)

    def hardness(self, batch: Description) -> Tensor:
        """That of the negatives in this epoch; a tensor, so that a compiled pass stays the same from epoch to epoch."""
        value = hardness(self.epoch, self.config.epochs, self.config.gamma)
        return torch.tensor(value).to(batch.video.device, non_blocking=True)

    def draw(self, batch: Description, generator: torch.Generator) -> Draws:
        """Hidden words, and other predictions where they stand for mu, in training."""
        noise = torch.rand(batch.hiding.shape, generator=generator).to(batch.hiding.device, non_blocking=True)
        hidden = hidden_words(noise, batch.hiding, batch.word_mask)
        return Draws(hidden=hidden, hardness=self.hardness(batch), others=self.others(batch, [generator]))

    def draw_each(self, batch: Description, generators: Sequence[torch.Generator]) -> Draws:
        """The same where nothing is to be learnt: the hidden words of row b by generators[b] alone."""
        hidden = hidden_words(word_noise(batch.word_mask, generators), batch.hiding, batch.word_mask)
        return Draws(hidden=hidden, hardness=None, others=self.others(batch, generators))

    def others(self, batch: Description, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor] | None:
        """One real word of one row of the branch per row, as places in (B, P, L) and (B, 1, L); for "random" only."""
        if self.config.counterfactual != "random":
            return None
        size, count, length = len(batch), self.config.proposals, batch.word_mask.shape[1]
        real = batch.word_mask.float().cpu().flatten()
        share = size // len(generators) * (count + 1)  # per generator
        words = torch.cat([torch.multinomial(real, share, True, generator=generator) for generator in generators]).view(size, -1)
        proposal = torch.cat([torch.randint(count, (share,), generator=generator) for generator in generators]).view(size, -1)
        row, word = words // length, words % length
        device = batch.word_mask.device
        return ((row * count + proposal) * length + word)[:, :count].to(device), words[:, count:].to(device)

    def forward(self, batch: Description, draws: Draws) -> Output:
        """One pass. With a hardness also from the whole video and from the negatives, which only the losses need."""
        scene = self.scene(batch, draws)
        reading, weights = scene.reading, self.core.gaussians(scene.reading)  # (B, P, T)
        nll, rows = (self.released if self.deviates.side_heads else self.rectified)(scene, weights, batch.word_ids, draws)
        return Output(center=reading.center, width=reading.width, nll=nll, weights=weights, rows=rows)

    def scene(self, batch: Description, draws: Draws) -> Scene:
        """What the branches share."""
        reading = self.core.read(batch.video, batch.video_mask, batch.words, batch.word_mask)
        keys = torch.cat((torch.ones_like(batch.word_mask[:, :1]), batch.word_mask[:, :-1]), dim=1)
        sentence = self.core.incomplete(reading, draws.hidden)
        counted = keys if self.deviates.end_class else batch.word_mask
        return Scene(reading=reading, sentence=sentence, keys=keys, counted=counted)

    def reconstructions(self, batch: Description, draws: Draws) -> dict[str, Tensor]:
        """Which words are reconstructed right (B, L), from the best proposal and from what lies beside it at full hardness.

        before: by phi; after: by the rectified prediction, q* - q^c.
        """
        scene = self.scene(batch, draws)
        weights = self.core.gaussians(scene.reading)
        best = self.forward(batch, draws).nll.argmin(dim=1)[:, None, None].expand(-1, 1, weights.shape[2])
        sides = {"positive": weights, **dict(zip(("left", "right"), self.core.negatives(scene.reading, 1.0), strict=True))}
        right = {}
        for name, side in sides.items():
            phi = self.told(scene, side.gather(1, best))
            if self.deviates.side_heads:
                after = self.side(scene, name, phi, batch.word_ids).difference
            else:
                psi = self.core.to_words(scene.sentence)[:, None]
                everywhere = phi if self.config.counterfactual == "uniform" else self.told(scene, side)  # a number asks for none
                mu = self.counterfactual(scene, everywhere.detach(), draws)
                here = mu if mu.dim() < 4 else mu.gather(1, best[:, :, :1, None].expand(-1, -1, *mu.shape[2:]))
                after = self.aggregate(phi, psi) - self.aggregate(here, psi)
            for when, logits in (("before", phi), ("after", after)):
                right[f"{name}.{when}"] = (logits[:, 0].argmax(dim=-1) == batch.word_ids) & batch.word_mask
        return right

    def told(self, scene: Scene, weights: Tensor | None) -> Tensor:
        """phi (B, C, L, V) from C Gaussians (B, C, T), or (B, 1, L, V) from the whole video."""
        return self.core.to_words(self.core.reconstruct(scene.reading, scene.sentence, scene.keys, weights))

    def rectified(self, scene: Scene, weights: Tensor, words: Tensor, draws: Draws) -> tuple[Tensor, dict[str, Tensor] | None]:
        """NLL of the rectified prediction (B, P), and the rows of the losses."""
        psi = self.core.to_words(scene.sentence)[:, None]  # (B, 1, L, V)
        phi = self.told(scene, weights)
        nll, plain, kl = self.reconstruction(scene, phi, phi, psi, words, draws)
        if draws.hardness is None:
            return nll, None
        best = nll.argmin(dim=1)[:, None]  # (B, 1): i*
        rows = {"positive": (nll + plain).gather(1, best)[:, 0]}
        whole = self.told(scene, None)
        nll_whole, plain_whole, kl_whole = self.reconstruction(scene, whole, whole, psi, words, draws)
        rows["whole"], total = (nll_whole + plain_whole)[:, 0], kl.mean() + kl_whole.mean()
        pair = self.core.negatives(scene.reading, draws.hardness)
        for name, beside in zip(("left", "right"), pair, strict=True):
            phi, everywhere = self.negatives(scene, beside, best)
            nll_beside, plain_beside, kl_beside = self.reconstruction(scene, phi, everywhere, psi, words, draws, best)
            rows[name], total = (nll_beside + plain_beside)[:, 0], total + kl_beside.mean()
        own = psi if self.config.query_trains_core else self.core.to_words(scene.sentence.detach())[:, None]
        rows["query"] = smoothed_nll(own, words[:, None], scene.counted[:, None])[:, 0]
        if self.config.counterfactual == "uniform":
            rows["kl"] = total
        return nll, rows

    def negatives(self, scene: Scene, weights: Tensor, best: Tensor) -> tuple[Tensor, Tensor]:
        """phi of the negative beside the best proposal (B, 1, L, V), and without gradient of all of them (B, P, L, V).

        The loss asks for the best one only; all of them are what mu, or what stands for it, is learnt from.
        """
        at = best[..., None]
        phi = self.told(scene, weights.gather(1, at.expand(-1, -1, weights.shape[2])))
        with torch.no_grad():
            everywhere = self.told(scene, weights)
            place = at[..., None].expand_as(phi)
            return phi, everywhere.scatter(1, place, phi.detach().to(everywhere.dtype))

    def reconstruction(
        self,
        scene: Scene,
        phi: Tensor,
        everywhere: Tensor,
        psi: Tensor,
        words: Tensor,
        draws: Draws,
        at: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Of one branch: NLL of q - q^c and NLL of q, of phi's rows (B, C), and the divergence of all rows (B, P or 1).

        everywhere     phi of all rows of the branch; `at` (B, C) says which of them phi has, None: all
        """
        mu = self.counterfactual(scene, everywhere.detach(), draws)
        here = mu if at is None or mu.dim() < 4 else mu.gather(1, at[..., None, None].expand(-1, -1, *mu.shape[2:]))
        total, target, counted = self.aggregate(phi, psi), words[:, None], scene.counted[:, None]
        direct = self.aggregate(here.detach(), psi)
        nll, plain = smoothed_nll(total - direct, target, counted), smoothed_nll(total, target, counted)
        if self.config.counterfactual != "uniform" or draws.hardness is None:
            return nll, plain, nll.new_zeros(())
        with torch.no_grad():
            predicted = total if at is None else self.aggregate(everywhere, psi)
        return nll, plain, divergence(predicted.detach(), self.aggregate(mu, psi.detach(), frozen=True), counted)

    def counterfactual(self, scene: Scene, everywhere: Tensor, draws: Draws) -> Tensor:
        """mu of a branch whose predictions are `everywhere` (B, C, L, V): (1,), (V,), or (B, C, 1, V)."""
        if self.config.counterfactual == "uniform":
            return self.mu[None]
        if self.config.counterfactual == "average":
            real = scene.counted[:, None, :, None]
            return everywhere.masked_fill(~real, 0.0).sum(dim=(0, 1, 2)) / (real.sum() * everywhere.shape[1])
        assert draws.others is not None
        places = draws.others[0 if everywhere.shape[1] == self.config.proposals else 1]
        return everywhere.flatten(0, 2)[places][:, :, None]

    def released(self, scene: Scene, weights: Tensor, words: Tensor, draws: Draws) -> tuple[Tensor, dict[str, Tensor] | None]:
        """NLL of the plain prediction (B, P), and the rows of the losses."""
        target, counted = words[:, None], scene.counted[:, None]
        phi = {"positive": self.told(scene, weights)}
        nll = smoothed_nll(phi["positive"], target, counted)
        if draws.hardness is None:
            return nll, None
        phi["whole"] = self.told(scene, None)
        pair = self.core.negatives(scene.reading, draws.hardness)
        phi["left"], phi["right"] = (self.told(scene, beside) for beside in pair)
        best = nll.argmin(dim=1)[:, None]
        rows: dict[str, Tensor] = {}
        for branch, logits in phi.items():
            values = {
                branch: smoothed_nll(logits, target, counted),
                f"side_{branch}": self.side(scene, branch, logits, words).loss,
            }
            rows |= {name: (value if branch == "whole" else value.gather(1, best))[:, 0] for name, value in values.items()}
        return nll, rows

    def side(self, scene: Scene, branch: str, phi: Tensor, words: Tensor) -> Side:
        """The side branch beside phi (B, C, L, V): computed once per query, whatever C is."""
        psi = self.side_heads[branch](scene.sentence)[:, None]  # (B, 1, L, V)
        gate, target, counted = psi.sigmoid(), words[:, None], scene.counted[:, None]
        total, query = phi * gate, self.side_maps[branch](psi)
        assumed = self.mu * gate.detach()
        # a cross-entropy over padding too, divided by V: not the divergence of equation 16
        known, classes = total.detach().float().softmax(dim=-1).mean(dim=1, keepdim=True), phi.shape[-1]
        kl = -(known * assumed.float().log_softmax(dim=-1)).sum() / (len(phi) * classes)
        nll_query, nll_total = smoothed_nll(query, target, counted), smoothed_nll(total, target, counted)
        return Side(
            total=total,
            difference=total - self.mu * gate,
            query=query,
            assumed=assumed,
            kl=kl,
            nll_query=nll_query,
            nll_total=nll_total,
            loss=kl + nll_query + nll_total,
        )

    def losses(self, output: Output, batch: Description) -> dict[str, Tensor]:  # noqa: ARG002
        """The terms by name, unweighted, and their weighted sum."""
        if output.rows is None:
            raise ValueError("losses need the output of a forward pass with a hardness in its draws")
        config, rows = self.config, output.rows
        best, whole = rows["positive"], rows["whole"]
        terms = {
            "reconstruction": (best.mean() + whole.mean()) / 2,
            "rank_whole": hinge(best, whole, config.margin_1),
            "rank_left": hinge(best, rows["left"], config.margin_2),
            "rank_right": hinge(best, rows["right"], config.margin_2),
            "diversity": diversity(output.weights, config.diversity),
        }
        if self.deviates.side_heads:
            side = {branch: rows[f"side_{branch}"] for branch in BRANCHES}
            terms["reconstruction"] = (terms["reconstruction"] + (side["positive"].mean() + side["whole"].mean()) / 2) / 2
            for branch, margin in (("whole", config.margin_1), ("left", config.margin_2), ("right", config.margin_2)):
                # of all pairs of samples, by a missing squeeze there
                terms[f"side_rank_{branch}"] = hinge(side["positive"][:, None], side[branch][None], margin)
        else:
            terms["query"] = rows["query"].mean()
            if "kl" in rows:
                terms["divergence"] = rows["kl"]
        rank = torch.stack([term for name, term in terms.items() if "rank" in name]).sum()
        total = config.alpha_1 * rank + config.alpha_2 * terms["diversity"]
        if self.deviates.side_heads:
            return {**terms, "total": total + terms["reconstruction"]}
        total = total + config.w_rec * terms["reconstruction"] + config.w_q * terms["query"]
        return {**terms, "total": total + terms["divergence"] if "divergence" in terms else total}

    def decode(self, output: Output, batch: Description) -> list[Proposals]:
        """The proposals of every row."""
        center, width, nll = (value.detach().float().cpu() for value in (output.center, output.width, output.nll))
        return [Proposals(center=center[i], width=width[i], nll=nll[i]) for i in range(len(batch))]
