"""What the evaluation of a relation run is told by params.yaml: the mapping `evaluate` of the run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RelationEvaluate:
    """How scored pairs become relations of a video, and how these are scored.

    splits             splits to evaluate; predictions.jsonl is the first of them
    batch_size         segments per forward pass
    per_pair           products of subject class, predicate and object class that are kept per pair
    per_segment        and per segment
    associated         of these, how many go on to the association, best first
    first_score_one    as published: a relation that begins after the first segment has the score 1 for its first one
    kept               relations of a video that are written and scored, best first; null: all
    decimals           of the boxes that are written and scored
    recall_at          K of R@K and mR@K; 50 and 100 on VidVRD and VidOR
    head_share         head: the most frequent predicates that make this share of the training relations
    tail_below         tail: predicates with fewer training relations
    submission         also write the file that the published scorers read, splits/<split>.results.json
    primary            metric names of the results table, most important first
    published          the paper's numbers under the same names, for the first split; null: none
    examples           videos per split that the results page shows
    """

    splits: tuple[str, ...]
    batch_size: int
    per_pair: int
    per_segment: int
    associated: int
    first_score_one: bool
    kept: int | None
    decimals: int
    recall_at: tuple[int, ...]
    head_share: float
    tail_below: int
    submission: bool
    primary: tuple[str, ...]
    published: dict[str, float] | None
    examples: int

    def __post_init__(self) -> None:
        if min(self.batch_size, self.per_pair, self.per_segment, self.associated, *self.recall_at) < 1 or not self.recall_at:
            raise ValueError("batch_size, per_pair, per_segment, associated and recall_at must be at least 1")
        if self.kept is not None and self.kept < max(self.recall_at):
            raise ValueError(f"kept is {self.kept}, less than recall_at {max(self.recall_at)} looks at")
        if not 0 <= self.head_share <= 1:
            raise ValueError(f"head_share is {self.head_share}, must be within 0..1")
