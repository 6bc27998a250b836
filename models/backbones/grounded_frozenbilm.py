"""FrozenBiLM that grounds: what was read at the mask word is revised by the frames that the question speaks about.

    [seen, words] = reading,   phi = reading at the mask word,   x_dot = f(pool words)
    key = grounding(seen, x_dot),   seen <- layers(seen),   x_bar = f(sum_t key_t seen_t),   f(y) = W norm([phi, y])
    state at the mask word += FrontDoor(x_bar, f(mean seen)),   log-odds of yes = head(norm(states)) at the mask word

Once per candidate. What grounds and adjusts is handed in (`interventions`); without it the language model answers alone.
Source: CRA (CVPR 2025) on FrozenBiLM.   B batch, M candidates, L tokens, T frames, S = T + L, H channels.  Masks: True = real.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.backbones.answers import AnswerPass
from models.backbones.frozenbilm import Deberta, FrozenLanguageModel, Fusion, Reading, longest, row_at
from models.layers.encoder_layers import PooledRows, PostNormLayer


class GroundedFrozenBilm(nn.Module):
    """Scores are log-odds of yes, one reading per candidate.

    interventions    module with grounding(frames, query), asked(query), span(weights, mask), front_door (or None); None: no CRA
    mask_pads        padding enters nowhere, and every frame must be real
    """

    def __init__(
        self,
        sizes: Deberta,
        *,
        d_in: int,
        heads: int,
        layers: int,
        d_inner: int,
        dropout: float,
        mask_pads: bool,
        interventions: nn.Module | None,
    ) -> None:
        super().__init__()
        size = sizes.hidden_size
        self.mask_pads = mask_pads
        self.language = FrozenLanguageModel(sizes, d_in=d_in)
        self.interventions: Any = interventions
        if interventions is not None:
            self.pool = PooledRows(size, hidden=False)
            self.fuse_text, self.fuse_video = Fusion(size), Fusion(size)
            self.layers = nn.ModuleList(
                PostNormLayer(d_model=size, heads=heads, d_inner=d_inner, dropout=dropout) for _ in range(layers)
            )
            self.norm = nn.LayerNorm(size)

    def forward(self, video: Tensor, video_mask: Tensor, ids: Tensor, real: Tensor, _label: Tensor | None) -> AnswerPass:
        """video (B, T, F), video_mask (B, T), ids and real (B, M, L); the label has no use here.

        Raises ValueError for a frame that is not real, under corrected numerics: it would shift the words' places.
        """
        if self.mask_pads and not bool(video_mask.all()):
            raise ValueError("FrozenBiLM reads all frames of every video; draw as many from a short video as from a long one")
        passes = [self.candidate(video, video_mask, ids[:, m], real[:, m]) for m in range(ids.shape[1])]
        scores, weights, spans, text, seen = zip(*passes, strict=True)
        return AnswerPass(
            scores=torch.stack(scores, dim=1),
            weights=torch.stack(weights, dim=1),
            span=None if spans[0] is None else torch.stack(spans, dim=1),
            text=torch.stack(text, dim=1),
            video=torch.stack(seen, dim=1),
        )

    def candidate(
        self, video: Tensor, video_mask: Tensor, ids: Tensor, real: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
        """One candidate of all samples, ids (B, L) cut to the longest: log-odds (B,), key (B, T), span (B, 2), x_dot, x_bar."""
        ids, real = ids[:, : longest(real)], real[:, : longest(real)]
        reading = self.language(video, ids, real, attention=self.interventions is None)
        if self.interventions is None:
            assert reading.attention is not None
            phi = row_at(reading.hidden, reading.at_mask)
            logits, span, read, seen, key = self.language.head(phi), None, phi, phi, reading.attention
        else:
            read, key, seen, revised = self.revised(reading, real, video.shape[1])
            logits, span = self.language.head(row_at(revised, reading.at_mask)), self.interventions.span(key, video_mask)
        return logits[:, 0] - logits[:, 1], key, span, read, seen

    def revised(self, reading: Reading, real: Tensor, frames: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What was read -> x_dot (B, H), key (B, T), x_bar (B, H), all states (B, S, H) with the one at the mask word revised."""
        hidden, at_mask = reading.hidden, reading.at_mask
        phi, seen = row_at(hidden, at_mask), hidden[:, :frames]
        words = ~at_mask[:, frames:] & real if self.mask_pads else ~at_mask[:, frames:]
        text = self.fuse_text(phi, self.pool(hidden[:, frames:], words)[0])  # x_dot
        key = self.interventions.grounding(seen, self.interventions.asked(text)).weights
        for layer in self.layers:
            seen = layer(seen, None)
        moment = self.fuse_video(phi, (key[:, None] @ seen)[:, 0])  # x_bar
        states = torch.cat((seen, hidden[:, frames:]), dim=1)
        if (front_door := self.interventions.front_door) is not None:
            rows = seen if front_door.over == "batch" else self.fuse_video(phi, seen)
            change = front_door(moment, self.fuse_video(phi, seen.mean(dim=1)), rows, None)
            states = states + at_mask[..., None] * change[:, None]
        return text, key, moment, self.norm(states)
