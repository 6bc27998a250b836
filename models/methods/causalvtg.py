"""CausalVTG: robust video temporal grounding via causal inference (Wang, Chen, Shen; NeurIPS 2025).

Being written; the Config is settled.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Numerics = Literal["corrected", "released"]


@dataclass(frozen=True, kw_only=True)
class Deviations:
    """Where the released code departs from the equations: one field per group, true = as released."""

    padded_lengths: bool  # clip times, positional code and pooled means divide by the padded length
    absorbing_mask: bool  # -1e9 on whole rows of the memory attention: uniform weights on padding, which is then kept
    padded_points: bool  # points in the padding compete in loss and ranking; at most 1024 clips
    stretched_saliency: bool  # saliency read from padded level sizes; samples without a positive clip are not left out
    shared_negative_mask: bool  # negatives may be the same video; both sets are labelled by the mask of the hard one
    mapped_memory: bool  # the memory lives in mapped space, its mappings are never trained, updates depend on the order
    dead_modules: bool  # keeps the parameters of a self-attention whose result nothing reads

    @classmethod
    def all(cls, value: bool) -> Deviations:
        """Every field set to `value`."""
        return cls(**{field.name: value for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Factors of the four terms of the loss."""

    cls: float
    reg: float
    sal: float
    neg: float


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every number of the method. `numerics` chooses a preset of deviations, `deviations` overrides it field by field."""

    numerics: Numerics
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
    share_trunk: bool = False  # one dropout mask for the three adapter passes instead of three: faster, equal only without dropout
    deviations: Deviations | None = None  # None: the preset of `numerics`

    def __post_init__(self) -> None:
        if self.numerics not in ("corrected", "released"):
            raise ValueError(f"numerics: expected corrected or released, got {self.numerics!r}")
        if self.hidden % self.heads:
            raise ValueError(f"hidden: expected a multiple of heads = {self.heads}, got {self.hidden}")
        powers = all(stride > 0 and stride & (stride - 1) == 0 for stride in self.strides)
        if not (powers and self.strides[:1] == (1,) and list(self.strides) == sorted(set(self.strides))):
            raise ValueError(f"strides: expected increasing powers of two from 1 on, got {self.strides}")

    @property
    def deviates(self) -> Deviations:
        """The deviations in force."""
        return self.deviations or Deviations.all(self.numerics == "released")
