"""CRA: cross-modal causal relation alignment for grounded video question answering (Chen et al., CVPR 2025).

Which candidate answers question q about video f, and which frames show it, learnt from answers alone:

    g_m = text(q, answer_m),   q = max_m g_m (or g of the question asked),   q <- BackDoor(q; question graphs)   -> query
    x = layers(embed f),   key = smooth(softmax_t(head(x_t, q)))                        models.layers.grounding_head
    m = P sum_t key_t x_t,   m <- norm(FrontDoor(m, mean x; frames of other videos) + m)       models.causal   -> video
    score_m = g_m . m,   L = XE(score; answer) + w_vq XE(score; question asked) + w_align contrast(g, m)         -> Model.losses

With FrozenBiLM the language model reads frames and words together, once per candidate; grounding and front door revise what it
read at the mask word before it fills in yes or no (GroundedFrozenBilm). `variant` leaves CRA out: the baselines of the tables.
B batch, M candidates, L tokens, T frames, D channels, H channels of the language model.  Masks: True = real.
Every departure of the released code from this is one field of `Numerics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.backbones.answers import AnswerPass
from models.backbones.frozenbilm import Deberta
from models.backbones.grounded_frozenbilm import GroundedFrozenBilm
from models.backbones.tempclip import CandidateEncoder, FrameEmbedding, Roberta
from models.backbones.tempclip_baselines import TempClipBaseline
from models.batch import GroundedAnswer, GroundedQuestions
from models.causal.back_door import QUESTION_EDGES, GraphBackDoor
from models.causal.mediated_front_door import MediatedFrontDoor
from models.layers.attention import check_heads
from models.layers.dropout import Dropout
from models.layers.encoder_layers import PreNormLayer, UnbiasedNorm
from models.layers.grounding_head import GroundingHead, best_run, best_window, run_span
from models.layers.masks import masked_mean
from models.losses.alignment import across_batch, against_draws
from models.losses.classification import one_of_many, yes_or_no
from models.method import Method

WINDOWS = (1, 3, 5)  # frames, of the released span
RELEASED_STEPS = 31  # what the released span is divided by, whatever the number of frames
UNKNOWN = -1  # label of a question without a right candidate


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """Where the released code departs from the equations, one field each: `released` is what it does."""

    mask_pads: bool  # released false: padding takes part in poolings, frame masks are ignored
    backdoor_on_query: bool  # released false: the back door is built and stored, but never called
    gate: Literal["before_norm", "after_norm"]  # released before_norm: the norm undoes the gate, the question has no say
    softmax_after_smoothing: bool  # released true: makes the key almost uniform
    sigma_floor: float  # released 0: a filter of width 0 is not a number
    frontdoor_in_sample: Literal["batch", "frames"]  # released batch: each sample attends to the whole batch
    span_rule: Literal["window", "run"]  # released window: always the widest window, in 31ths
    search_first_frame: bool  # released false: the post-hoc search never visits the first frame
    contrast: Literal["drawn", "batch"]  # released drawn: 32 draws with repetition, from query to video only

    @classmethod
    def preset(cls, name: Literal["corrected", "released"]) -> Numerics:
        """One of the two."""
        return cls(**{field: pair[name == "corrected"] for field, pair in PRESETS.items()})


PRESETS: dict[str, tuple[Any, Any]] = {  # released, corrected
    "mask_pads": (False, True),
    "backdoor_on_query": (False, True),
    "gate": ("before_norm", "after_norm"),
    "softmax_after_smoothing": (True, False),
    "sigma_floor": (0.0, 1e-6),
    "frontdoor_in_sample": ("batch", "frames"),
    "span_rule": ("window", "run"),
    "search_first_frame": (False, True),
    "contrast": ("drawn", "batch"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method. `numerics` chooses the preset; the fields from `mask_pads` on replace single entries of it."""

    numerics: Literal["corrected", "released"]
    variant: Literal["cra", "posthoc", "ngplus"]  # ngplus: TempCLIP only
    text: Roberta | Deberta  # a Roberta makes the backbone TempCLIP, a Deberta FrozenBiLM
    d_model: int  # D; with FrozenBiLM the inner width of the interventions
    heads: int
    layers: int  # over the frames
    d_inner: int  # of their feed-forward part
    max_frames: int
    dropout_video: float  # of the frame embedding, TempCLIP
    dropout: float
    front_door: bool  # visual intervention; false leaves it out
    smoothing: bool  # Gaussian filter; false leaves it out
    span_threshold: float  # a frame belongs to the span from this share of the largest weight on
    vq_weight: float  # of finding the question, beside finding the answer
    align_weight: float
    temperature: float  # of the alignment
    negatives: int | None  # draws per sample where contrast is "drawn"; None: half the batch
    gauss_sigma: float = 9.0  # of NG+
    gauss_gamma: float = 1.0
    mask_pads: bool | None = None
    backdoor_on_query: bool | None = None
    gate: Literal["before_norm", "after_norm"] | None = None
    softmax_after_smoothing: bool | None = None
    sigma_floor: float | None = None
    frontdoor_in_sample: Literal["batch", "frames"] | None = None
    span_rule: Literal["window", "run"] | None = None
    search_first_frame: bool | None = None
    contrast: Literal["drawn", "batch"] | None = None

    def __post_init__(self) -> None:
        check_heads(self.text.hidden_size if isinstance(self.text, Deberta) else self.d_model, self.heads, even=True)
        if self.variant == "ngplus" and isinstance(self.text, Deberta):
            raise ValueError("variant: ngplus needs TempCLIP, a Roberta under `text`")

    @property
    def rules(self) -> Numerics:
        """The numerics in force."""
        preset = Numerics.preset(self.numerics)
        own = {field.name: getattr(self, field.name) for field in fields(Numerics)}
        return Numerics(**{name: getattr(preset, name) if value is None else value for name, value in own.items()})


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Whose video stands against each sample's text: (B, R) int64 rows of the batch, one set per pass. None: no draws needed."""

    vqa: Tensor | None
    vq: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Output:
    """The pass over the candidate answers and, where questions were given, the pass over the candidate questions."""

    vqa: AnswerPass
    vq: AnswerPass | None
    draws: Draws | None


