"""IVRD: interventional video relation detection (Li, Yang, Shang, Chua; ACM MM 2021).

Predicates are long-tailed, and a detector learns to say what is frequent. So a dictionary of predicate prototypes stands between
a pair of trajectories and its predicate, and every prototype is considered with the weight that the prior gives it:

    T = encode(trajectory),  o = Wo T,  x = ReLU(Wp [T_s; T_o; r_so])               models.layers.trajectories   -> Model.encode
    P(y | do(T_s, T_o)) ~ sum_z P(y | T_s, T_o, z) P(z),  P(z) uniform               models.causal.prototypes     -> Model.forward
    z_p <- m z_p + (1 - m) mean of the x labelled p, after each step                                             -> Model.remember
    L = XE(o, class) + lambda BCE(y, predicates)                                                                 -> Model.losses

The paper's formula is the second line; features, maintenance and losses are this project's design, for no code was published.
S segments, N proposals, T steps, Q pairs of a segment, K of them drawn, C classes, P predicates, D channels.  Masks: True = real.
Recipe: Adam, rate 1e-4, a tenth of it after 15 of 20 epochs, 32 segments a batch, gradients clipped at 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batch import PairScores, Relations
from models.causal.prototypes import Expectation, Intervention, Prior, label_sums, over_processes, running_mean
from models.layers.trajectories import GEOMETRY, TrajectoryEncoder, relative_geometry
from models.losses.classification import one_of_many
from models.method import Method

CERTAIN = 1e-6  # probabilities of the exact expectation are kept this far from 0 and 1


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method.

    classes, predicates      C, P: names in the data set's annotations
    d_step, hidden, d_pair   channels of one step, of the LSTM per direction, of a pair (D)
    prior, expectation       P(z), and where the expectation is taken; prior none: no dictionary, the baseline
    maintenance, momentum    running mean after each step, or the exact mean over the training set at each epoch's end
    normalised               prototypes are divided by their length before use
    w_pred                   lambda
    negatives                unlabelled pairs per labelled one, at most
    pairs                    pairs of a segment that one step trains on, at most
    object_scores            who names the objects at inference: the detector, the branch Wo, or the mean of both
    """

    classes: int
    predicates: int
    d_step: int
    hidden: int
    d_pair: int
    dropout: float
    prior: Prior
    expectation: Expectation
    maintenance: Literal["running", "epoch"]
    momentum: float
    normalised: bool
    w_pred: float
    negatives: int
    pairs: int
    object_scores: Literal["detector", "branch", "average"]

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}, must be at least 0 and below 1")
        if min(self.classes, self.predicates, self.pairs) < 1 or self.negatives < 0:
            raise ValueError("classes, predicates and pairs must be at least 1, negatives not negative")


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Which pairs a step trains on: chosen (S, K) int64 places among the Q pairs, mask (S, K) bool."""

    chosen: Tensor
    mask: Tensor


@dataclass(frozen=True, kw_only=True)
class Output:
    """What one pass computes.

    objects (S, N, C)                                logits
    x (S, K, D), predicates (S, K, P)                of the chosen pairs; predicates are log-odds or, for "exact", probabilities
    chosen (S, K), mask (S, K)                       as in Draws
    """

    objects: Tensor
    x: Tensor
    predicates: Tensor
    chosen: Tensor
    mask: Tensor


class Model(Method):
    """`widths` has the entry video: channels of the appearance."""

    TASK = "relations"
    prototypes: Tensor
    prototype_count: Tensor

    def __init__(self, config: Config, *, widths: Mapping[str, int], confounders: Mapping[str, Tensor]) -> None:
        super().__init__(config, widths=widths, confounders=confounders)
        self.traj = TrajectoryEncoder(d_appearance=widths["video"], d_step=config.d_step, hidden=config.hidden)
        self.obj_head = nn.Linear(2 * config.hidden, config.classes)
        self.pair = nn.ModuleDict({"proj": nn.Linear(4 * config.hidden + GEOMETRY, config.d_pair)})
        self.inter = Intervention(d_model=config.d_pair, classes=config.predicates, expectation=config.expectation)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("prototypes", torch.zeros(config.predicates, config.d_pair))
        self.register_buffer("prototype_count", torch.zeros(config.predicates))

    def draw(self, batch: Relations, generator: torch.Generator) -> Draws:
        """Labelled pairs, and unlabelled ones drawn uniformly; of both at most `pairs` per segment, labelled ones first.

        Raises ValueError without labels.
        """
        if batch.labels is None:
            raise ValueError("training needs a batch with labels")
        labelled = batch.labels.any(dim=-1) & batch.pairs_mask  # (S, Q)
        chance = torch.rand(labelled.shape, generator=generator).to(labelled.device, non_blocking=True)
        rank = chance + (~labelled).float() + 2.0 * (~batch.pairs_mask).float()  # labelled < unlabelled < padding
        chosen = rank.argsort(dim=1)[:, : self.config.pairs]
        wanted = labelled.sum(dim=1) * (1 + self.config.negatives)
        kept = wanted.minimum(batch.pairs_mask.sum(dim=1))[:, None]
        return Draws(chosen=chosen, mask=torch.arange(chosen.shape[1], device=chosen.device) < kept)

    def encode(self, batch: Relations, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """chosen (S, K) -> trajectories (S, N, 2 hidden), pair features x (S, K, D)."""
        segments, count, steps = batch.present.shape
        frame = batch.frame[:, None].expand(-1, count, -1)
        flat = self.traj(
            batch.appearance.flatten(0, 1), batch.boxes.flatten(0, 1), batch.present.flatten(0, 1), frame.flatten(0, 1)
        )
        trajectories = self.dropout(flat).view(segments, count, -1)
        places = batch.pairs.gather(1, chosen[..., None].expand(-1, -1, 2))  # (S, K, 2)
        where = torch.arange(segments, device=places.device)[:, None]
        subject, other = places.unbind(dim=-1)
        both = batch.present[where, subject] & batch.present[where, other]  # (S, K, T)
        boxes = batch.boxes[where, subject].flatten(0, 1), batch.boxes[where, other].flatten(0, 1)
        geometry = relative_geometry(*boxes, both.view(-1, steps)).view(segments, -1, GEOMETRY)
        joined = torch.cat((trajectories[where, subject], trajectories[where, other], geometry), dim=-1)
        return trajectories, self.pair["proj"](joined).relu()

    def forward(self, batch: Relations, draws: Draws | None = None) -> Output:
        """Classes of all proposals, predicates of the drawn pairs; without draws, of all pairs."""
        if draws is None:
            every = torch.arange(batch.pairs.shape[1], device=batch.pairs.device).expand(len(batch), -1)
            draws = Draws(chosen=every, mask=batch.pairs_mask)
        trajectories, x = self.encode(batch, draws.chosen)
        # A copy: `remember` writes into the buffer before the backward pass reads what the attention saved.
        known = F.normalize(self.prototypes, dim=-1) if self.config.normalised else self.prototypes.clone()
        predicates = self.inter(self.dropout(x).flatten(0, 1), known, self.prototype_count, self.config.prior)
        return Output(
            objects=self.obj_head(trajectories),
            x=x,
            predicates=predicates.view(*x.shape[:2], -1),
            chosen=draws.chosen,
            mask=draws.mask,
        )

    def losses(self, output: Output, batch: Relations) -> dict[str, Tensor]:
        """obj, the mean over true objects; pred, the mean over drawn pairs of the sum over predicates; the weighted total."""
        if batch.object_class is None:
            raise ValueError("losses need a batch with labels")
        predicates = output.predicates.float()
        truth = self._labels(output, batch).to(predicates.dtype)
        counted = (batch.object_class >= 0) & batch.proposals_mask
        obj = one_of_many(output.objects.float().flatten(0, 1), batch.object_class.flatten(), counted.flatten())
        if self.config.expectation == "exact":
            entropy = F.binary_cross_entropy(predicates.clamp(CERTAIN, 1 - CERTAIN), truth, reduction="none")
        else:
            entropy = F.binary_cross_entropy_with_logits(predicates, truth, reduction="none")
        pred = entropy.sum(dim=-1).masked_fill(~output.mask, 0.0).sum() / output.mask.sum().clamp(min=1)
        return {"obj": obj, "pred": pred, "total": obj + self.config.w_pred * pred}

    def _labels(self, output: Output, batch: Relations) -> Tensor:
        """(S, K, P) bool: true predicates of the chosen pairs, none on padding."""
        if batch.labels is None:
            raise ValueError("a batch with labels is needed")
        labels = batch.labels.gather(1, output.chosen[..., None].expand(-1, -1, batch.labels.shape[-1]))
        return labels & output.mask[..., None]

    @torch.no_grad()
    def remember(self, output: Output, batch: Relations) -> None:
        """Move the prototypes of the predicates in the batch; the pass itself has used them as they were."""
        if self.config.maintenance == "running" and self.config.prior != "none":
            found = label_sums(output.x.detach().flatten(0, 1).float(), self._labels(output, batch).flatten(0, 1))
            sums, hits = over_processes(*found)
            momentum = self.config.momentum
            self.prototypes.copy_(running_mean(self.prototypes, self.prototype_count, sums, hits, momentum=momentum))
            self.prototype_count.add_(hits)

    @torch.no_grad()
    def settle(self, batches: Iterator[Relations]) -> None:
        """Maintenance per epoch: the mean of every labelled training pair with the weights of the epoch's end."""
        if self.config.maintenance != "epoch" or self.config.prior == "none":
            return
        sums, hits = torch.zeros_like(self.prototypes), torch.zeros_like(self.prototype_count)
        for batch in batches:
            output = self(batch)
            more, count = label_sums(output.x.flatten(0, 1).float(), self._labels(output, batch).flatten(0, 1))
            sums, hits = sums + more, hits + count
        self.prototypes.copy_(sums / hits.clamp(min=1)[:, None])
        self.prototype_count.copy_(hits)

    @torch.no_grad()
    def decode(self, output: Output, batch: Relations) -> list[PairScores]:
        """Class and predicate probabilities of the real proposals and pairs, on the CPU."""
        branch = output.objects.float().softmax(dim=-1)
        objects = {"detector": batch.detector, "branch": branch, "average": (branch + batch.detector) / 2}[
            self.config.object_scores
        ].cpu()
        exact = self.config.expectation == "exact"
        predicates = (output.predicates.float() if exact else output.predicates.float().sigmoid()).cpu()
        proposals, real, pairs = batch.proposals_mask.cpu(), output.mask.cpu(), batch.pairs.cpu()
        places = pairs.gather(1, output.chosen.cpu()[..., None].expand(-1, -1, 2))
        return [
            PairScores(objects=objects[i][proposals[i]], pairs=places[i][real[i]], predicates=predicates[i][real[i]])
            for i in range(len(batch))
        ]
