"""EIGV: equivariant and invariant grounding for video question answering (Li, Wang, Xiao, Chua; ACM MM 2022).

Like IGV it splits clips into causal ones c and environment e, here for questions with M candidates, each read together with the
question. Training mixes every sample with a partner, part by part, and contrasts the mixture with disturbed copies of itself:

    x~, q~, a~ = mixtures of clips, right candidates, answers (shares l for c, q, a and m for e)      models.causal.equivariant
    y = head(join(each candidate of both samples, watch x~))                                            -> Model.intervene
    anchor = project(join(q~, watch x~)),   positive: environment of x~ foreign
    negatives: causal clips of x~ foreign; question of another sample                                   -> Model.disturb
    L = KL(a~ || y) + w_nce contrast(anchor, positive, negatives)                                       -> Model.losses

B batch, M candidates, T clips, L words, N copies, D channels.  Masks: True = real.  At inference the whole video answers, and the
split for the best candidate says what was looked at. Every departure of the released code is one field of `Deviations`.
Recipe: Adam, rate 5e-5 halved on plateaus of the validation accuracy, batches of 128, 35 epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.backbones.question_backbones import Backbone, build_backbone
from models.backbones.question_video import Encoded
from models.batch import Answer, Questions
from models.causal.equivariant import beta_share, mix, mix_answers, mix_clips, other_samples, permuted_samples
from models.causal.invariant import ClipBank, Grounding, Split, gumbel_noise, never_empty, replace, undivided
from models.losses.alignment import against_draws
from models.losses.classification import one_of_many
from models.losses.invariance import from_target
from models.method import Departures, Method


@dataclass(frozen=True, kw_only=True)
class Deviations(Departures):
    """Where the released code departs from the equations: one field each, true = as released."""

    probabilities_as_logits: bool  # the split adds Gumbel noise to probabilities: near to a toss of a coin
    padded_pool: bool  # the pool's softmax counts padding: batch partners change a sample's answer
    empty_causal_part: bool  # a sample may have no causal clip; then its first negative is the anchor itself
    all_clips_real: bool  # the video mask is ignored
    own_length: bool  # mixed questions are cut to the own length
    tangled_negatives: bool  # negatives are read in the wrong order: most are those of other samples
    permuted_questions: bool  # a "foreign" question may be the own one


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method. `numerics` chooses a preset of deviations; `deviations` replaces the preset."""

    numerics: Literal["corrected", "released"]
    backbone: Backbone
    tau: float  # temperature of the split
    tau_nce: float  # temperature of the contrast
    w_nce: float
    negatives: int  # N: copies of each kind of negative
    share_causal: float  # a: l ~ Beta(a, a), one draw per batch
    share_environment: float  # the same for m
    answer_from_causal: bool = False  # at inference each candidate is judged by its own causal clips alone
    grounding: bool = True  # false: the backbone alone with cross-entropy, all clips answer; the rest then has no meaning
    deviation: float | None = None  # ours: of the split's logits over time, so that no video is all causal; None: as they come
    mix: bool = True  # false: nobody is mixed with anybody, only the contrast is left
    contrast: Literal["both", "clips", "questions"] = "both"  # which copies are negatives; w_nce 0: none of them counts
    warm_up: int = 0  # ours: epochs at first in which the backbone learns alone, as without grounding; then mixing begins
    deviations: Deviations | None = None  # None: the preset of `numerics`

    def __post_init__(self) -> None:
        Deviations.chosen(self.numerics, self.deviations)
        if self.negatives < 1 or min(self.share_causal, self.share_environment) <= 0:
            raise ValueError("expected at least one negative, and positive share_causal and share_environment")

    @property
    def deviates(self) -> Deviations:
        """The deviations in force."""
        return Deviations.chosen(self.numerics, self.deviations)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What training needs at random.

    causal, environment           scalars: shares l and m
    partner (B,)                  int64: with whom each sample is mixed
    gumbel (B, 2, T)              noise of the split; gumbel_mixed: that of the mixture; row 0 causal
    positive (B, T)               int64 rows of the bank in place of the mixture's environment
    negative (N B, T)             the same in place of its causal clips; row = copy * B + sample
    question (N B,)               int64: whose question each copy is asked instead; None: with nobody else in the batch
    """

    causal: Tensor
    environment: Tensor
    partner: Tensor
    gumbel: Tensor
    gumbel_mixed: Tensor
    positive: Tensor
    negative: Tensor
    question: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The mixed samples: mixed clips (B, T, D_v) and their mask, as they were read, the mixed question, target (B, 2 M)."""

    clips: Tensor
    mask: Tensor | None
    video: Encoded
    question: Encoded
    target: Tensor


@dataclass(frozen=True, kw_only=True)
class Views:
    """Projections anchor, positive (B, D) and negatives (B, 2 N or N, D), not normalised; the split of the mixture."""

    split: Split
    anchor: Tensor
    positive: Tensor
    negatives: Tensor


