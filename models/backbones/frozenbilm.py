"""FrozenBiLM: a frozen DeBERTa-v2 that reads frames and words together and fills in one word, yes or no.

    h = DeBERTa([W f_1 .. W f_T, words]);   z = h_(-2) + position,  twice  z = layer_last(queries z, keys h_(-2))   -> forward
    P(yes) = softmax(E_(yes, no) norm(gelu(W z_mask)) + b)                                                          -> AnswerWords

Only adapters x + U relu(V x) behind the dense layers, the norms and the projection of the frames learn.
Source: FrozenBiLM (NeurIPS 2022). The language model is the library's; see `PaddedQueries` for the one place that differs.
B batch, T frames, L words, S = T + L, H channels, F feature width.  Masks: True = real.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.masks import lengths

DECODING_PASSES = 2  # of the last layer, with absolute positions
FIXED: dict[str, Any] = {  # of every published DeBERTa-v2
    "type_vocab_size": 0,
    "relative_attention": True,
    "max_relative_positions": -1,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "conv_act": "gelu",
    "hidden_act": "gelu",
}


@dataclass(frozen=True, kw_only=True)
class Deberta:
    """Sizes of the language model, by the names of the library's config.json; what was added to it; the words that matter."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    position_buckets: int
    conv_kernel_size: int
    pad_token_id: int
    layer_norm_eps: float
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    adapter_attention: int  # H over the width of an adapter behind attention
    adapter_feed_forward: int
    adapter_dropout: float
    mask_token_id: int
    yes_no_token_ids: tuple[int, int]


ADDED = {"adapter_attention", "adapter_feed_forward", "adapter_dropout", "mask_token_id", "yes_no_token_ids"}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """hidden (B, S, H) frames first; at_mask (B, S) bool, one True per row; attention (B, T) of the mask word, or None."""

    hidden: Tensor
    at_mask: Tensor
    attention: Tensor | None


class Adapted(nn.Module):
    """A frozen dense layer and the adapter behind it."""

    def __init__(self, dense: nn.Linear, *, factor: int, dropout: float) -> None:
        super().__init__()
        width = dense.out_features
        self.dense = dense
        self.down, self.up = nn.Linear(width, width // factor), nn.Linear(width // factor, width)
        self.drop = nn.Dropout(dropout)
        for linear in (self.down, self.up):  # begins near the identity
            nn.init.normal_(linear.weight, std=1e-3)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) -> (..., H)."""
        x = self.dense(x)
        return x + self.up(self.drop(F.relu(self.down(x))))


class PaddedQueries(nn.Module):
    """The library's attention with no context for padding: where everything is masked the library attends uniformly."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, hidden: Tensor, attention_mask: Tensor, *arguments: Any, **named: Any) -> tuple[Tensor, Tensor | None]:
        """As the wrapped module; attention_mask (B, 1, S, S)."""
        context, weights = self.attention(hidden, attention_mask, *arguments, **named)
        real = attention_mask[:, 0].diagonal(dim1=-2, dim2=-1)  # (B, S)
        return context * real[..., None].to(context.dtype), weights


class AnswerWords(nn.Module):
    """Head of the masked language model, for two words only."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.dense, self.norm = nn.Linear(size, size), nn.LayerNorm(size, eps=eps)
        self.words, self.bias = nn.Parameter(torch.zeros(2, size)), nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        """x (..., H) -> (..., 2) logits of yes and no."""
        return self.norm(F.gelu(self.dense(x))) @ self.words.T + self.bias


class Fusion(nn.Module):
    """f(y) = W norm([phi, y]): a row in the light of what stands at the mask word."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm, self.join = nn.LayerNorm(2 * size), nn.Linear(2 * size, size)

    def forward(self, phi: Tensor, rows: Tensor) -> Tensor:
        """phi (B, H), rows (B, H) or (B, T, H) -> as rows."""
        phi = phi if rows.dim() == 2 else phi[:, None].expand_as(rows)
        return self.join(self.norm(torch.cat((phi, rows), dim=-1)))


