"""HGA in the short form of IGV and EIGV: recurrent encoders, one graph over words and clips, two bilinear fusions.

    q, |q| = rnn(relu(W w)),   v, |v| = rnn(relu(W c))           rows and summaries; rows normalised       -> read, watch
    g = pool(graph [q; v]),   f = fuse(fuse'(|q|, |v|), g)                                                 -> join

Source: Jiang and Han (AAAI 2020), without co-attention.   B batch, L words, T clips, H hidden, D = 2 H channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.backbones.question_video import Encoded, QuestionVideo
from models.layers.bilinear import BlockFusion
from models.layers.dropout import Dropout
from models.layers.learned_graph import LatePool, LearnedGraph, plain_norm
from models.layers.masks import lengths, prefix_mask
from models.layers.recurrent import BothWays, Cell


@dataclass(frozen=True, kw_only=True)
class Hga:
    """Sizes of the backbone."""

    hidden: int  # H
    words: int  # channels of a word before the recurrent layer
    cell: Cell
    graph_layers: int
    fusion_inner: int  # M of the bilinear fusions
    fusion_chunks: int
    fusion_rank: int
    dropout: float


class HgaBackbone(QuestionVideo):
    """padded_pool (reference behaviour): the pool's softmax also runs over what pads up to the longest sample of the batch."""

    def __init__(self, sizes: Hga, *, d_video: int, d_query: int, padded_pool: bool) -> None:
        super().__init__()
        self.width, self.padded_pool = 2 * sizes.hidden, padded_pool
        self.word, self.clip = nn.Linear(d_query, sizes.words), nn.Linear(d_video, sizes.hidden)
        for linear in (self.word, self.clip):
            nn.init.xavier_normal_(linear.weight)
        self.question = BothWays(d_in=sizes.words, hidden=sizes.hidden, cell=sizes.cell)
        self.video = BothWays(d_in=sizes.hidden, hidden=sizes.hidden, cell=sizes.cell)
        self.graph = LearnedGraph(d_model=self.width, layers=sizes.graph_layers, dropout=sizes.dropout)
        self.pool = LatePool(self.width)
        self.fuse_summaries, self.fuse_graph = (
            BlockFusion(
                d_first=self.width,
                d_second=self.width,
                d_out=self.width,
                d_inner=sizes.fusion_inner,
                chunks=sizes.fusion_chunks,
                rank=sizes.fusion_rank,
                dropout=dropout,
            )
            for dropout in (sizes.dropout, 0.0)
        )
        self.drop = Dropout(sizes.dropout)

    def read(self, words: Tensor, mask: Tensor) -> Encoded:
        """Twice dropped out in training, as the published recipe does."""
        return self._encoded(self.question, self.drop(self.drop(F.relu(self.word(words)))), lengths(mask))

    def watch(self, clips: Tensor, keep: Tensor | None) -> Encoded:
        """Kept clips move up to the front, in their order."""
        x = self.drop(F.relu(self.clip(clips)))
        if keep is None:
            return self._encoded(self.video, x, None)
        order = (~keep).to(torch.uint8).argsort(dim=1, stable=True)[..., None]
        return self._encoded(self.video, x.gather(1, order.expand_as(x)), lengths(keep))

    def _encoded(self, network: nn.Module, x: Tensor, count: Tensor | None) -> Encoded:
        rows, summary = network(x, count)
        length = x.shape[1]
        mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if count is None else prefix_mask(count, length)
        counted = prefix_mask(count.max().expand(len(x)), length) if self.padded_pool and count is not None else mask
        return Encoded(rows=plain_norm(rows), mask=mask, summary=summary, counted=counted)

    def join(self, question: Encoded, video: Encoded) -> Tensor:
        """(B, D)."""
        nodes = self.graph(torch.cat((question.rows, video.rows), dim=1))  # (B, L + T, D)
        mask, counted = (torch.cat(pair, dim=1) for pair in ((question.mask, video.mask), (question.counted, video.counted)))
        return self.fuse_graph(self.fuse_summaries(question.summary, video.summary), self.pool(nodes, mask, counted))