class Interventions(nn.Module):
    """The parts of CRA that both backbones share, at width `d_model`: grounding, front door, back door."""

    def __init__(self, config: Config, *, d_model: int, confounders: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.rules = rules = config.rules
        self.span_threshold = config.span_threshold
        self.grounding = GroundingHead(
            d_model=d_model,
            gate=rules.gate,
            softmax_twice=rules.softmax_after_smoothing,
            sigma_floor=rules.sigma_floor,
            smoothing=config.smoothing,
        )
        self.front_door = self.back_door = None
        if config.front_door:
            self.front_door = MediatedFrontDoor(
                confounders["video"], d_model=d_model, d_inner=config.d_model, over=rules.frontdoor_in_sample
            )
        if "query" in confounders:
            self.back_door = GraphBackDoor(confounders["query"], d_model=d_model, edges=QUESTION_EDGES)

    def asked(self, query: Tensor) -> Tensor:
        """Query (B, D) through the back door, where it is in use."""
        return self.back_door(query) if self.back_door is not None and self.rules.backdoor_on_query else query

    def span(self, weights: Tensor, mask: Tensor) -> Tensor:
        """weights, mask (B, T) -> (B, 2) as fractions of the video."""
        if self.rules.span_rule == "window":
            return best_window(weights, WINDOWS) / RELEASED_STEPS
        return run_span(best_run(weights, mask, self.span_threshold), mask)


class TempClipCra(nn.Module):
    """CRA on TempCLIP."""

    def __init__(self, config: Config, sizes: Roberta, *, d_in: int, confounders: Mapping[str, Tensor]) -> None:
        super().__init__()
        size = config.d_model
        self.mask_pads = config.rules.mask_pads
        self.text = CandidateEncoder(sizes, d_model=size, mean=False)
        self.video = FrameEmbedding(d_in=d_in, d_model=size, frames=config.max_frames, dropout=config.dropout_video, normed=False)
        self.layers = nn.ModuleList(
            PreNormLayer(d_model=size, heads=config.heads, d_inner=config.d_inner, dropout=config.dropout)
            for _ in range(config.layers)
        )
        self.norm = UnbiasedNorm(size)
        self.project = nn.Sequential(Dropout(config.dropout), nn.Linear(size, size))
        self.interventions = Interventions(config, d_model=size, confounders=confounders)
        self.norm_video = nn.LayerNorm(size) if config.front_door else None

    def forward(self, video: Tensor, video_mask: Tensor, ids: Tensor, real: Tensor, label: Tensor | None) -> AnswerPass:
        """video (B, T, F), video_mask (B, T), ids and real (B, M, L); label (B,): which candidate asks, None: their maximum."""
        mask = video_mask if self.mask_pads else None
        text = self.text(ids, real, pool_pads=not self.mask_pads)  # (B, M, D)
        query = text.amax(dim=1) if label is None else text[torch.arange(len(text), device=text.device), label]
        frames = self.video(video, mask)
        for layer in self.layers:
            frames = layer(frames, mask)
        frames = self.norm(frames)  # (B, T, D)
        key = self.interventions.grounding(frames, self.interventions.asked(query), mask).weights
        mediator = self.project((key[:, None] @ frames)[:, 0])
        if (front_door := self.interventions.front_door) is not None and self.norm_video is not None:
            rows = frames if front_door.over == "batch" else self.project(frames)
            adjusted = front_door(mediator, self.project(masked_mean(frames, mask)), rows, mask)
            mediator = self.norm_video(adjusted + mediator)
        return AnswerPass(
            scores=(text @ mediator[..., None])[..., 0],
            weights=key[:, None],
            span=self.interventions.span(key, video_mask)[:, None],
            text=text,
            video=mediator[:, None],
        )


class Model(Method):
    """`widths` has the entry video. `confounders`: video (K, F) frames, query (K, 8, E) graphs; each only where it is used."""

    TASK = "grounded_questions"

    def __init__(self, config: Config, *, widths: Mapping[str, int], confounders: Mapping[str, Tensor]) -> None:
        super().__init__(config, widths=widths, confounders=confounders)
        if config.variant == "cra":
            _check_confounders(config, confounders)
        self.network: Any
        if isinstance(config.text, Deberta):
            self.network = GroundedFrozenBilm(
                config.text,
                d_in=widths["video"],
                heads=config.heads,
                layers=config.layers,
                d_inner=config.d_inner,
                dropout=config.dropout,
                mask_pads=config.rules.mask_pads,
                interventions=(
                    Interventions(config, d_model=config.text.hidden_size, confounders=confounders)
                    if config.variant == "cra"
                    else None
                ),
            )
        elif config.variant == "cra":
            self.network = TempClipCra(config, config.text, d_in=widths["video"], confounders=confounders)
        else:
            self.network = TempClipBaseline(
                config.text,
                d_in=widths["video"],
                d_model=config.d_model,
                heads=config.heads,
                layers=config.layers,
                d_inner=config.d_inner,
                frames=config.max_frames,
                dropout=config.dropout_video,
                asks=config.variant == "ngplus",
                mask_pads=config.rules.mask_pads,
                gauss_sigma=config.gauss_sigma,
                gauss_gamma=config.gauss_gamma,
            )

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Weights of the published text encoder, by the library's names. Raises RuntimeError if one is missing."""
        (self.network.language if isinstance(self.config.text, Deberta) else self.network.text).load_pretrained(state)

    def draw(self, batch: GroundedQuestions, generator: torch.Generator) -> Draws:
        """Foreign samples, uniform with repetition.

        Raises ValueError if there is no other sample in the batch.
        """
        size = len(batch)
        if self.config.variant != "cra" or self.config.rules.contrast == "batch":
            return Draws(vqa=None, vq=None)
        if size < 2:
            raise ValueError("a batch of one question has no foreign video; drop the last incomplete batch, or contrast: batch")
        count = max(size // 2, 1) if self.config.negatives is None else self.config.negatives

        def foreign() -> Tensor:
            other = torch.randint(size - 1, (size, count), generator=generator)
            return (other + (other >= torch.arange(size)[:, None])).to(batch.video.device, non_blocking=True)

        return Draws(vqa=foreign(), vq=None if batch.questions is None else foreign())

    def forward(self, batch: GroundedQuestions, draws: Draws | None = None) -> Output:
        """Scores of the answers; with `batch.questions` also of the questions. Draws are handed through to the losses."""
        vqa = self.network(batch.video, batch.video_mask, batch.answers, batch.answers_mask, None)
        vq = None
        if batch.questions is not None and self.config.variant != "posthoc" and self.config.vq_weight:
            vq = self.network(batch.video, batch.video_mask, batch.questions, batch.questions_mask, batch.question_id)
        return Output(vqa=vqa, vq=vq, draws=draws)

    def losses(self, output: Output, batch: GroundedQuestions) -> dict[str, Tensor]:
        """vqa, vq: finding the right candidate; align_*: text and video of the right candidate; and the weighted total."""
        if batch.answer_id is None:
            raise ValueError("losses need a batch with labels: answer_id")
        draws = output.draws or Draws(vqa=None, vq=None)
        terms = self._terms("vqa", output.vqa, batch.answer_id, draws.vqa)
        weights = {"vqa": 1.0, "align_vqa": self.config.align_weight}
        if output.vq is not None:
            assert batch.question_id is not None
            terms |= self._terms("vq", output.vq, batch.question_id, draws.vq)
            weights |= {"vq": self.config.vq_weight, "align_vq": self.config.vq_weight * self.config.align_weight}
        return {**terms, "total": torch.stack([weights[name] * term for name, term in terms.items()]).sum()}

    def _terms(self, name: str, said: AnswerPass, label: Tensor, foreign: Tensor | None) -> dict[str, Tensor]:
        with torch.autocast(said.scores.device.type, enabled=False):
            find = yes_or_no if isinstance(self.config.text, Deberta) else one_of_many
            terms = {name: find(said.scores.float(), label, label != UNKNOWN)}
            if self.config.variant == "cra" and self.config.align_weight:
                row = torch.arange(len(label), device=label.device)
                text, video = said.text[row, label].float(), said.video[row, label if said.video.shape[1] > 1 else 0].float()
                temperature = self.config.temperature
                if foreign is None:
                    terms[f"align_{name}"] = across_batch(text, video, label != UNKNOWN, temperature=temperature)
                else:
                    terms[f"align_{name}"] = against_draws(text, video, video[foreign], temperature=temperature)
            return terms

    @torch.no_grad()
    def decode(self, output: Output, batch: GroundedQuestions) -> list[GroundedAnswer]:
        """The best candidate (the first among equals), its frame weights, its span in seconds."""
        said = output.vqa
        answer = said.scores.argmax(dim=1)
        row, own = torch.arange(len(answer), device=answer.device), answer if said.weights.shape[1] > 1 else 0
        weights, scores = said.weights[row, own].float().cpu(), said.scores.float().cpu()
        span = None if said.span is None else (said.span[row, own].float() * batch.duration[:, None]).cpu()
        mask = batch.video_mask.cpu()
        return [
            GroundedAnswer(
                answer=choice,
                scores=scores[i],
                weights=weights[i][mask[i]] if self.config.rules.mask_pads else weights[i],
                span=None if span is None else span[i],
            )
            for i, choice in enumerate(answer.tolist())
        ]


def _check_confounders(config: Config, confounders: Mapping[str, Tensor]) -> None:
    """Raises ValueError for a dictionary that is missing or has the wrong shape."""
    if config.front_door and "video" not in confounders:
        raise ValueError("front_door needs video confounders (K, width of a frame); give them, or front_door: false")
    if config.rules.backdoor_on_query and "query" not in confounders:
        raise ValueError(
            "backdoor_on_query needs query confounders, graphs (K, 8, width); give them, or backdoor_on_query: false"
        )
