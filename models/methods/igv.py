"""IGV: invariant grounding for video question answering (Li, Wang, Xiao, Ji, Chua; CVPR 2022).

A question splits the clips of a video into a causal part c and an environment e. The answer must follow from c, must not change
when e is exchanged for clips of other videos, and must not be told by e alone:

    q = read(words),  v = watch(clips),  c, e = split(clips; q, v)             models.backbones, models.causal.invariant
    y_c = head(join(q, watch c)),   y_e = head(join(q, watch e))                                        -> Model.answer
    y_do = head(join(q, watch [c in place, e foreign]))                                                 -> Model.forward
    L = XE(y_c, a) + w_do KL(y_c || y_do) + w_env KL(uniform || y_e)                                    -> Model.losses

B batch, T clips, L words, A answers of the vocabulary (class A: unknown), D channels.  Masks: True = real.
Every departure of the released code from this is one field of `Deviations`. Recipe: Adam, rate 1e-4 halved on plateaus of the
validation accuracy, batches of 256, 60 epochs.
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
from models.causal.invariant import ClipBank, Grounding, Split, gumbel_noise, never_empty, replace, undivided
from models.losses.classification import one_of_many
from models.losses.invariance import divergence, ignorance
from models.method import Departures, Method

SEED_OF_EVALUATION = 0


@dataclass(frozen=True, kw_only=True)
class Deviations(Departures):
    """Where the released code departs from the equations: one field each, true = as released."""

    probabilities_as_logits: bool  # the split adds Gumbel noise to probabilities: near to a toss of a coin
    padded_pool: bool  # the pool's softmax counts padding: batch partners change a sample's answer
    empty_causal_part: bool  # a sample may have no causal clip; then blank clips answer, and nothing is exchanged
    empty_environment_counts: bool  # a sample without environment is trained to be undecided on blank clips
    all_clips_real: bool  # the video mask is ignored
    noise_in_evaluation: bool  # without draws the split is still drawn, here from a fixed seed, not decided


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method. `numerics` chooses a preset of deviations; `deviations` replaces the preset."""

    numerics: Literal["corrected", "released"]
    backbone: Backbone
    answers: int  # A: classes of the vocabulary, "unknown" not counted
    tau: float  # temperature of the split; moves its gradient only
    w_do: float
    w_env: float
    grounding: bool = True  # false: the backbone alone, all clips answer; then w_do and w_env have no meaning
    deviation: float | None = None  # ours: of the split's logits over time, so that no video is all causal; None: as they come
    warm_up: int = (
        0  # ours: epochs at first in which the backbone learns alone, as without grounding; the split then starts to learn
    )
    deviations: Deviations | None = None  # None: the preset of `numerics`

    def __post_init__(self) -> None:
        Deviations.chosen(self.numerics, self.deviations)

    @property
    def deviates(self) -> Deviations:
        """The deviations in force."""
        return Deviations.chosen(self.numerics, self.deviations)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """What training needs at random.

    gumbel (B, 2, T)     noise of the split, row 0 causal; None: nothing is split, all clips answer
    foreign (B, T)       int64 rows of the bank that stand in for the environment; None: only the split is drawn
    """

    gumbel: Tensor | None
    foreign: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Branch:
    """One reading of the video: logits (B, A + 1), and the clips as they were read."""

    logits: Tensor
    video: Encoded


