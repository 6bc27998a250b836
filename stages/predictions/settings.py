"""What evaluation and prediction are told by params.yaml: the mapping `evaluate` of a run.

Times are seconds. Nothing here has a default in code: a number has one home, and that is params.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How the windows of a run become predictions, and how these are scored.

    splits             splits to evaluate; predictions.jsonl is the first of them
    batch_size         queries per forward pass; changes nothing but speed under `corrected` numerics
    top                windows kept per query, after suppression (the model itself decodes at most 50)
    nms_threshold      a window goes when its IoU with a better one reaches this
    rounding_unit      seconds; window ends are rounded to multiples of it; null: not at all
    rounding           "released": rows that end at or after the duration stay unrounded; "corrected": all rows, clamped again,
                       zero-length rows dropped
    primary            metric names of the results table, most important first, e.g. "MR-full-R1@0.5"
    published          the paper's numbers under the same names, for the first split; null: none
    baseline_seed      seed of the random-window baseline
    examples           queries per split that the results page shows as timelines
    """

    splits: tuple[str, ...]
    batch_size: int
    top: int
    nms_threshold: float
    rounding_unit: float | None
    rounding: Literal["corrected", "released"]
    primary: tuple[str, ...]
    published: dict[str, float] | None
    baseline_seed: int
    examples: int


@dataclass(frozen=True, kw_only=True)
class WeakEvaluate:
    """How the proposals of a weakly supervised run are scored.

    splits             splits to evaluate; predictions.jsonl is the first of them
    batch_size         queries per forward pass
    masks              draws of hidden words whose losses are averaged before the proposals are ranked
    vote               which answer is the headline: the best reconstruction, or the one that proposals agree on
    abnormal           also measure how often words are reconstructed from negative proposals
    primary, published, baseline_seed, examples      as in Evaluate
    """

    splits: tuple[str, ...]
    batch_size: int
    masks: int
    vote: Literal["no_vote", "vote_weighted", "vote_plain"]
    abnormal: bool
    primary: tuple[str, ...]
    published: dict[str, float] | None
    baseline_seed: int
    examples: int


Convention = Literal["type", "nextqa", "star", "first_word", "causal_vidqa"]


@dataclass(frozen=True, kw_only=True)
class QuestionEvaluate:
    """How the answers of a run are scored.

    splits             splits to evaluate; predictions.jsonl is the first of them
    batch_size         questions per forward pass
    convention         how accuracies are grouped: by the type of the question as it stands; as the scorers of NExT-QA, STAR and
                       Causal-VidQA do; by the first word of the question (MSVD-QA, MSRVTT-QA)
    primary, published, baseline_seed, examples      as in Evaluate
    """

    splits: tuple[str, ...]
    batch_size: int
    convention: Convention
    primary: tuple[str, ...]
    published: dict[str, float] | None
    baseline_seed: int
    examples: int


@dataclass(frozen=True, kw_only=True)
class GroundedEvaluate(QuestionEvaluate):
    """The same, with the moments that runs point at.

    merge      what becomes of the moment that the network itself sees and the one that its frame weights show
    blind      also answer every question on another video: what is right then was guessed from the words
    """

    merge: Literal["itsc", "uni", "itsc_refine", "itsc_swap", "itsc_mean"]
    blind: bool
