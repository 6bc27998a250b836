"""A plain transformer as backbone: words and clips each read by self-attention, then together.

    q = layers(map w + p),   v = layers(map c + p),   |q|, |v| = pooled rows,   f = map [pooled layers [q; v], |q|, |v|, |q| |v|]

The second backbone of the methods that go around one.   B batch, L words, T clips, D channels.  Masks: True = real.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.backbones.question_video import Encoded, QuestionVideo
from models.layers.attention import check_heads
from models.layers.dropout import Dropout
from models.layers.encoder_layers import PooledRows, PreNormLayer
from models.layers.masks import zero_padding
from models.layers.positions import word_positions


@dataclass(frozen=True, kw_only=True)
class ClipWordTransformer:
    """Sizes of the backbone."""

    d_model: int  # D
    heads: int
    layers: int  # of each of the three stacks
    d_inner: int
    dropout: float

    def __post_init__(self) -> None:
        check_heads(self.d_model, self.heads, even=True)
        if self.d_model < 4:
            raise ValueError(f"d_model: expected at least 4, got {self.d_model}")


class Stack(nn.Module):
    """Layers, a last norm, and one row for the sequence."""

    def __init__(self, sizes: ClipWordTransformer) -> None:
        super().__init__()
        width = sizes.d_model
        self.layers = nn.ModuleList(
            PreNormLayer(d_model=width, heads=sizes.heads, d_inner=sizes.d_inner, dropout=sizes.dropout)
            for _ in range(sizes.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.pool = PooledRows(width, hidden=True)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, T, D), mask (B, T) -> rows (B, T, D), zero on padding; summary (B, D)."""
        for layer in self.layers:
            x = layer(x, mask)
        x = zero_padding(self.norm(x), mask)
        return x, self.pool(x, mask)[0]


class TransformerBackbone(QuestionVideo):
    """The network above. Clips that are left out keep their place: the others keep the time code they had."""

    def __init__(self, sizes: ClipWordTransformer, *, d_video: int, d_query: int) -> None:
        super().__init__()
        self.width = sizes.d_model
        self.word, self.clip = nn.Linear(d_query, self.width), nn.Linear(d_video, self.width)
        self.question, self.video, self.both = (Stack(sizes) for _ in range(3))
        self.side = nn.Parameter(torch.zeros(2, self.width))  # tells words from clips
        self.out = nn.Linear(4 * self.width, self.width)
        self.drop = Dropout(sizes.dropout)

    def read(self, words: Tensor, mask: Tensor) -> Encoded:
        """(B, L, D_q) -> L rows."""
        return self._encoded(self.question, self.word(words), mask)

    def watch(self, clips: Tensor, keep: Tensor | None) -> Encoded:
        """(B, T, D_v) -> T rows, zero where a clip is left out."""
        everything = torch.ones(clips.shape[:2], dtype=torch.bool, device=clips.device)
        return self._encoded(self.video, self.clip(clips), everything if keep is None else keep)

    def _encoded(self, stack: nn.Module, x: Tensor, mask: Tensor) -> Encoded:
        x = self.drop(x + word_positions(x.shape[1], self.width, x.device).to(x.dtype))
        rows, summary = stack(x, mask)
        return Encoded(rows=rows, mask=mask, summary=summary, counted=mask)

    def join(self, question: Encoded, video: Encoded) -> Tensor:
        """(B, D)."""
        rows = torch.cat((question.rows + self.side[0], video.rows + self.side[1]), dim=1)
        pooled = self.both(rows, torch.cat((question.mask, video.mask), dim=1))[1]
        match = question.summary * video.summary  # candidates differ in what the video has of them
        return self.out(torch.cat((pooled, question.summary, video.summary, match), dim=-1))