@dataclass(frozen=True, kw_only=True)
class Output:
    """The split, and the answers from the causal part, the environment, the causal part among foreign clips.

    environment, intervened: None without foreign clips
    has_environment (B,)     bool: some clip is environment
    """

    question: Encoded
    split: Split
    causal: Branch
    environment: Branch | None
    intervened: Branch | None
    has_environment: Tensor


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
        self.grounding = None
        if config.grounding:
            self.grounding = Grounding(
                self.backbone.width,
                tau=config.tau,
                probabilities_as_logits=self.deviates.probabilities_as_logits,
                may_be_empty=self.deviates.empty_causal_part,
                deviation=config.deviation,
            )
        self.head = nn.Linear(self.backbone.width, config.answers + 1)

    def enter(self, epoch: int) -> None:
        """Once the first epochs are over, videos are split."""
        self.warming = epoch <= self.config.warm_up

    def draw(self, batch: Questions, generator: torch.Generator) -> Draws | None:
        """Noise of the split and, in training, foreign clips; None where nothing is split.

        Raises ValueError in training without a bank, or with fewer than two videos in it.
        """
        if self.grounding is None:
            return None
        if self.warming and self.training:
            return Draws(gumbel=None, foreign=None)
        noise = self._noise(batch, generator)
        if not self.training:
            return Draws(gumbel=noise, foreign=None)
        if self.bank is None or batch.video_index is None:
            raise ValueError("training needs the clips of all training videos (model.bank) and batch.video_index")
        foreign = self.bank.draw(batch.video_index[:, None], batch.video.shape[1], generator)
        return Draws(gumbel=noise, foreign=foreign)

    def _noise(self, batch: Questions, generator: torch.Generator) -> Tensor:
        return gumbel_noise((len(batch), 2, batch.video.shape[1]), generator).to(batch.video, non_blocking=True)

    def forward(self, batch: Questions, draws: Draws | None = None) -> Output:
        """Answers from the causal part; with foreign clips also the other two. Without draws the split is decided, not drawn."""
        assert batch.question is not None
        assert batch.question_mask is not None
        mask = None if self.deviates.all_clips_real else batch.video_mask
        question = self.backbone.read(batch.question, batch.question_mask)
        whole = self.backbone.watch(batch.video, mask)
        if self.grounding is None or (draws is not None and draws.gumbel is None):
            split = undivided(torch.ones_like(batch.video_mask) if mask is None else mask)
            logits = self.head(self.backbone.join(question, whole))
            return Output(
                question=question,
                split=split,
                causal=Branch(logits=logits, video=whole),
                environment=None,
                intervened=None,
                has_environment=split.environment.any(dim=1),
            )
        if draws is None and self.deviates.noise_in_evaluation:
            fixed = torch.Generator().manual_seed(SEED_OF_EVALUATION)
            draws = Draws(gumbel=self._noise(batch, fixed), foreign=None)
        split = self.grounding(question.summary, whole.rows, mask, None if draws is None else draws.gumbel)
        is_causal, is_environment = split.causal.detach() > 0.5, split.environment.detach() > 0.5
        kept = never_empty(is_causal, mask)
        causal = self.answer(question, batch.video * split.causal[..., None], kept)
        environment = intervened = None
        if draws is not None and draws.foreign is not None:
            if self.bank is None:
                raise ValueError("foreign clips were drawn, but model.bank is not set")
            around = never_empty(is_environment, mask)
            environment = self.answer(question, batch.video * split.environment[..., None], around)
            stays = kept if mask is None else kept | ~mask
            foreign = self.bank.take(draws.foreign, batch.video)
            intervened = self.answer(question, replace(batch.video, stays.to(batch.video.dtype), foreign), mask)
        return Output(
            question=question,
            split=split,
            causal=causal,
            environment=environment,
            intervened=intervened,
            has_environment=is_environment.any(dim=1),
        )

    def answer(self, question: Encoded, clips: Tensor, keep: Tensor | None) -> Branch:
        """clips (B, T, D_v), keep (B, T) bool or None for all."""
        video = self.backbone.watch(clips, keep)
        return Branch(logits=self.head(self.backbone.join(question, video)), video=video)

    def losses(self, output: Output, batch: Questions) -> dict[str, Tensor]:
        """ce, kl_do, kl_env and the weighted total. Samples with answer -1 are left out of ce."""
        if batch.answer is None:
            raise ValueError("losses need a batch with answers")
        ce = one_of_many(output.causal.logits, batch.answer, batch.answer >= 0)
        if self.grounding is None:
            return {"ce": ce, "total": ce}
        if self.warming:
            return {"ce": ce, "kl_do": ce.new_zeros(()), "kl_env": ce.new_zeros(()), "total": ce}
        if output.environment is None or output.intervened is None:
            raise ValueError("losses need an output with foreign clips")
        kl_do = divergence(output.causal.logits, output.intervened.logits).mean()
        ignorant = ignorance(output.environment.logits)  # (B,)
        counted = torch.ones_like(output.has_environment) if self.deviates.empty_environment_counts else output.has_environment
        kl_env = ignorant.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)
        total = ce + self.config.w_do * kl_do + self.config.w_env * kl_env
        return {"ce": ce, "kl_do": kl_do, "kl_env": kl_env, "total": total}

    @torch.no_grad()
    def decode(self, output: Output, batch: Questions) -> list[Answer]:
        """The best class (the first among equals), and the causal clips with their scores."""
        scores = output.causal.logits.float().cpu()
        mask = torch.ones_like(batch.video_mask) if self.deviates.all_clips_real else batch.video_mask
        weights, chosen, mask = output.split.causal_score.float().cpu(), (output.split.causal > 0.5).cpu(), mask.cpu()
        return [
            Answer(answer=best, scores=scores[i], weights=weights[i][mask[i]], chosen=chosen[i][mask[i]])
            for i, best in enumerate(scores.argmax(dim=1).tolist())
        ]
