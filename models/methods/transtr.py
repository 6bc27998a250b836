"""TranSTR: discovering spatio-temporal rationales for video question answering (Li, Xiao, Feng, Wang, Chua; ICCV 2023).

Few frames of a long video and few objects of a frame matter to a question. Both are selected in the light of its words, by a
top-K that can be trained through; a small transformer reasons over what was selected:

    f, A = decoder(frames; words),   W_f = topK(A),   f' = W_f f                  models.layers.topk            -> Model.select
    o, B = decoder(objects of W_f; words),   W_o = topK(B),   o' = W_o o          once per selected frame
    g = decoder(f'; o'),   m = encoder [g; words],   h = decoder(candidates; m)                                 -> Model.reason
    y = head h,   L = XE(y, a)                                                                                  -> Model.losses

Open-ended questions have no candidates: the mean word asks, the head tells classes. Features of words are given, not computed.
B batch, F frames, O objects, L words, M candidates, K selected frames, J selected objects of each, D channels.
Masks: True = real. Every departure of the released code is one field of `Deviations`. Recipe: AdamW, weight decay 1e-3; NExT-QA
rate 1e-5, 15 epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from models.batch import Answer, Questions
from models.layers.attention import check_heads
from models.layers.dropout import Dropout
from models.layers.learned_graph import plain_norm
from models.layers.masks import lengths, masked_mean, prefix_mask
from models.layers.positions import masked_sinusoid
from models.layers.reading_layers import Activation, ReadingAttention, ReadingDecoder, ReadingEncoder
from models.layers.topk import Noise, Selection, best_pairs, blind, chosen, perturbed
from models.losses.classification import one_of_many
from models.method import Departures, Method

SEED_OF_SOFT_EVALUATION = SEED_OF_BLIND_CHOICE = 0
Choice = Literal["adaptive", "uniform", "random"]


@dataclass(frozen=True, kw_only=True)
class Deviations(Departures):
    """Where the released code departs from the equations: one field each, true = as released."""

    unsorted_selection: bool  # without noise the selected frames come in no order, which their time code then contradicts
    padded_pairs: bool  # padded words and frames may be selected; K may exceed what there is
    all_visible: bool  # frames and objects that are padding are attended to
    diagonal_gradient: bool  # the gradient through the selection is none of its expectation
    undropped_residuals: bool  # no dropout where the branches of the encoder join


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method. `numerics` chooses a preset of deviations; `deviations` replaces the preset."""

    numerics: Literal["corrected", "released"]
    answers: int | None  # classes of the vocabulary, "unknown" not counted; None: candidates are given
    frames: int  # F, at most
    objects: int  # O, at most
    k_frames: int  # K
    k_objects: int  # J, of each selected frame
    heads: int
    layers: int  # of each of the five stacks
    d_inner: int
    activation: Activation
    dropout: float
    samples: int  # of the noise
    sigma: float  # of the noise
    score_over: Literal["words", "items"] = "words"  # what the selecting attention is normalised over
    distinct: bool = False  # select items by their best word, so that none is taken twice
    # the first token of a candidate, or the mean where none sums it up, of all its words or of the rest behind the question's
    candidate_vector: Literal["first", "mean", "rest"] = "first"
    frame_choice: Choice = "adaptive"  # the ablations: evenly spread frames, or any
    object_choice: Choice = "adaptive"
    normalised: bool = False  # ours: frames and words get mean 0 and deviation 1 over channels, whatever they are stored with
    alike: bool = False  # ours: all attention begins as likeness, for frames and words of one space
    soft_evaluation: bool = False  # without draws select under noise of a fixed seed: released, except NExT-QA, unless hard_eval
    deviations: Deviations | None = None  # None: the preset of `numerics`

    def __post_init__(self) -> None:
        Deviations.chosen(self.numerics, self.deviations)
        for name, most in (("frames", self.frames), ("objects", self.objects)):
            if not self.deviates.padded_pairs and getattr(self, f"k_{name}") > most:
                raise ValueError(f"k_{name}: cannot select {getattr(self, f'k_{name}')} of {most} {name}")
        if self.samples < 2:
            raise ValueError(f"samples: expected at least 2, got {self.samples}")

    @property
    def deviates(self) -> Deviations:
        """The deviations in force."""
        return Deviations.chosen(self.numerics, self.deviations)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """Noise of the two selections, or as tensors (B, S, F L) and (B K, S, O L)."""

    frames: Noise | Tensor
    objects: Noise | Tensor


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Decisions to repeat, in their order: flat pairs item * L + word, frames (B, K), objects (B K, J)."""

    frames: Tensor
    objects: Tensor


@dataclass(frozen=True, kw_only=True)
class Output:
    """What was said, and why.

    logits (B, M) or (B, A + 1)
    by_frame (B, K, F), by_object (B K, J, O)                              which frames and objects were chosen

    Nothing but the comparison with the reference's stored values reads the others:

    frames (B, F, D)
    frame_attention (B, F, L), object_attention (B K, O, L)
    joined (B, K, D), memory (B, K + L, D), queries (B, M or 1, D)         after each stack of the reasoning
    """

    logits: Tensor
    by_frame: Selection
    by_object: Selection
    frames: Tensor
    frame_attention: Tensor
    object_attention: Tensor
    joined: Tensor
    memory: Tensor
    queries: Tensor


class Model(Method):
    """`widths` has the entries video and query, which are equal (D), and objects (with their boxes)."""

    TASK = "questions"

    def __init__(self, config: Config, *, widths: Mapping[str, int], confounders: Mapping[str, Tensor]) -> None:
        super().__init__(config, widths=widths, confounders=confounders)
        self.deviates, size = config.deviates, widths["video"]
        if widths["query"] != size:
            raise ValueError(f"frames and words are used as they come: widths must be equal, got {size} and {widths['query']}")
        check_heads(size, config.heads, even=True)

        sizes: dict[str, Any] = {
            "layers": config.layers,
            "d_model": size,
            "heads": config.heads,
            "d_inner": config.d_inner,
            "dropout": config.dropout,
            "activation": config.activation,
        }
        self.object_map = nn.Sequential(
            nn.Linear(widths["objects"], size), nn.LayerNorm(size, eps=1e-12), Dropout(config.dropout)
        )
        self.frame_decoder, self.object_decoder, self.join_decoder, self.answer_decoder = (
            ReadingDecoder(**sizes) for _ in range(4)
        )
        self.encoder = ReadingEncoder(**sizes, drop_residuals=not self.deviates.undropped_residuals)
        self.head = nn.Linear(size, 1 if config.answers is None else config.answers + 1)
        for layer in self.modules() if config.alike else ():
            if isinstance(layer, ReadingAttention):
                layer.start_alike()

    def draw(self, batch: Questions, generator: torch.Generator) -> Draws:
        """Seeds of the noise."""
        del batch
        first, second = torch.randint(2**62, (2,), generator=generator).tolist()
        return Draws(frames=Noise(first, self.config.samples), objects=Noise(second, self.config.samples))

    def forward(self, batch: Questions, draws: Draws | Recorded | None = None) -> Output:
        """Answers; selection under noise with draws, the best pairs without, the recorded ones where some are given."""
        if draws is None and self.config.soft_evaluation:
            draws = self.draw(batch, torch.Generator().manual_seed(SEED_OF_SOFT_EVALUATION))
        if self.config.normalised:
            named = {name: getattr(batch, name) for name in ("video", "question", "candidates")}
            batch = replace(batch, **{name: plain_norm(value) for name, value in named.items() if value is not None})
        assert batch.question is not None
        assert batch.question_mask is not None
        assert batch.objects is not None
        words, word_mask = batch.question, batch.question_mask
        visible = self.deviates.all_visible
        frame_mask = torch.ones_like(batch.video_mask) if visible else batch.video_mask
        frames, frame_attention = self.frame_decoder(
            batch.video,
            None if visible else frame_mask,
            words,
            word_mask,
            masked_sinusoid(frame_mask, batch.video.shape[2]).to(batch.video.dtype),
            over=self._over,
        )
        given = None if draws is None else draws.frames
        recorded = isinstance(draws, Recorded)
        choice, k = self.config.frame_choice, self.config.k_frames
        by_frame = self.select(frame_attention, frame_mask, word_mask, k, given, recorded, choice)

        objects, object_mask = self.objects_of(batch.objects, batch.objects_mask, by_frame)
        copies = k
        words_each, word_mask_each = words.repeat_interleave(copies, dim=0), word_mask.repeat_interleave(copies, dim=0)
        objects, object_attention = self.object_decoder(
            objects, None if visible else object_mask, words_each, word_mask_each, over=self._over
        )
        given = None if draws is None else draws.objects
        choice, k = self.config.object_choice, self.config.k_objects
        by_object = self.select(object_attention, object_mask, word_mask_each, k, given, recorded, choice)
        joined, memory, queries = self.reason(batch, by_frame, frames, by_object, objects)
        logits = self.head(queries)
        return Output(
            logits=logits[..., 0] if self.config.answers is None else logits[:, 0],
            frames=frames,
            frame_attention=frame_attention,
            by_frame=by_frame,
            object_attention=object_attention,
            by_object=by_object,
            joined=joined,
            memory=memory,
            queries=queries,
        )

    @property
    def _over(self) -> Literal["keys", "queries"]:
        return "keys" if self.config.score_over == "words" else "queries"

    def select(
        self,
        scores: Tensor,
        mask: Tensor,
        word_mask: Tensor,
        k: int,
        given: Noise | Tensor | None,
        recorded: bool,
        choice: Choice,
    ) -> Selection:
        """scores (N, V, L), mask (N, V), word_mask (N, L) -> K places, each with weights over the V items."""
        if choice != "adaptive" and not recorded:
            seed = given.seed if isinstance(given, Noise) else SEED_OF_BLIND_CHOICE
            return blind(mask, k, None if choice == "uniform" else seed, scores.dtype)
        pairs: Tensor | None = mask[:, :, None] & word_mask[:, None]
        if self.config.distinct:
            scores = scores.masked_fill(~word_mask[:, None], 0.0).amax(dim=2, keepdim=True)
            pairs = mask[:, :, None]
        if self.deviates.padded_pairs:
            pairs = None
        items, words = scores.shape[1:]
        if recorded:
            assert isinstance(given, Tensor)
            return chosen(given, items, words, scores.dtype)
        with torch.autocast(scores.device.type, enabled=False):
            if given is None:
                index = best_pairs(scores, pairs, k, ascending=not self.deviates.unsorted_selection)
                return chosen(index, items, words, scores.dtype)
            return perturbed(scores, pairs, given, k, sigma=self.config.sigma, diagonal=self.deviates.diagonal_gradient)

    def objects_of(self, objects: Tensor, mask: Tensor | None, by_frame: Selection) -> tuple[Tensor, Tensor]:
        """objects (B, F, O, D_o), mask (B, F, O) -> those of the selected frames (B K, O, D) and their mask (B K, O).

        While noise selects, the objects at one place are mixtures over frames, real where any frame with weight has one.
        """
        slots = objects.shape[2]
        real = torch.ones(objects.shape[:3], dtype=torch.bool, device=objects.device)
        if mask is not None and not self.deviates.all_visible:
            real, objects = mask, objects.masked_fill(~mask[..., None], 0.0)
        mixed = by_frame.weights.to(objects.dtype) @ objects.flatten(start_dim=2)  # (B, K, O D_o)
        exists = ((by_frame.weights > 0).float() @ real.float()) > 0  # (B, K, O)
        return self.object_map(mixed.unflatten(2, (slots, -1))).flatten(end_dim=1), exists.flatten(end_dim=1)

    def reason(
        self, batch: Questions, by_frame: Selection, frames: Tensor, by_object: Selection, objects: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Selected frames read selected objects, then all is read with the words, then the candidates read that."""
        assert batch.question is not None
        assert batch.question_mask is not None
        words, word_mask, size = batch.question, batch.question_mask, len(batch)
        kept_frames = by_frame.weights.to(frames.dtype) @ frames  # (B, K, D)
        kept_objects = (by_object.weights.to(objects.dtype) @ objects).view(size, -1, objects.shape[-1])  # (B, K J, D)
        joined, _ = self.join_decoder(kept_frames, by_frame.real, kept_objects, by_object.real.view(size, -1))
        mask = torch.cat((by_frame.real, word_mask), dim=1)
        places = masked_sinusoid(mask, frames.shape[-1]).to(frames.dtype)
        memory = self.encoder(torch.cat((joined, words.to(joined.dtype)), dim=1), mask, places)  # (B, K + L, D)
        if self.config.answers is None:
            assert batch.candidates is not None
            asked = self.candidate_vectors(batch.candidates, batch.candidates_mask, lengths(word_mask))
        else:
            asked = masked_mean(words, word_mask)[:, None]
        queries, _ = self.answer_decoder(asked.to(memory.dtype), None, memory, mask)
        return joined, memory, queries

    def candidate_vectors(self, candidates: Tensor, mask: Tensor | None, asked: Tensor) -> Tensor:
        """candidates (B, M, L', D), mask (B, M, L'), words of the question alone asked (B,) -> (B, M, D)."""
        if self.config.candidate_vector == "first":
            return candidates[:, :, 0]
        assert mask is not None
        if self.config.candidate_vector == "rest":
            mask = mask & ~prefix_mask(asked, mask.shape[2])[:, None]
        return masked_mean(candidates.flatten(end_dim=1), mask.flatten(end_dim=1)).unflatten(0, candidates.shape[:2])

    def losses(self, output: Output, batch: Questions) -> dict[str, Tensor]:
        """ce, which is also the total. Samples with answer -1 are left out."""
        if batch.answer is None:
            raise ValueError("losses need a batch with answers")
        ce = one_of_many(output.logits, batch.answer, batch.answer >= 0)
        return {"ce": ce, "total": ce}

    @torch.no_grad()
    def decode(self, output: Output, batch: Questions) -> list[Answer]:
        """The best class or candidate (the first among equals), the selected frames and the selected objects of each."""
        assert batch.objects is not None
        scores = output.logits.float().cpu()
        by_frame = output.by_frame.weights  # (B, K, F)
        by_object = output.by_object.weights.unflatten(0, (len(batch), -1)).sum(dim=2)  # (B, K, O)
        weights = (by_frame.sum(dim=1) / self.config.k_frames).float().cpu()  # (B, F)
        objects = ((by_frame.mT > 0).float() @ (by_object > 0).float() > 0).cpu()  # (B, F, O)
        mask = (torch.ones_like(batch.video_mask) if self.deviates.all_visible else batch.video_mask).cpu()
        if batch.objects_mask is not None and not self.deviates.all_visible:
            objects = objects & batch.objects_mask.cpu()
        return [
            Answer(
                answer=best,
                scores=scores[i],
                chosen=weights[i][mask[i]] > 0,
                weights=weights[i][mask[i]],
                objects=objects[i][mask[i]],
            )
            for i, best in enumerate(scores.argmax(dim=1).tolist())
        ]