@dataclass(frozen=True, kw_only=True)
class Output:
    """scores (B, M), with draws (B, 2 M): own candidates, then the partner's; split: of the best, or the right one with draws."""

    scores: Tensor
    split: Split
    mixture: Mixture | None = None
    views: Views | None = None


class Model(Method):
    """`widths` has the entries video and query. `bank` is given by whoever trains; evaluation needs none."""

    TASK = "questions"
    bank: ClipBank | None = None
    warming = False  # in one of the epochs of `warm_up`

    def __init__(self, config: Config, *, widths: Mapping[str, int], confounders: Mapping[str, Tensor]) -> None:
        super().__init__(config, widths=widths, confounders=confounders)
        self.deviates = config.deviates
        self.backbone = build_backbone(
            config.backbone, d_video=widths["video"], d_query=widths["query"], padded_pool=self.deviates.padded_pool
        )
        width = self.backbone.width
        self.grounding = self.project = None
        if config.grounding:
            self.grounding = Grounding(
                width,
                tau=config.tau,
                probabilities_as_logits=self.deviates.probabilities_as_logits,
                may_be_empty=self.deviates.empty_causal_part,
                deviation=config.deviation,
            )
            self.project = nn.Sequential(nn.ReLU(), nn.Linear(width, width))
        self.head = nn.Linear(width, 1)

    def enter(self, epoch: int) -> None:
        """Once the first epochs are over, samples are mixed."""
        self.warming = epoch <= self.config.warm_up

    def draw(self, batch: Questions, generator: torch.Generator) -> Draws | None:
        """Shares, partners, noise, foreign clips from neither video of a mixture, foreign questions; None without grounding.

        Raises ValueError without a bank, or with fewer than three videos in it.
        """
        if self.grounding is None or self.warming:
            return None
        if self.bank is None or batch.video_index is None:
            raise ValueError("training needs the clips of all training videos (model.bank) and batch.video_index")
        if len(self.bank) < 3:
            raise ValueError(f"clip bank: {len(self.bank)} training videos are too few for EIGV, it needs three or more")
        size, length, copies = len(batch), batch.video.shape[1], self.config.negatives
        device = batch.video.device
        partner = torch.randperm(size, generator=generator) if self.config.mix else torch.arange(size)
        partner = partner.to(device, non_blocking=True)
        videos = torch.stack((batch.video_index, batch.video_index[partner]), dim=1)  # (B, 2)
        question = None
        if self.config.contrast == "clips":
            pass
        elif self.deviates.permuted_questions:
            question = permuted_samples(copies, size, generator)
        elif size > 1:
            question = other_samples(copies, size, generator)
        concentrations = (self.config.share_causal, self.config.share_environment)
        shares = [beta_share(a, generator) if self.config.mix else 1.0 for a in concentrations]
        floats = (*map(torch.tensor, shares), *(gumbel_noise((size, 2, length), generator) for _ in range(2)))
        rows = (self.bank.draw(videos, length, generator), self.bank.draw(videos.repeat(copies, 1), length, generator))
        causal, environment, gumbel, gumbel_mixed = (value.to(batch.video, non_blocking=True) for value in floats)
        return Draws(
            causal=causal,
            environment=environment,
            partner=partner,
            gumbel=gumbel,
            gumbel_mixed=gumbel_mixed,
            positive=rows[0],
            negative=rows[1],
            question=None if question is None else question.to(device, non_blocking=True),
        )

    def forward(self, batch: Questions, draws: Draws | None = None) -> Output:
        """Scores of the candidates on the whole video; with draws those of mixed samples, and the views to contrast."""
        assert batch.candidates is not None
        assert batch.candidates_mask is not None
        size, candidates = batch.candidates.shape[:2]
        mask = None if self.deviates.all_clips_real else batch.video_mask
        texts = self.backbone.read(batch.candidates.flatten(end_dim=1), batch.candidates_mask.flatten(end_dim=1))  # B M rows
        video = self.backbone.watch(batch.video, mask)
        first = torch.arange(size, device=batch.video.device) * candidates  # row of each sample's first candidate
        if draws is not None:
            return self.intervene(batch, draws, texts, video, mask, first)
        sample = torch.arange(size, device=first.device).repeat_interleave(candidates)
        if self.grounding is None:
            scores = self.head(self.backbone.join(texts, video[sample])).view(size, candidates)
            return Output(scores=scores, split=undivided(torch.ones_like(batch.video_mask) if mask is None else mask))
        if self.config.answer_from_causal:
            split = self.grounding(texts.summary, video.rows[sample], None if mask is None else mask[sample], None)
            kept = never_empty(split.causal > 0.5, None if mask is None else mask[sample])
            seen = self.backbone.watch(batch.video[sample] * split.causal[..., None], kept)
        else:
            seen = video[sample]
        scores = self.head(self.backbone.join(texts, seen)).view(size, candidates)
        best = texts.summary[first + scores.argmax(dim=1)]
        return Output(scores=scores, split=self.grounding(best, video.rows, mask, None))

    def intervene(
        self, batch: Questions, draws: Draws, texts: Encoded, video: Encoded, mask: Tensor | None, first: Tensor
    ) -> Output:
        """Mix with the partners; texts has B M rows, first (B,) is the first of each sample."""
        assert batch.answer is not None
        candidates = len(texts.rows) // len(first)
        assert self.grounding is not None
        partner = draws.partner
        right = texts[first + batch.answer]
        split = self.grounding(right.summary, video.rows, mask, draws.gumbel)
        clips = mix_clips(batch.video, split, partner, causal=draws.causal, environment=draws.environment)
        either = None if mask is None else mask | mask[partner]
        mixed = self.backbone.watch(clips, either)
        rows = torch.stack((first, first[partner]), dim=1)[..., None] + torch.arange(candidates, device=first.device)  # (B, 2, M)
        sample = torch.arange(len(first), device=first.device).repeat_interleave(2 * candidates)
        scores = self.head(self.backbone.join(texts[rows.flatten()], mixed[sample])).view(len(first), 2 * candidates)
        mixture = Mixture(
            clips=clips,
            mask=either,
            video=mixed,
            question=self.mixed_question(right, draws),
            target=mix_answers(batch.answer, partner, draws.causal, candidates),
        )
        return Output(scores=scores, split=split, mixture=mixture, views=self.disturb(mixture, draws))

    def mixed_question(self, right: Encoded, draws: Draws) -> Encoded:
        """The right candidates, mixed after they were read."""
        other = right[draws.partner]
        own = self.deviates.own_length
        return Encoded(
            rows=mix(right.rows, other.rows, draws.causal),
            summary=mix(right.summary, other.summary, draws.causal),
            mask=right.mask if own else right.mask | other.mask,
            counted=right.counted if own else right.counted | other.counted,
        )

    def disturb(self, mixture: Mixture, draws: Draws) -> Views:
        """The mixture and its copies: environment foreign, causal clips foreign, question foreign."""
        if self.bank is None:
            raise ValueError("foreign clips were drawn, but model.bank is not set")
        assert self.grounding is not None
        question, clips, mask, size = mixture.question, mixture.clips, mixture.mask, len(mixture.clips)
        split = self.grounding(question.summary, mixture.video.rows, mask, draws.gumbel_mixed)
        foreign = self.bank.take(draws.positive, clips)
        positive = self.backbone.watch(replace(clips, 1 - split.environment, foreign), mask)
        copy = torch.arange(size, device=clips.device).repeat(len(draws.negative) // size)  # (N B,): the sample of each row
        negatives = []
        if self.config.contrast != "questions" or draws.question is None:
            foreign = self.bank.take(draws.negative, clips)
            negative = self.backbone.watch(
                replace(clips[copy], (1 - split.causal)[copy], foreign), None if mask is None else mask[copy]
            )
            negatives.append(self.view(question[copy], negative))
        if draws.question is not None:
            negatives.append(self.view(question[draws.question], mixture.video[copy]))
        rows = torch.cat(negatives)  # (2 N B, D), copy by copy
        if self.deviates.tangled_negatives:
            rows = rows.view(size, -1, rows.shape[-1])
        else:
            rows = rows.view(-1, size, rows.shape[-1]).transpose(0, 1)
        return Views(
            split=split, anchor=self.view(question, mixture.video), positive=self.view(question, positive), negatives=rows
        )

    def view(self, question: Encoded, video: Encoded) -> Tensor:
        """(B, D)."""
        assert self.project is not None
        return self.project(self.backbone.join(question, video))

    def losses(self, output: Output, batch: Questions) -> dict[str, Tensor]:
        """xe, nce and the weighted total; without grounding or warming up xe alone, without answers -1."""
        if self.grounding is None or self.warming:
            if batch.answer is None:
                raise ValueError("losses need a batch with answers")
            xe = one_of_many(output.scores, batch.answer, batch.answer >= 0)
            return {"xe": xe, "total": xe} if self.grounding is None else {"xe": xe, "nce": xe.new_zeros(()), "total": xe}
        if output.mixture is None or output.views is None:
            raise ValueError("losses need an output with draws")
        xe = from_target(output.mixture.target, output.scores).mean()
        views = output.views
        nce = against_draws(views.anchor, views.positive, views.negatives, temperature=self.config.tau_nce)
        return {"xe": xe, "nce": nce, "total": xe + self.config.w_nce * nce}

    @torch.no_grad()
    def decode(self, output: Output, batch: Questions) -> list[Answer]:
        """The best of the own candidates (the first among equals), and its causal clips with their scores."""
        assert batch.candidates is not None
        scores = output.scores[:, : batch.candidates.shape[1]].float().cpu()
        mask = torch.ones_like(batch.video_mask) if self.deviates.all_clips_real else batch.video_mask
        weights, chosen, mask = output.split.causal_score.float().cpu(), (output.split.causal > 0.5).cpu(), mask.cpu()
        return [
            Answer(answer=best, scores=scores[i], weights=weights[i][mask[i]], chosen=chosen[i][mask[i]])
            for i, best in enumerate(scores.argmax(dim=1).tolist())
        ]