class FrozenLanguageModel(nn.Module):
    """The network above."""

    def __init__(self, sizes: Deberta, *, d_in: int) -> None:
        from transformers import DebertaV2Config, DebertaV2Model  # takes seconds: not for those who only read settings

        super().__init__()
        self.sizes = sizes
        library = {name: value for name, value in asdict(sizes).items() if name not in ADDED}
        self.deberta = DebertaV2Model(DebertaV2Config(**library, **FIXED))
        for layer in self.deberta.encoder.layer:
            layer.attention.self = PaddedQueries(layer.attention.self)
            for part, factor in ((layer.attention.output, sizes.adapter_attention), (layer.output, sizes.adapter_feed_forward)):
                part.dense = Adapted(part.dense, factor=factor, dropout=sizes.adapter_dropout)
        self.project = nn.Linear(d_in, sizes.hidden_size)
        self.positions = nn.Embedding(sizes.max_position_embeddings, sizes.hidden_size)
        self.head = AnswerWords(sizes.hidden_size, sizes.layer_norm_eps)
        nn.init.normal_(self.positions.weight, std=self.deberta.config.initializer_range)
        self.take_answer_words()
        self.freeze()

    @torch.no_grad()
    def take_answer_words(self) -> None:
        """Copy the vectors of yes and no from the vocabulary."""
        self.head.words.copy_(self.deberta.embeddings.word_embeddings.weight[list(self.sizes.yes_no_token_ids)])

    def freeze(self) -> None:
        """Everything that was pretrained, but the norms; the vectors of yes and no, too."""
        for part in (self.deberta, self.positions, self.head):
            for name, parameter in part.named_parameters():
                parameter.requires_grad_(any(kind in name for kind in (".up.", ".down.", "LayerNorm", "norm.")))

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Weights of a masked DeBERTa-v2 of the same sizes, by the published names (deberta.*, lm_predictions.lm_head.*).

        Read them from the file itself: the library's model leaves out the absolute positions, and may leave the head random.
        Raises RuntimeError if one is missing or has another shape.
        """
        renamed = {ours: state[theirs] for theirs, ours in library_names(self.sizes.num_hidden_layers).items() if theirs in state}
        own = {name for name, _ in self.named_parameters()}
        wanted = {name for name in own if not name.startswith(("project.", "head.words", "head.bias")) and ".up." not in name}
        if missing := {name for name in wanted if ".down." not in name} - renamed.keys():
            raise RuntimeError(f"not in the pretrained weights: {', '.join(sorted(missing))}")
        self.load_state_dict(renamed, strict=False)
        self.take_answer_words()

    def forward(self, video: Tensor, ids: Tensor, real: Tensor, *, attention: bool) -> Reading:
        """video (B, T, F), ids and real (B, L), one mask word in each row -> hidden states.

        `attention`: also what the mask word attends to in an ordinary pass of the last layer, as a mean over heads.
        """
        encoder, frames = self.deberta.encoder, video.shape[1]
        mask = torch.cat((real.new_ones(real.shape[0], frames), real), dim=1)  # (B, S)
        tokens = torch.cat((self.project(video), self.deberta.embeddings.word_embeddings(ids)), dim=1)
        embedded = self.deberta.embeddings(inputs_embeds=tokens, mask=mask.long())
        places = {
            "attention_mask": encoder.get_attention_mask(mask.long()),
            "relative_pos": encoder.get_rel_pos(embedded),
            "rel_embeddings": encoder.get_rel_embedding(),
        }
        previous = embedded
        for index, layer in enumerate(encoder.layer[:-1]):
            previous = layer(previous, **places)[0]
            if index == 0:  # the convolution reads the embeddings beside the first layer
                previous = encoder.conv(embedded, previous, mask.long())
        at_mask = F.pad(ids == self.sizes.mask_token_id, (frames, 0))
        attended = self.attended(previous, at_mask, frames, places) if attention else None
        hidden = previous + self.positions.weight[: mask.shape[1]]
        for _ in range(DECODING_PASSES):
            hidden = encoder.layer[-1](previous, query_states=hidden, **places)[0]
        return Reading(hidden=hidden, at_mask=at_mask, attention=attended)

    def attended(self, previous: Tensor, at_mask: Tensor, frames: int, places: Mapping[str, Tensor]) -> Tensor:
        """Weights (B, T) that the mask word gives to the frames, not summing to 1: the words have the rest."""
        weights = self.deberta.encoder.layer[-1](previous, output_attentions=True, **places)[1]  # (B, heads, S, S)
        return row_at(weights.mean(dim=1), at_mask)[:, :frames]


def row_at(x: Tensor, at: Tensor) -> Tensor:
    """x (B, S, D), at (B, S) with one True per row -> (B, D)."""
    return (at[:, None].to(x.dtype) @ x)[:, 0]


def longest(real: Tensor) -> int:
    """Number of tokens of the longest text in real (B, L)."""
    return int(lengths(real).max())


def library_names(layers: int) -> dict[str, str]:
    """Names of the library's masked language model -> ours."""
    names = {
        "deberta.embeddings.word_embeddings.weight": "deberta.embeddings.word_embeddings.weight",
        "deberta.embeddings.position_embeddings.weight": "positions.weight",
        "deberta.encoder.rel_embeddings.weight": "deberta.encoder.rel_embeddings.weight",
    }
    both = {
        "deberta.embeddings.LayerNorm": "deberta.embeddings.LayerNorm",
        "deberta.encoder.LayerNorm": "deberta.encoder.LayerNorm",
        "deberta.encoder.conv.conv": "deberta.encoder.conv.conv",
        "deberta.encoder.conv.LayerNorm": "deberta.encoder.conv.LayerNorm",
        "lm_predictions.lm_head.dense": "head.dense",
        "lm_predictions.lm_head.LayerNorm": "head.norm",
    }
    for index in range(layers):
        at = f"deberta.encoder.layer.{index}"
        both |= {f"{at}.attention.self.{name}": f"{at}.attention.self.attention.{name}" for name in _PROJECTIONS}
        both |= {f"{at}.{part}.dense": f"{at}.{part}.dense.dense" for part in ("attention.output", "output")}
        both |= {f"{at}.{part}.LayerNorm": f"{at}.{part}.LayerNorm" for part in ("attention.output", "output")}
        both[f"{at}.intermediate.dense"] = f"{at}.intermediate.dense"
    return names | {f"{theirs}.{kind}": f"{ours}.{kind}" for theirs, ours in both.items() for kind in ("weight", "bias")}


_PROJECTIONS = ("query_proj", "key_proj", "value_proj")
