"""A network and a batch of every method for benchmarks/gpu.py: the published sizes, or tiny ones; values are random numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks import causalvtg_step, ccr_step, cra_parts
from models.batch import Questions, Relations
from models.causal.invariant import ClipBank
from models.layers.masks import prefix_mask, zero_padding
from models.method import Method, load_method
from stages.params import load_params

# method -> run of the published sizes, run of the demo's
RUNS = {
    "igv": ("igv-msvd-released", "igv-planted"),
    "eigv": ("eigv-nextqa-released", "eigv-planted"),
    "transtr": ("transtr-nextqa-released", "transtr-planted"),
    "ivrd": ("ivrd-vidvrd", "ivrd-planted"),
}
OPTIONS = 5
TINY = 32  # channels, and clips, where a network is tried rather than timed


@dataclass(frozen=True, kw_only=True)
class Case:
    """One method: settings, widths, confounders and a batch. `released`: whether it has numerics as published."""

    method: str
    config: Any
    widths: dict[str, int]
    confounders: dict[str, Tensor]
    batch: Any
    released: bool = True
    bank: ClipBank | None = None

    @property
    def reference(self) -> str:
        """What ratios are to."""
        return "released" if self.released else "corrected"

    def candidates(self) -> list[tuple[str, str, str]]:
        """(name, numerics, precision) of what is timed."""
        both = [("released", "released", "none")] if self.released else []
        return [*both, ("corrected", "corrected", "none"), ("corrected, bf16", "corrected", "bf16")]

    def model(self, numerics: str, device: str = "cpu") -> Method:
        """The network, with the same weights for the same sizes; the clips that it draws from lie on the device too."""
        torch.manual_seed(0)
        config = replace(self.config, numerics=numerics) if self.released else self.config
        model: Method = load_method(self.method).Model(config, widths=self.widths, confounders=self.confounders)
        if self.bank is not None:
            # an attribute of those methods that draw from it
            model.bank = ClipBank(self.bank.rows.to(device), self.bank.offsets)  # type: ignore[assignment, union-attr]
        return model.to(device)


def case_of(method: str, *, tiny: bool) -> Case:
    """One method."""
    torch.manual_seed(0)
    return _MAKERS[method](tiny)


def _causalvtg(tiny: bool) -> Case:
    clips, tokens = (12, 5) if tiny else causalvtg_step.WORKLOADS["charades-like"]
    widths, entries = causalvtg_step.WIDTHS, 8 if tiny else causalvtg_step.ENTRIES
    return Case(
        method="causalvtg",
        config=causalvtg_step.published("corrected", **({"hidden": TINY, "heads": 2} if tiny else {})),
        widths=widths,
        confounders={side: F.normalize(torch.randn(entries, width), dim=-1) for side, width in widths.items()},
        batch=causalvtg_step.workload(clips, tokens, 2 if tiny else causalvtg_step.BATCH, "cpu"),
    )


def _weak(method: str, tiny: bool) -> Case:
    batch = ccr_step.workload(2 if tiny else ccr_step.BATCH, "cpu")
    if tiny:
        batch = replace(batch, video=batch.video[:, :TINY], video_mask=batch.video_mask[:, :TINY])
    return Case(
        method=method,
        config=ccr_step.published(method, "corrected", **({"hidden": TINY} if tiny else {})),
        widths=ccr_step.WIDTHS,
        confounders={},
        batch=batch,
    )


def _cra(tiny: bool) -> Case:
    config, width, batch = cra_parts.network("corrected").config, cra_parts.WIDTH, cra_parts.batch(2 if tiny else cra_parts.BATCH)
    if tiny:
        width = 2 * TINY
        text = replace(config.text, hidden_size=width, intermediate_size=width, num_attention_heads=2)
        config = replace(config, d_model=width, d_inner=width, text=text)
        batch = replace(batch, video=batch.video[..., :width])
    return Case(
        method="cra",
        config=config,
        widths={"video": width},
        confounders={"video": torch.randn(cra_parts.CLUSTERS, width), "query": torch.randn(cra_parts.CLUSTERS, 8, width)},
        batch=batch,
    )


def _questions(method: str, tiny: bool) -> Case:
    params = load_params()
    run = params.runs[RUNS[method][tiny]]
    stored = params.features[run.dataset]
    video = sum(stored[name].width for name in run.features.video)
    words = stored[run.features.query[0]].width
    size, clips = (3, 6) if tiny else (run.train.batch_size, 16)
    video_mask, word_mask = torch.ones(size, clips, dtype=torch.bool), prefix_mask(torch.arange(size) % 12 + 3, 14)
    open_ended = getattr(run.model, "answers", None)
    more: dict[str, Any] = {}
    if open_ended is None:
        more["candidates"] = torch.randn(size, OPTIONS, 12, words)
        more["candidates_mask"] = torch.ones(size, OPTIONS, 12, dtype=torch.bool)
    widths = {"video": video, "query": words}
    if run.features.objects:
        widths["objects"] = stored[run.features.objects[0]].width
        more["objects"] = torch.randn(size, clips, run.model.objects, widths["objects"])
        more["objects_mask"] = torch.ones(size, clips, run.model.objects, dtype=torch.bool)
    batch = Questions(
        video=torch.randn(size, clips, video),
        video_mask=video_mask,
        answer=torch.arange(size) % (open_ended or OPTIONS),
        video_index=torch.arange(size),
        question=zero_padding(torch.randn(size, 14, words), word_mask),
        question_mask=word_mask,
        **more,
    )
    bank = None
    if hasattr(load_method(method).Model, "bank") or method in ("igv", "eigv"):
        bank = ClipBank(torch.randn(8 * size * clips, video), torch.arange(8 * size + 1) * clips)
    return Case(method=method, config=run.model, widths=widths, confounders={}, batch=batch, bank=bank)


def _relations(tiny: bool) -> Case:
    params = load_params()
    run = params.runs[RUNS["ivrd"][tiny]]
    segments, proposals, steps = (2, 4, 3) if tiny else (run.train.batch_size, 16, 15)
    width = params.features[run.dataset][run.features.video[0]].width
    pairs = torch.tensor(list(permutations(range(proposals), 2)))
    corner = 100 * torch.rand(segments, proposals, steps, 2)
    labels = torch.zeros(segments, len(pairs), run.model.predicates, dtype=torch.bool)
    labels[:, 0, [0, 2]] = True
    batch = Relations(
        appearance=torch.randn(segments, proposals, steps, width),
        boxes=torch.cat((corner, corner + 5 + 40 * torch.rand_like(corner)), dim=-1),
        present=torch.ones(segments, proposals, steps, dtype=torch.bool),
        proposals_mask=torch.ones(segments, proposals, dtype=torch.bool),
        frame=torch.tensor([[320.0, 240.0]]).expand(segments, 2),
        detector=torch.rand(segments, proposals, run.model.classes).softmax(dim=-1),
        pairs=pairs.expand(segments, -1, -1),
        pairs_mask=torch.ones(segments, len(pairs), dtype=torch.bool),
        object_class=torch.randint(0, run.model.classes, (segments, proposals)),
        labels=labels,
    )
    return Case(method="ivrd", config=run.model, widths={"video": width}, confounders={}, batch=batch, released=False)


_MAKERS: dict[str, Callable[[bool], Case]] = {
    "causalvtg": _causalvtg,
    **{method: partial(_weak, method) for method in ccr_step.HEADS},
    "cra": _cra,
    **{method: partial(_questions, method) for method in ("igv", "eigv", "transtr")},
    "ivrd": _relations,
}
METHODS = tuple(_MAKERS)
