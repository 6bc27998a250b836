"""The smallest backbone that can answer: the words, summed up by attention, look for their clips.

    w = drop(relu(norm(W words))),   |q| = drop(P [sum_i a_i^1 w_i ... sum_i a_i^H w_i]),   a^h = softmax_i(u_h w_i)   -> read
    v = W' clips / rms(clips),       |v| = mean of the kept rows                                                      -> watch
    c = sum_t softmax_t(Q|q| . K v_t / sqrt(D)) drop(v_t),   f = drop(relu(W" [c; |q|; |v|; k c |q|]))                   -> join

norm: over the channels, without parameters; rms: of the channels of each clip, taken as a constant. So nothing depends on the
scale of the features, yet a factor on a clip has a gradient, which a norm would take away: splits of a video learn through it.
For the same reason W' has no bias. No recurrence and no layers: a step costs a fifth of the other backbones', and clips know
nothing of each other or of their place. Where each of several candidates is read with its question, the answer is in the product
alone, and without a bias to begin with no part of it has a slope of its own: a larger k leaves that plateau sooner.
Source: this project.
B batch, L words, T clips, H word heads, D channels.  Masks: True = real.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.backbones.question_video import Encoded, QuestionVideo
from models.layers.dropout import Dropout
from models.layers.learned_graph import plain_norm
from models.layers.masks import lengths, zero_padding

SHORTEST = 1e-6  # root mean square below which a clip is left as it is: nothing


@dataclass(frozen=True, kw_only=True)
class AttentionReader:
    """Sizes of the backbone."""

    channels: int  # D
    word_heads: int  # H: ways in which the words are summed up, who and what apart
    dropout: float
    product: float = 1.0  # k: weight of what the words and the clips that they found have in common

    def __post_init__(self) -> None:
        if self.channels < 1 or self.word_heads < 1:
            raise ValueError(f"expected at least one channel and one word head, got {self.channels} and {self.word_heads}")


class AttentionReaderBackbone(QuestionVideo):
    """The network above. Clips that are left out keep their place."""

    def __init__(self, sizes: AttentionReader, *, d_video: int, d_query: int) -> None:
        super().__init__()
        self.width, self.product, heads = sizes.channels, sizes.product, sizes.word_heads
        self.word, self.clip = nn.Linear(d_query, self.width), nn.Linear(d_video, self.width, bias=False)
        self.weigh, self.sum_up = nn.Linear(self.width, heads), nn.Linear(heads * self.width, self.width)
        self.asked, self.offered = nn.Linear(self.width, self.width), nn.Linear(self.width, self.width)
        self.out = nn.Linear(4 * self.width, self.width)
        nn.init.normal_(self.clip.weight, std=d_video**-0.5)  # rows of v begin with deviation 1, as those of w have
        self.drop = Dropout(sizes.dropout)

    def read(self, words: Tensor, mask: Tensor) -> Encoded:
        """(B, L, D_q) -> L rows."""
        rows = zero_padding(self.drop(F.relu(plain_norm(self.word(words)))), mask)
        weights = self.weigh(rows).masked_fill(~mask[..., None], -math.inf).softmax(dim=1)  # (B, L, H)
        summary = self.drop(self.sum_up((weights.mT @ rows).flatten(start_dim=1)))
        return Encoded(rows=rows, mask=mask, summary=summary, counted=mask)

    def watch(self, clips: Tensor, keep: Tensor | None) -> Encoded:
        """(B, T, D_v) -> T rows, zero where a clip is left out."""
        length = clips.detach().square().mean(dim=-1, keepdim=True).sqrt()
        rows = self.clip(clips / length.clamp(min=SHORTEST))
        mask = torch.ones(rows.shape[:2], dtype=torch.bool, device=rows.device) if keep is None else keep
        rows = rows if keep is None else zero_padding(rows, keep)
        return Encoded(rows=rows, mask=mask, summary=rows.sum(dim=1) / lengths(mask)[:, None], counted=mask)

    def join(self, question: Encoded, video: Encoded) -> Tensor:
        """(B, D)."""
        query = self.asked(question.summary)[..., None]  # (B, D, 1)
        score = (self.offered(video.rows) @ query)[..., 0] / math.sqrt(self.width)  # (B, T)
        weights = score.masked_fill(~video.mask, -math.inf).softmax(dim=-1)
        seen = (weights[:, None] @ self.drop(video.rows))[:, 0]
        both = torch.cat((seen, question.summary, video.summary, self.product * seen * question.summary), dim=-1)
        return self.drop(F.relu(self.out(both)))
