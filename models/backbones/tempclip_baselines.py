"""TempCLIP without CRA: frames weighted after the fact, or by a Gaussian that the question asks for.

    posthoc    fusion = W sum_t a_t h_t,   h = transformer(x),   a = softmax_t(w tanh(V h_t));   score_m = g_m . fusion
    ngplus     (c, w) = sigmoid(W pool transformer([x; q])),   g_t = exp(-(t' - c)^2 / (2 s^2)) / max_t,   s = max(w, 0.01) / 9
               then as posthoc, every attention weight of a second transformer pass over x multiplied by g

Source: NExT-GQA (CVPR 2024).   B batch, M candidates, T frames, D channels.  Masks: True = real.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.backbones.answers import AnswerPass
from models.backbones.tempclip import CandidateEncoder, FrameEmbedding, Roberta
from models.layers.dropout import Dropout
from models.layers.encoder_layers import PooledRows, PostNormLayer
from models.layers.masks import lengths

NARROWEST = 0.01  # least width of the Gaussian, as a fraction of the video
LEAST_EMPHASIS = 1e-10


class TempClipBaseline(nn.Module):
    """Both baselines. `gauss_sigma` and `gauss_gamma` as in the paper: the span reaches gamma w / sigma to either side of c."""

    def __init__(
        self,
        sizes: Roberta,
        *,
        d_in: int,
        d_model: int,
        heads: int,
        layers: int,
        d_inner: int,
        frames: int,
        dropout: float,
        asks: bool,
        mask_pads: bool,
        gauss_sigma: float,
        gauss_gamma: float,
    ) -> None:
        super().__init__()
        self.mask_pads, self.gauss_sigma, self.gauss_gamma = mask_pads, gauss_sigma, gauss_gamma
        self.text = CandidateEncoder(sizes, d_model=d_model, mean=True)
        self.video = FrameEmbedding(d_in=d_in, d_model=d_model, frames=frames, dropout=dropout, normed=True)
        self.layers = nn.ModuleList(
            PostNormLayer(d_model=d_model, heads=heads, d_inner=d_inner, dropout=dropout) for _ in range(layers)
        )
        self.pool = PooledRows(d_model, hidden=True)
        self.fuse = nn.Sequential(Dropout(dropout), nn.Linear(d_model, d_model))
        self.asked_pool = PooledRows(d_model, hidden=True) if asks else None
        self.gauss = nn.Sequential(Dropout(dropout), nn.Linear(d_model, 2)) if asks else None

    def forward(self, video: Tensor, video_mask: Tensor, ids: Tensor, real: Tensor, label: Tensor | None) -> AnswerPass:
        """video (B, T, F), video_mask (B, T), ids and real (B, M, L); label (B,): which candidate asks, None: their maximum."""
        text = self.text(ids, real, pool_pads=not self.mask_pads)  # (B, M, D)
        frames = self.video(video, video_mask if self.mask_pads else None)
        emphasis = span = None
        if self.asked_pool is not None:
            asked = text.amax(dim=1) if label is None else text[torch.arange(len(text), device=text.device), label]
            center, width = self.asks(frames, video_mask, asked).unbind(dim=-1)
            emphasis = self.emphasis(center, width, video_mask)
            reach = self.gauss_gamma * width / self.gauss_sigma
            span = torch.stack(((center - reach).clamp(min=0), (center + reach).clamp(max=1)), dim=-1)[:, None]
        fused, weights = self.pool(self.transformed(frames, video_mask, emphasis), video_mask if self.mask_pads else None)
        fusion = self.fuse(fused)
        return AnswerPass(
            scores=(text @ fusion[..., None])[..., 0], weights=weights[:, None], span=span, text=text, video=fusion[:, None]
        )

    def transformed(self, x: Tensor, key_mask: Tensor, emphasis: Tensor | None) -> Tensor:
        """x (B, T, D) -> (B, T, D)."""
        for layer in self.layers:
            x = layer(x, key_mask, emphasis)
        return x

    def asks(self, frames: Tensor, mask: Tensor, query: Tensor) -> Tensor:
        """Frames (B, T, D) and query (B, D), the last token -> centre and width (B, 2), fractions of the video."""
        assert self.asked_pool is not None
        assert self.gauss is not None
        real = torch.ones_like(mask[:, :1])
        behind = torch.cat((mask, real), dim=1)
        # As released the entry of the query stands in front of the mask although its token is the last one.
        read = self.transformed(torch.cat((frames, query[:, None]), dim=1), behind if self.mask_pads else behind.roll(1, 1), None)
        return self.gauss(self.asked_pool(read, behind if self.mask_pads else None)[0]).sigmoid()

    def emphasis(self, center: Tensor, width: Tensor, mask: Tensor) -> Tensor:
        """center, width (B,), mask (B, T) -> g (B, T): 1 at the frame that is nearest to the centre."""
        length = mask.shape[1]
        last = (lengths(mask) - 1).clamp(min=1) if self.mask_pads else max(length - 1, 1)
        place = torch.arange(length, device=mask.device) / torch.as_tensor(last, device=mask.device).reshape(-1, 1)  # (B or 1, T)
        spread = width.clamp(min=NARROWEST)[:, None] / self.gauss_sigma
        height = torch.exp(-((place - center[:, None]) ** 2) / (2 * spread**2))
        highest = height.masked_fill(~mask, 0.0) if self.mask_pads else height
        return height / highest.amax(dim=-1, keepdim=True) + LEAST_EMPHASIS
