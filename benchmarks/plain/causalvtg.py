"""CausalVTG's training maths under `released` numerics, straightforwardly: what benchmarks/causalvtg_step.py compares with.

Every pass from the features on, the attention that nothing reads, one convolution per level, targets sample by sample, the memory
one observation after the other, as one writes it down first. It uses the weights of a model of ours, but no line of its code.

B batch, T clips, L tokens, C hidden, P points, G windows.
"""

# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.batch import Grounding
from models.methods.causalvtg import Draws, Model


class Plain:
    """The computation on the weights of a model, in its train or eval state."""

    def __init__(self, model: Model) -> None:
        self.model, self.config = model, model.config

    def observe(self, batch: Grounding) -> None:
        """One observation after the other."""
        with torch.no_grad():
            for memory, features in ((self.model.video_memory, batch.video), (self.model.query_memory, batch.query)):
                mapped = self.mlp(memory.map, features.sum(dim=1) / features.shape[1])
                before = memory.rows[0].clone()
                slots = [int(F.cosine_similarity(one[None], before).argmax()) for one in mapped]
                for one, slot in zip(mapped, slots, strict=True):
                    memory.rows[0, slot] = (memory.rows[0, slot] + one) / 2

    def losses(self, batch: Grounding, draws: Draws) -> dict[str, Tensor]:
        """The four terms and their weighted sum."""
        first, query, logit = self.adapt(batch.video, batch.video_mask, batch)
        shifted = torch.arange(len(batch), device=first.device).roll(-1)
        means = query.mean(dim=1)
        alike = F.cosine_similarity(means[:, None], means[None], dim=-1).detach().fill_diagonal_(-1e4)
        hard = alike.argmax(dim=1)
        logits = [logit]
        for other in (shifted, hard):
            logits.append(self.adapt(batch.video[other], batch.video_mask[other], batch)[2])
        same = batch.video_group == batch.video_group[hard]
        target = torch.cat((torch.ones_like(logit), same.float(), same.float()))
        neg = F.binary_cross_entropy_with_logits(torch.cat(logits), target)
        return self.heads(first.relu(), query, batch, draws, neg)

    def adapt(self, video: Tensor, mask: Tensor, batch: Grounding) -> tuple[Tensor, Tensor, Tensor]:
        """One pass: clips (B, T, C), tokens (B, L, C), relevance logit (B,)."""
        model, steps = self.model, video.shape[1]
        at = torch.arange(steps, device=video.device) / steps
        times = torch.stack((at, at + 1 / steps), dim=-1).expand(len(video), -1, -1)
        v = self.mlp(model.video_map, torch.cat((video, times), dim=-1))
        q = self.mlp(model.query_map, batch.query)
        self.to_memory(model.video_dead, v, v, mask, self.config.attention_dropout)  # nothing reads it
        self.to_memory(model.query_dead, q, q, batch.query_mask, self.config.attention_dropout)
        v = self.front_door(model.video_front_door, v, model.video_memory.rows, mask)
        q = self.front_door(model.query_front_door, q, model.query_memory.rows, batch.query_mask)
        x = self.decode(self.compare(v, mask, q, batch.query_mask), mask, q, batch.query_mask)
        norm, linear = model.relevance
        return x, q, linear(norm(torch.cat((x.mean(dim=1), q.mean(dim=1)), dim=-1)))[:, 0]

    def mlp(self, block: Any, x: Tensor) -> Tensor:
        """Mapping of features: (..., D) -> (..., C)."""
        p = self.config.dropout
        inner = block.inner(F.dropout(block.norm_in(x), p, self.model.training)).relu()
        return block.outer(F.dropout(block.norm(inner), p, self.model.training))

    def to_memory(self, block: Any, x: Tensor, rows: Tensor, mask: Tensor, p: float) -> Tensor:
        """Rows attend to dictionary entries; the mask is a constant along each row."""
        heads = self.config.heads
        rows = rows.expand(len(x), -1, -1)
        q, k, v = (
            linear(y).view(len(x), -1, heads, y.shape[-1] // heads).transpose(1, 2)
            for linear, y in ((block.query, x), (block.key, rows), (block.value, rows))
        )
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]) + (1 - mask.float())[:, None, :, None] * -1e9
        return (F.dropout(score.softmax(dim=-1), p, self.model.training) @ v).transpose(1, 2).flatten(2)

    def front_door(self, block: Any, x: Tensor, rows: Tensor, mask: Tensor) -> Tensor:
        """Rows deconfounded through the dictionary."""
        found = self.to_memory(block.attention, x, rows, mask, self.config.attention_dropout)
        gate = torch.sigmoid(block.gate.found(found) + block.gate.own(x))
        return block.norm(gate * found + (1 - gate) * x)

    def compare(self, v: Tensor, v_mask: Tensor, q: Tensor, q_mask: Tensor) -> Tensor:
        """Context-query attention."""
        block, p = self.model.context_query, self.config.dropout
        dv, dq = F.dropout(v, p, self.model.training), F.dropout(q, p, self.model.training)
        score = (dv @ block.w_video)[..., None] + (dq @ block.w_query)[:, None] + (dv * block.w_product) @ dq.transpose(1, 2)
        over_tokens = (score + (1 - q_mask.float())[:, None] * -1e30).softmax(dim=2)
        over_clips = (score + (1 - v_mask.float())[..., None] * -1e30).softmax(dim=1)
        told, found = over_tokens @ q, over_tokens @ over_clips.transpose(1, 2) @ v
        return block.out(torch.cat((v, told, v * told, v * found), dim=-1))

    def decode(self, x: Tensor, x_mask: Tensor, y: Tensor, y_mask: Tensor) -> Tensor:
        """The decoder layer, with its positional code."""
        block, size = self.model.decoder, x.shape[-1]
        place = torch.arange(1, x.shape[1] + 1, device=x.device) / (x.shape[1] + 1e-6) * 2 * math.pi
        channel = torch.arange(size, device=x.device)
        angle = place[:, None] / 10000 ** (2 * channel.div(2, rounding_mode="floor") / size)
        pe = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
        x = block.norm_cross(x + block.drop_path(self.attend(block.cross, x + pe, y, y, y_mask)))
        x = block.norm_itself(x + block.drop_path(self.attend(block.itself, x + pe, x + pe, x, x_mask)))
        return block.norm_outer(x + block.drop_path(block.outer(block.inner(x).relu())))

    def attend(self, block: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        """Attention with output projection and a mask over the keys."""
        heads = self.config.heads
        q, k, v = (
            linear(y).view(len(y), -1, heads, y.shape[-1] // heads).transpose(1, 2)
            for linear, y in ((block.q, query), (block.k, key), (block.v, value))
        )
        score = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        return block.m((score.masked_fill(~mask[:, None, None], -math.inf).softmax(dim=-1) @ v).transpose(1, 2).flatten(2))

    def heads(self, x: Tensor, query: Tensor, batch: Grounding, draws: Draws, neg: Tensor) -> dict[str, Tensor]:
        """Pyramid, heads, and the four losses."""
        model, config = self.model, self.config
        levels, points, masks = [], [], []
        bounds = [0.0, *map(float, config.strides[1:]), math.inf]
        for number, stride in enumerate(config.strides):
            if stride > x.shape[1]:
                continue
            y = x
            blocks: Any = model.pyramid.levels[number]
            for block in blocks:
                weight = block.join.weight.unflatten(1, (2, -1)).transpose(1, 2)
                y = block.norm(F.conv1d(y.transpose(1, 2), weight, block.join.bias, stride=2).transpose(1, 2)).relu()
            levels.append(y)
            masks.append(F.max_pool1d(batch.video_mask.float(), stride, stride).bool())
            points += [[k * stride, bounds[number], bounds[number + 1], stride] for k in range(y.shape[1])]
        table, mask = torch.tensor(points, dtype=torch.float32, device=x.device), torch.cat(masks, dim=1)
        logits = torch.cat([model.class_head.outer(model.class_head.inner(y.mT).relu())[:, 0] for y in levels], dim=1)
        offsets = torch.cat(
            [
                (model.offset_head.outer(model.offset_head.inner(y.mT).relu()).exp() * scale).mT
                for y, scale in zip(levels, model.offset_scale, strict=False)
            ],
            dim=1,
        )
        positive, target = self.targets(table, batch)
        p = logits.sigmoid()
        missed = torch.where(positive, 1 - p, p)
        entropy = F.binary_cross_entropy_with_logits(logits, positive.float(), reduction="none")
        assert batch.saliency is not None
        weights = model.pooling.score(query).masked_fill(~batch.query_mask[..., None], -math.inf).softmax(dim=1)
        similarity = F.cosine_similarity(x, (weights * query).sum(dim=1, keepdim=True), dim=-1)
        similarity = similarity * model.saliency_scale.exp().clamp(max=100)
        at, here = draws.positive[:, None], torch.arange(len(x), device=x.device)
        similarity = similarity.masked_fill((batch.saliency > batch.saliency.gather(1, at)) | ~batch.video_mask, -math.inf)
        terms = {
            "cls": (missed**config.focal_gamma * entropy * mask).sum() / mask.sum(),
            "reg": (offsets - target)[positive].abs().sum() / (2 * positive.sum()),
            "sal": F.cross_entropy(similarity, at[:, 0]) + F.cross_entropy(similarity[:, at[:, 0]].T, here),
            "neg": neg,
        }
        weighted = [getattr(config.loss_weights, name) * term for name, term in terms.items()]
        return {**terms, "total": torch.stack(weighted).sum()}

    def targets(self, table: Tensor, batch: Grounding) -> tuple[Tensor, Tensor]:
        """Sample by sample."""
        assert batch.spans is not None
        positives, distances = [], []
        position, low, high, stride = table.T
        for spans, fps in zip(batch.spans, batch.fps, strict=True):
            start, end = (spans * fps).T  # (G,)
            left, right = position[:, None] - start, end - position[:, None]
            reach = self.config.sample_radius * stride[:, None]
            middle = (start + end) / 2
            first, last = torch.maximum(middle - reach, start), torch.minimum(middle + reach, end)
            near = (position[:, None] >= first) & (position[:, None] <= last)
            far = torch.maximum(left, right)
            fits = near & (far >= low[:, None]) & (far <= high[:, None])
            shortest = torch.where(fits, end - start, math.inf).min(dim=1).indices[:, None]
            positives.append(fits.any(dim=1))
            distances.append(torch.cat((left.gather(1, shortest), right.gather(1, shortest)), dim=1) / stride[:, None])
        return torch.stack(positives), torch.stack(distances)
