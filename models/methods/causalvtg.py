"""CausalVTG: robust video temporal grounding via causal inference (Wang, Chen, Shen; NeurIPS 2025).

Clips v and tokens q are confounded by what their data set usually shows. Both are read through a dictionary of other samples
(front door), compared, and grounded at several temporal scales; foreign videos teach what an unanswerable query looks like:

    v = FD_video(map [v, tef]; Z_v),   q = FD_query(map q; Z_q)           models.causal.front_door   -> Model.encode
    x = decoder(context_query(v, q), q),   a = relevance [mean x, mean q]                            -> Model.ground
    levels = pyramid(relu x),   c, d = heads(levels),   s = cos(relu x, pool q)                      -> Model.forward
    L = w_cls focal(c) + w_reg |d - d*| + w_sal contrast(s) + w_neg XE(a; own video 1, foreign videos 0)   -> Model.losses

B batch, T clips, L tokens, P points of all levels, G windows, K dictionary entries, C hidden.  Masks: True = real.
Every departure of the released code from this is one field of `Deviations`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping as Named
from dataclasses import dataclass, fields, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batch import Grounding, Moments
from models.causal.front_door import FrontDoor, MemoryAttention
from models.causal.memory import Memory
from models.layers.attention import AttentionPooling, check_heads
from models.layers.context_query import ContextQuery
from models.layers.level_scores import spread, stretch
from models.layers.mapping import Mapping
from models.layers.masks import lengths, masked_mean, prefix_mask, zero_padding
from models.layers.points import assign, point_table
from models.layers.positions import clip_endpoints, sinusoid
from models.layers.pyramid import LevelHead, Pyramid, level_sizes, pack, unpack
from models.layers.transformer import DecoderLayer
from models.losses.classification import focal, weighted_cross_entropy
from models.losses.contrastive import clip_contrast
from models.losses.spans import mean_l1
from models.method import Departures, Method

RELEASED_CLIPS = 1024  # points of the first level that the released code can hold
LARGEST_SCALE = 100.0  # bound of the inverse temperature of the saliency contrast


@dataclass(frozen=True, kw_only=True)
class Deviations(Departures):
    """Where the released code departs from the equations: one field per group, true = as released."""

    padded_lengths: bool  # clip times, positional code and pooled means divide by the padded length
    absorbing_mask: bool  # -1e9 on whole rows of the memory attention: uniform weights on padding, which is then kept
    padded_points: bool  # points in the padding compete in loss and ranking; at most 1024 clips
    stretched_saliency: bool  # saliency read from padded level sizes; samples without a positive clip are not left out
    shared_negative_mask: bool  # negatives may be the same video; both sets are labelled by the mask of the hard one
    mapped_memory: bool  # the memory lives in mapped space, its mappings are never trained, updates depend on the order
    dead_modules: bool  # keeps the parameters of a self-attention whose result nothing reads


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Factors of the four terms of the loss."""

    cls: float
    reg: float
    sal: float
    neg: float


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method. `numerics` chooses a preset of deviations; `deviations` replaces the preset."""

    numerics: Literal["corrected", "released"]
    hidden: int  # C
    heads: int
    ffn_ratio: int  # width of the decoder's feed-forward part, in units of C
    strides: tuple[int, ...]  # of the pyramid's levels, in clips: increasing powers of two, the first is 1
    dropout: float  # in the mappings and in the trilinear similarity
    attention_dropout: float  # on the weights of the memory attention
    drop_path: float  # probability that a sample skips one branch of the decoder
    top: int  # windows kept per query
    sample_radius: float  # a point is positive within this many strides of a window's middle
    focal_gamma: float
    temperature: float  # of the saliency contrast
    loss_weights: LossWeights
    share_trunk: bool = (
        False  # one dropout mask for the three adapter passes instead of three: faster, equal only without dropout
    )
    adjusted: tuple[str, ...] = ("video", "query")  # sides with a front-door adjustment; the others have g = 0 (ablation)
    observing: bool = True  # the dictionaries follow the batches; False: they stay as they were made (ablation)
    deviations: Deviations | None = None  # None: the preset of `numerics`

    def __post_init__(self) -> None:
        if not set(self.adjusted) <= {"video", "query"}:
            raise ValueError(f"adjusted: expected some of video and query, got {', '.join(self.adjusted)}")
        Deviations.chosen(self.numerics, self.deviations)
        check_heads(self.hidden, self.heads, even=True)
        powers = all(stride > 0 and stride & (stride - 1) == 0 for stride in self.strides)
        if not (powers and self.strides[:1] == (1,) and list(self.strides) == sorted(set(self.strides))):
            raise ValueError(f"strides: expected increasing powers of two from 1 on, got {self.strides}")

    @property
    def deviates(self) -> Deviations:
        """The deviations in force."""
        return Deviations.chosen(self.numerics, self.deviations)


@dataclass(frozen=True, kw_only=True)
class Draws:
    """positive (B,) int64: one clip per sample, uniform among those with a saliency target (clip 0 where there is none)."""

    positive: Tensor


_Pair = tuple[Tensor, Tensor]  # of the video and of the query
_Dictionaries = tuple[Tensor | None, ...]  # the same; None: this side is not adjusted


@dataclass(frozen=True, kw_only=True)
class _Real:
    """Of the rows of one pass: masks clips (B, T) and tokens (B, L), positional code places (B, T, C) of the clips."""

    clips: Tensor
    tokens: Tensor
    places: Tensor


@dataclass(frozen=True, kw_only=True)
class Negatives:
    """The shifted and the hard foreign video of every sample, in this order.

    index (2, B)     whose video
    logits (2, B)    of the relevance head
    foreign (2, B)   bool, False where that video is not a foreign one
    """

    index: Tensor
    logits: Tensor
    foreign: Tensor


@dataclass(frozen=True, kw_only=True)
class Output:
    """What the network says; times in clips.

    logits (B, P), offsets (B, P, 2)     of the points: is a window's middle here; distances to its ends in strides
    points (P, 4), point_mask (B, P)     models.layers.points.point_table; points inside their video
    sizes                                points per level
    similarity (B, T)                    cosine of clip and query
    answerable (B,)                      logit: can the query be answered in this video
    negatives, positive                  None without draws
    """

    logits: Tensor
    offsets: Tensor
    points: Tensor
    point_mask: Tensor
    sizes: tuple[int, ...]
    similarity: Tensor
    answerable: Tensor
    negatives: Negatives | None
    positive: Tensor | None


class Model(Method):
    """The network. `widths` and `confounders` have the entries video and query; each dictionary is (K, width of its entry)."""

    TASK = "moments"
    saliency_scale: Tensor

    def __init__(self, config: Config, *, widths: Named[str, int], confounders: Named[str, Tensor]) -> None:
        super().__init__(config, widths=widths, confounders=confounders)
        self.deviates, size = config.deviates, config.hidden
        for name in ("video", "query"):
            if confounders[name].dim() != 2 or confounders[name].shape[1] != widths[name]:
                raise ValueError(f"{name} confounders: expected (K, {widths[name]}), got {tuple(confounders[name].shape)}")
        self.video_map = Mapping(d_in=widths["video"] + 2, d_model=size, dropout=config.dropout)
        self.query_map = Mapping(d_in=widths["query"], d_model=size, dropout=config.dropout)
        mapped = self.deviates.mapped_memory
        self.video_memory = Memory(confounders["video"], d_model=size, dropout=config.dropout, mapped=mapped)
        self.query_memory = Memory(confounders["query"], d_model=size, dropout=config.dropout, mapped=mapped)
        self.video_front_door = FrontDoor(d_model=size, heads=config.heads, dropout=config.attention_dropout)
        self.query_front_door = FrontDoor(d_model=size, heads=config.heads, dropout=config.attention_dropout)
        if self.deviates.dead_modules:  # never called: the reference trains without them, its checkpoints have them
            self.video_dead = MemoryAttention(d_model=size, heads=config.heads, dropout=0.0)
            self.query_dead = MemoryAttention(d_model=size, heads=config.heads, dropout=0.0)
        self.context_query = ContextQuery(d_model=size, dropout=config.dropout)
        inner = config.ffn_ratio * size
        self.decoder = DecoderLayer(d_model=size, heads=config.heads, d_inner=inner, drop_path=config.drop_path)
        self.relevance = nn.Sequential(nn.LayerNorm(2 * size), nn.Linear(2 * size, 1))
        self.pyramid = Pyramid(d_model=size, strides=config.strides)
        self.pooling = AttentionPooling(size)
        self.class_head = LevelHead(d_model=size, outputs=1)
        self.offset_head = LevelHead(d_model=size, outputs=2)
        self.offset_scale = nn.Parameter(torch.ones(len(config.strides)))
        self.register_buffer("saliency_scale", torch.tensor([math.log(1 / config.temperature)]))

    def observe(self, batch: Grounding) -> None:
        """Average the batch into both dictionaries."""
        if not self.config.observing:
            return
        own = not self.deviates.padded_lengths
        self.video_memory.observe(masked_mean(batch.video, batch.video_mask if own else None))
        self.query_memory.observe(masked_mean(batch.query, batch.query_mask if own else None))

    def draw(self, batch: Grounding, generator: torch.Generator) -> Draws:
        """The positive clips of the saliency contrast."""
        if batch.saliency is None:
            raise ValueError("draws need a batch with targets: saliency")
        uniform = torch.rand(len(batch), 1, generator=generator).to(batch.saliency.device, non_blocking=True)
        candidate = (batch.saliency != 0) & batch.video_mask
        count = candidate.sum(dim=1, keepdim=True)
        rank = (uniform * count).long().clamp(max=(count - 1).clamp(min=0))  # the product may round up to count
        first_after = (candidate.cumsum(dim=1) <= rank).sum(dim=1)
        return Draws(positive=first_after.where(count[:, 0] > 0, 0))

    def forward(self, batch: Grounding, draws: Draws | None = None) -> Output:
        """One pass over the batch. With draws also over foreign videos, which only the losses need.

        Raises ValueError for more than 1024 clips under `padded_points`.
        """
        length = batch.video.shape[1]
        if self.deviates.padded_points and length > RELEASED_CLIPS:
            raise ValueError(f"{length} clips: padded_points (released) holds at most {RELEASED_CLIPS}; use corrected numerics")
        n = lengths(batch.video_mask)
        n = torch.full_like(n, length) if self.deviates.padded_lengths else n
        real = _Real(clips=batch.video_mask, tokens=batch.query_mask, places=sinusoid(n, length, self.config.hidden))
        # The first normalisation sees no dropout: its result serves all three passes.
        clips = self.video_map.norm_in(torch.cat((batch.video, clip_endpoints(n, length)), dim=-1))  # (B, T, D_v + 2)
        tokens = self.query_map.norm_in(batch.query)  # (B, L, D_q)
        sides = {"video": self.video_memory, "query": self.query_memory}
        dictionaries = tuple(memory() if side in self.config.adjusted else None for side, memory in sides.items())

        video, query = self.encode(clips, tokens, real, dictionaries)
        grounded = self.ground(video, query, real)  # (B, T, C)
        negatives = None
        if draws is not None:
            # Without dropout the rows are the same in every pass.
            shared = (video, query) if self.config.share_trunk or not self.training else None
            index, foreign = self.foreign_videos(batch.video_group, self.mean(query, real.tokens))
            passes = [self.foreign_pass(other, clips, tokens, real, dictionaries, shared) for other in index]
            negatives = Negatives(index=index, logits=torch.stack(passes), foreign=foreign)

        rectified = F.relu(grounded)  # everything below reads the rectified rows, the relevance head does not
        levels = self.pyramid(rectified)
        sizes = level_sizes(length, self.config.strides)
        point_mask = self.point_mask(batch.video_mask, sizes)  # (B, P)
        with torch.autocast(rectified.device.type, enabled=False):
            logits, offsets = self.predict(levels, torch.ones_like(point_mask[:1]) if self.deviates.padded_points else point_mask)
            pooled = self.pooling(query.float(), batch.query_mask)  # (B, 1, C)
            similarity = F.cosine_similarity(rectified.float(), pooled, dim=-1)
        return Output(
            logits=logits,
            offsets=offsets,
            points=point_table(sizes, self.config.strides, logits.device),
            point_mask=point_mask,
            sizes=sizes,
            similarity=similarity,
            answerable=self.answerable_logit(grounded, query, real),
            negatives=negatives,
            positive=None if draws is None else draws.positive,
        )

    def foreign_pass(
        self, other: Tensor, clips: Tensor, tokens: Tensor, real: _Real, dictionaries: _Dictionaries, shared: _Pair | None
    ) -> Tensor:
        """Relevance logits (B,) of the queries with the videos of samples `other` (B,). `shared`: rows not to be encoded anew."""
        there = replace(real, clips=real.clips[other], places=real.places[other])
        video, query = (shared[0][other], shared[1]) if shared else self.encode(clips[other], tokens, there, dictionaries)
        return self.answerable_logit(self.ground(video, query, there), query, there)

    def encode(self, clips: Tensor, tokens: Tensor, real: _Real, dictionaries: _Dictionaries) -> _Pair:
        """Normalised features (B, T, D_v + 2) and (B, L, D_q) -> deconfounded rows (B, T, C) and (B, L, C)."""
        video, query = self.video_map.after_norm(clips), self.query_map.after_norm(tokens)
        if self.deviates.absorbing_mask:
            video = self.video_front_door(video, dictionaries[0], absorbed=~real.clips)
            return video, self.query_front_door(query, dictionaries[1], absorbed=~real.tokens)
        video, query = self.video_front_door(video, dictionaries[0]), self.query_front_door(query, dictionaries[1])
        return zero_padding(video, real.clips), zero_padding(query, real.tokens)

    def ground(self, video: Tensor, query: Tensor, real: _Real) -> Tensor:
        """The clips (B, T, C) in the light of the query (B, L, C): (B, T, C)."""
        told = self.context_query(video, real.clips, query, real.tokens)
        if self.deviates.absorbing_mask:
            return self.decoder(told, real.clips, query, real.tokens, real.places)
        told = zero_padding(told, real.clips)
        return zero_padding(self.decoder(told, real.clips, query, real.tokens, real.places), real.clips)

    def answerable_logit(self, grounded: Tensor, query: Tensor, real: _Real) -> Tensor:
        """Logit (B,) that the query can be answered in the video."""
        with torch.autocast(grounded.device.type, enabled=False):
            clips, tokens = self.mean(grounded, real.clips), self.mean(query, real.tokens)
            return self.relevance(torch.cat((clips, tokens), dim=-1))[:, 0]

    def mean(self, rows: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) -> (B, C)."""
        return masked_mean(rows.float(), None if self.deviates.padded_lengths else mask)

    @torch.no_grad()
    def foreign_videos(self, video_group: Tensor, query_means: Tensor) -> _Pair:
        """The next sample and the one of the most similar query, as index (2, B), and whether its video is a foreign one (2, B).

        video_group (B,), query_means (B, C). Samples of the same video are passed over; where there is no other, any.
        """
        size, means = len(video_group), F.normalize(query_means, dim=-1)
        alike = means @ means.T  # (B, B)
        here = torch.arange(size, device=alike.device)
        differs = video_group[:, None] != video_group[None, :]
        if self.deviates.shared_negative_mask:
            index = torch.stack(((here + 1) % size, alike.fill_diagonal_(-1e4).argmax(dim=1)))
            return index, differs.gather(1, index[1][:, None]).T.expand(2, -1)
        steps = (here[None, :] - here[:, None]) % size  # (B, B): how far behind sample i is sample j
        index = torch.stack((steps.masked_fill(~differs, size).argmin(dim=1), alike.masked_fill(~differs, -2.0).argmax(dim=1)))
        return index, differs.any(dim=1).expand(2, -1)

    def point_mask(self, video_mask: Tensor, sizes: tuple[int, ...]) -> Tensor:
        """(B, P): which points stand for clips of the video; under `padded_points` one real clip is enough."""
        strides = self.config.strides[: len(sizes)]
        if self.deviates.padded_points:
            parts = [
                video_mask[:, : size * stride].unflatten(1, (size, stride)).any(dim=2)
                for size, stride in zip(sizes, strides, strict=True)
            ]
        else:
            n = lengths(video_mask)
            parts = [prefix_mask(n // stride, size) for size, stride in zip(sizes, strides, strict=True)]
        return torch.cat(parts, dim=1)

    def predict(self, levels: list[Tensor], real: Tensor) -> tuple[Tensor, Tensor]:
        """levels (B, T_l, C), real (B or 1, P) -> logits (B, P), offsets (B, P, 2) above 0."""
        sizes = [level.shape[1] for level in levels]
        gapped = torch.cat([F.pad(part, (0, 1)) for part in real.split(sizes, dim=1)], dim=1)  # False between the levels
        packed = pack([level.float() for level in levels])
        logits = unpack(self.class_head(packed, gapped), sizes)[:, 0]
        scale = torch.cat([scale.expand(size) for scale, size in zip(self.offset_scale, sizes, strict=False)])  # (P,)
        return logits, (unpack(self.offset_head(packed, gapped), sizes).exp() * scale).mT

    def losses(self, output: Output, batch: Grounding) -> dict[str, Tensor]:
        """cls, reg, sal, neg, unweighted, and their weighted sum "total"."""
        if batch.spans is None or batch.spans_mask is None or batch.saliency is None:
            raise ValueError("losses need a batch with targets: spans, spans_mask, saliency")
        if output.negatives is None or output.positive is None:
            raise ValueError("losses need the output of a forward pass with draws")
        config, released = self.config, self.deviates
        with torch.autocast(output.logits.device.type, enabled=False):
            windows = batch.spans * batch.fps[:, None, None]  # (B, G, 2) in clips
            positive, distances = assign(output.points, windows, batch.spans_mask, radius=config.sample_radius)
            if not released.padded_points:
                positive = positive & output.point_mask
            relevant = batch.saliency.gather(1, output.positive[:, None])[:, 0] > 0
            relevance_logits = torch.cat((output.answerable[None], output.negatives.logits))  # (3, B)
            own = torch.ones_like(output.negatives.foreign[:1])
            foreign = torch.cat((~own, output.negatives.foreign))  # what is not foreign counts as answerable, or not at all
            counted = torch.ones_like(foreign) if released.shared_negative_mask else torch.cat((own, output.negatives.foreign))
            terms = {
                "cls": focal(output.logits, positive, output.point_mask, gamma=config.focal_gamma),
                "reg": mean_l1(output.offsets, distances, positive, at_least=0 if released.padded_points else 1),
                "sal": clip_contrast(
                    self.saliency_scale.exp().clamp(max=LARGEST_SCALE) * output.similarity,
                    batch.saliency,
                    batch.video_mask,
                    output.positive,
                    None if released.stretched_saliency else relevant,
                ),
                "neg": weighted_cross_entropy(relevance_logits, ~foreign, counted),
            }
            weights = {field.name: getattr(config.loss_weights, field.name) for field in fields(config.loss_weights)}
            return {**terms, "total": torch.stack([weights[name] * term for name, term in terms.items()]).sum()}

    @torch.no_grad()
    def decode(self, output: Output, batch: Grounding) -> list[Moments]:
        """At most `top` windows per query by descending score (equal ones in the order of the points); saliency of each clip."""
        position, _, _, stride = output.points.T  # (P,)
        ends = torch.stack((position - output.offsets[..., 0] * stride, position + output.offsets[..., 1] * stride), dim=-1)
        score = output.logits.sigmoid()  # (B, P)
        counted = torch.ones_like(output.point_mask) if self.deviates.padded_points else output.point_mask
        order = score.masked_fill(~counted, -1.0).argsort(dim=1, descending=True, stable=True)[:, : self.config.top]
        rows = torch.cat((ends / batch.fps[:, None, None], score[..., None]), dim=-1)  # (B, P, 3)
        rows = rows.gather(1, order[..., None].expand(-1, -1, 3)).cpu()
        kept = counted.sum(dim=1).clamp(max=self.config.top).tolist()
        saliency = self.saliency(score, output, batch)
        answerable = output.answerable.sigmoid().tolist()
        return [Moments(windows=rows[i, : kept[i]], saliency=saliency[i], answerable=answerable[i]) for i in range(len(batch))]

    def saliency(self, score: Tensor, output: Output, batch: Grounding) -> list[Tensor]:
        """Best point score at each clip times cosine of clip and query: one (T_i,) per sample, on the CPU."""
        n, length = lengths(batch.video_mask), batch.video.shape[1]
        if not self.deviates.stretched_saliency:
            value = (spread(score, output.sizes, self.config.strides, n, length) * output.similarity).cpu()
            return [row[:count] for row, count in zip(value, n.tolist(), strict=True)]
        counts = [length] if len(batch) == 1 else n.tolist()  # the reference looks at the mask in larger batches only
        return [
            stretch(row, output.sizes, count) * cosine[:count]
            for row, cosine, count in zip(score.cpu(), output.similarity.cpu(), counts, strict=True)
        ]
