"""TempCLIP: CLIP frame features and a RoBERTa that reads the question with each candidate answer.

    g = sum_l a_l e_l,   e = W RoBERTa(tokens),   a = softmax_l(w e_l)  or  1 / L                            -> CandidateEncoder
    x_t = drop(norm(gelu(W f_t)) + position_t)                                                               -> FrameEmbedding

Source: NExT-GQA (CVPR 2024); the attention pooling of words is CRA's (CVPR 2025).
B batch, M candidates, L tokens, T frames, F feature width, D channels.  Masks: True = real, None = everything is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.layers.dropout import Dropout
from models.layers.encoder_layers import PooledRows
from models.layers.masks import masked_mean, zero_padding

NORM_EPS = 1e-12  # of the norms over frames


@dataclass(frozen=True, kw_only=True)
class Roberta:
    """Sizes of the text encoder, by the names of the library's config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    pad_token_id: int
    layer_norm_eps: float
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float


class CandidateEncoder(nn.Module):
    """One vector per candidate. `mean`: words are averaged, not weighted.

    Without dropout equal texts have equal vectors: on a CPU each is then read once, however many candidates have it. `once`, an
    attribute: False reads every candidate for itself, for those who look at what lies inside.
    """

    once = True

    def __init__(self, sizes: Roberta, *, d_model: int, mean: bool) -> None:
        from transformers import RobertaConfig, RobertaModel  # takes seconds: not for those who only read settings

        super().__init__()
        library = RobertaConfig(**asdict(sizes), attn_implementation="sdpa")
        self.encoder = RobertaModel(library, add_pooling_layer=False)
        self.project = nn.Linear(sizes.hidden_size, d_model)
        self.pool = None if mean else PooledRows(d_model, hidden=False)
        self.random = sizes.hidden_dropout_prob > 0 or sizes.attention_probs_dropout_prob > 0

    def load_pretrained(self, state: Mapping[str, Tensor]) -> None:
        """Weights of a RoBERTa of the same sizes, by the library's names, with or without the prefix `roberta.`.

        Raises RuntimeError if one is missing or has another shape.
        """
        own = self.encoder.state_dict().keys()
        bare = {key.removeprefix("roberta."): value for key, value in state.items()}
        self.encoder.load_state_dict({key: value for key, value in bare.items() if key in own})

    def forward(self, ids: Tensor, real: Tensor, *, pool_pads: bool) -> Tensor:
        """ids, real (B, M, L) -> (B, M, D). `pool_pads`: padding takes part in the pooling (never in the encoder)."""
        flat, mask = ids.flatten(end_dim=1), real.flatten(end_dim=1)
        alike = self.once and not (self.training and self.random)
        if alike and ids.device.type == "cpu":  # elsewhere counting them would wait for the device
            rows, place = torch.cat((flat, mask.to(flat.dtype)), dim=1).unique(dim=0, return_inverse=True)
            flat, mask = rows[:, : flat.shape[1]], rows[:, flat.shape[1] :].bool()
            return self._read(flat, mask, pool_pads=pool_pads)[place].unflatten(0, ids.shape[:2])
        return self._read(flat, mask, pool_pads=pool_pads).unflatten(0, ids.shape[:2])

    def _read(self, ids: Tensor, real: Tensor, *, pool_pads: bool) -> Tensor:
        """ids, real (N, L) -> (N, D)."""
        attended = real[:, None, None]  # with four axes the library takes it as it is; with two it waits for the device to look
        words = self.project(self.encoder(input_ids=ids, attention_mask=attended).last_hidden_state)  # (N, L, D)
        pooled = None if pool_pads else real
        return masked_mean(words, pooled) if self.pool is None else self.pool(words, pooled)[0]


class FrameEmbedding(nn.Module):
    """Frames in model width with their place in the video. `normed`: the sum of both is normalised once more."""

    table: Tensor

    def __init__(self, *, d_in: int, d_model: int, frames: int, dropout: float, normed: bool) -> None:
        super().__init__()
        self.project, self.norm = nn.Linear(d_in, d_model), nn.LayerNorm(d_model, eps=NORM_EPS)
        self.norm_placed = nn.LayerNorm(d_model, eps=NORM_EPS) if normed else nn.Identity()
        self.drop = Dropout(dropout)
        self.register_buffer("table", frame_positions(frames, d_model))

    def forward(self, video: Tensor, mask: Tensor | None) -> Tensor:
        """video (B, T, F) -> (B, T, D).

        Raises ValueError for more frames than there are places.
        """
        if video.shape[1] > len(self.table):
            raise ValueError(f"{video.shape[1]} frames; this model was built for at most {len(self.table)}: raise max_frames")
        if mask is not None:
            video = zero_padding(video, mask)
        x = self.norm(F.gelu(self.project(video))) + self.table[: video.shape[1]]
        return self.drop(self.norm_placed(x))


def frame_positions(length: int, d_model: int) -> Tensor:
    """Code of places 0..length-1, (length, d_model): sin(p f_i) on even channels 2i, cos on odd, f_i = 10000^(-2i / D)."""
    rate = torch.exp(torch.arange(0, d_model, 2, dtype=torch.float32) * (-math.log(10000.0) / d_model))
    angle = torch.arange(length, dtype=torch.float32)[:, None] * rate  # (T, D / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(start_dim=1)[:, :d_model]
