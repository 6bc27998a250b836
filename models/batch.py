"""Frozen batches and results, one pair per task. Tensors only: no ids, no paths, no device choice.

B batch, T clips, L query tokens, G ground-truth spans, P predicted windows, D channels.  Masks: True = real, False = padding.
Times are seconds; `fps` is clips per second.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from torch import Tensor


class Batch:
    """What all batches have in common: the row count and the way to another device."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Self:
        """The same batch on another device."""
        moved = {
            field.name: value.to(device, non_blocking=non_blocking)
            for field in fields(self)  # type: ignore[arg-type]
            if isinstance(value := getattr(self, field.name), Tensor)
        }
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class Grounding(Batch):
    """Moment retrieval, highlight detection and answerability: one query per row.

    video (B, T, D_v), video_mask (B, T) bool      clip features as the method is fed them, zero on padding
    query (B, L, D_q), query_mask (B, L) bool      token features, zero on padding
    fps (B,), duration (B,)                        clips per second, seconds
    video_group (B,) int64                         equal numbers = the same video (for negatives from other videos)
    spans (B, G, 2), spans_mask (B, G) bool        ground truth in seconds, already adjusted to the clip grid; None at inference
    saliency (B, T)                                target in 0..1 per clip, zero on padding; None at inference
    """

    video: Tensor
    video_mask: Tensor
    query: Tensor
    query_mask: Tensor
    fps: Tensor
    duration: Tensor
    video_group: Tensor
    spans: Tensor | None = None
    spans_mask: Tensor | None = None
    saliency: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What a grounding method says about one query.

    windows (P, 3)      start s, end s, score, by descending score, neither clamped nor suppressed
    saliency (T_i,)     one score per real clip of the video
    answerable          probability in 0..1 that the query can be answered in this video; None if the method has no opinion
    """

    windows: Tensor
    saliency: Tensor
    answerable: float | None


@dataclass(frozen=True, kw_only=True)
class Description(Batch):
    """Localisation learnt without times: one sentence that describes a moment of one video per row. There are no spans.

    video (B, N, D_v), video_mask (B, N) bool      frames as the method is fed them
    words (B, L, D_w), word_mask (B, L) bool       vectors of the words that are kept, zero on padding
    word_ids (B, L) int64                          their classes, from 1 on by falling frequency; 0 on padding
    hiding (B, L)                                  probability of each word to be hidden first, sum 1; 0 on padding
    """

    video: Tensor
    video_mask: Tensor
    words: Tensor
    word_mask: Tensor
    word_ids: Tensor
    hiding: Tensor


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """What a weakly supervised method says about one query: P proposals, in no order.

    center, width (P,)     fractions of the video
    nll (P,)               how badly each of them reconstructs the sentence; the smallest answers
    """

    center: Tensor
    width: Tensor
    nll: Tensor


@dataclass(frozen=True, kw_only=True)
class GroundedQuestions(Batch):
    """Multiple-choice questions on videos, to be answered with the moment that shows it. M candidates, L tokens.

    video (B, T, D_v), video_mask (B, T) bool      frames in order of time, evenly drawn, as the method is fed them
    duration (B,)                                  seconds
    answers (B, M, L) int64, answers_mask (B, M, L) bool      tokens of the question with each candidate answer
    answer_id (B,) int64                           the right candidate, -1 unknown; None at inference
    questions (B, M, L'), questions_mask           tokens of M questions of which one was asked; None at inference
    question_id (B,) int64                         which of them it was
    """

    video: Tensor
    video_mask: Tensor
    duration: Tensor
    answers: Tensor
    answers_mask: Tensor
    answer_id: Tensor | None = None
    questions: Tensor | None = None
    questions_mask: Tensor | None = None
    question_id: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class GroundedAnswer:
    """What a method answers to one question, and where it looked.

    answer              index of the candidate
    scores (M,)         the larger, the likelier
    weights (T_i,)      of the frames, not negative
    span (2,)           start and end in seconds, as the network itself sees it; None if it has no such opinion
    """

    answer: int
    scores: Tensor
    weights: Tensor
    span: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Questions(Batch):
    """Questions on videos, given as stored features: open-ended (answer = a class) or with M candidates each. L words, O objects.

    video (B, T, D_v), video_mask (B, T) bool                       clips or frames, padding behind, zero there
    answer (B,) int64                                               class or candidate; -1: none is right; None at inference
    video_index (B,) int64                                          the video's place among the training videos, -1: none of them
    question (B, L, D_q), question_mask (B, L) bool                 words of the question alone; None if only candidates are
    candidates (B, M, L', D_q), candidates_mask (B, M, L') bool     words of the question with each candidate; None if open-ended
    objects (B, T, O, D_o), objects_mask (B, T, O) bool             regions of every frame with their boxes; None without
    """

    video: Tensor
    video_mask: Tensor
    answer: Tensor | None = None
    video_index: Tensor | None = None
    question: Tensor | None = None
    question_mask: Tensor | None = None
    candidates: Tensor | None = None
    candidates_mask: Tensor | None = None
    objects: Tensor | None = None
    objects_mask: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a method answers to one question, and what it looked at.

    answer                 class or candidate
    scores (A,) or (M,)    the larger, the likelier
    chosen (T_i,) bool     clips that the answer rests on
    weights (T_i,)         how much each clip counts, not negative
    objects (T_i, O) bool  objects of the chosen frames that it rests on; None for a method that sees no objects
    """

    answer: int
    scores: Tensor
    chosen: Tensor
    weights: Tensor
    objects: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Relations(Batch):
    """Segments of videos with the trajectories that a detector proposes; which of their pairs stand in which relation.

    S segments, N proposals, T steps, Q ordered pairs, C object classes, P predicates.  Boxes are inclusive pixels l, t, r, b.

    appearance (S, N, T, D_a)                      features of each proposal at each step, zero where it is not there
    boxes (S, N, T, 4), present (S, N, T) bool     where it is, and whether
    proposals_mask (S, N) bool
    frame (S, 2)                                   width and height of the video in pixels
    detector (S, N, C)                             class probabilities of the detector, zero on padding
    pairs (S, Q, 2) int64, pairs_mask (S, Q) bool  subject and object, as places among the N proposals
    object_class (S, N) int64                      true class, -1: no true object; None at inference
    labels (S, Q, P) bool                          true predicates of each pair; None at inference
    """

    appearance: Tensor
    boxes: Tensor
    present: Tensor
    proposals_mask: Tensor
    frame: Tensor
    detector: Tensor
    pairs: Tensor
    pairs_mask: Tensor
    object_class: Tensor | None = None
    labels: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class PairScores:
    """What a relation method says about one segment: N proposals, Q ordered pairs of them.

    objects (N, C)        probability of each object class
    pairs (Q, 2)          subject and object
    predicates (Q, P)     probability of each predicate; several may hold
    """

    objects: Tensor
    pairs: Tensor
    predicates: Tensor
