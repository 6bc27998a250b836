"""The flat numbers of one split of a relation run, in percent.

mAP, R@K, P@n                               detection and tagging, as the published scorer defines them
zero-shot mAP, R@K, P@n                     the same, of triplets that training never shows
mR@K, head-mR@K, body-mR@K, tail-mR@K       recall by predicate; head-mR falls where debiasing goes too far
found@K                                     predicates of which anything is found (a number, no percentage)
pair-Acc, pair-mR, pair-head-mR, ...        of pairs that do stand in a relation: whether the first predicate is right
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.datasets.relation_schema import Relation, Triplet
from stages.metrics.long_tail import GROUPS, groups_by_count, mean, recall_by_predicate
from stages.metrics.relations import hits, limited, ranked, relation_scores, unseen
from stages.metrics.report import Numbers, SplitReport

Relations = Mapping[str, Sequence[Relation]]
OVERLAPS = (0.3, 0.5, 0.7)


@dataclass(frozen=True, kw_only=True)
class Training:
    """What training shows, and how it is grouped: relations per predicate, triplets; see long_tail.py."""

    counts: Mapping[str, int]
    triplets: set[Triplet]
    head_share: float
    tail_below: int
    recall_at: tuple[int, ...]

    @property
    def grouping(self) -> dict[str, Any]:
        """The arguments by which long_tail.py groups predicates."""
        return {"head_share": self.head_share, "tail_below": self.tail_below}


def numbers(predictions: Relations, truth: Relations, training: Training) -> Numbers:
    """Detection, tagging and recall by predicate of a split that has relations."""
    values: Numbers = dict(percent(relation_scores(predictions, truth, training.recall_at)))
    tail, _ = recall_by_predicate(predictions, truth, training.counts, at=training.recall_at, **training.grouping)
    values |= {name: value if name.startswith("found") or value is None else 100 * value for name, value in tail.items()}
    new = unseen(truth, training.triplets)
    if any(new.values()):
        scores = percent(relation_scores(limited(predictions, new), new, training.recall_at))
        values |= {f"zero-shot {name}": value for name, value in scores.items()}
    return values


def percent(values: Mapping[str, float]) -> dict[str, float]:
    """Fractions in percent."""
    return {name: 100 * value for name, value in values.items()}


def pair_numbers(truth: NDArray[Any], first: NDArray[Any], names: Sequence[str], training: Training) -> Numbers:
    """truth, first (n,) predicate ids of true pairs, and what was put first: accuracy, and mean recall by group."""
    if not len(truth):
        return {}
    group = groups_by_count(training.counts, **training.grouping)
    recall = {names[p]: float((first[truth == p] == p).mean()) for p in np.unique(truth).tolist()}
    values: Numbers = {"pair-Acc": 100 * float((truth == first).mean()), "pair-mR": _mean_percent(list(recall.values()))}
    for part in GROUPS:
        values[f"pair-{part}-mR"] = _mean_percent([value for name, value in recall.items() if group.get(name, "tail") == part])
    return values


def _mean_percent(shares: Sequence[float]) -> float | None:
    return None if (share := mean(shares)) is None else 100 * share


def split_report(predictions: Relations, truth: Relations, training: Training, more: Numbers) -> SplitReport:
    """Everything that is said about a split that has relations; `more` numbers go with them."""
    _, rows = recall_by_predicate(predictions, truth, training.counts, at=training.recall_at, **training.grouping)
    names = [f"R@{k}" for k in training.recall_at]
    groups: list[dict[str, Any]] = []
    for part in GROUPS:
        inside = [row for row in rows if row["group"] == part]
        if inside:
            means = {name: _mean_percent([row[name] for row in inside]) for name in names}
            groups.append({"group": f"{part} predicates", "count": sum(row["count"] for row in inside), **means})
    groups += [
        {
            "group": f"{row['predicate']} ({row['group']}, {row['training']} in training)",
            "count": row["count"],
            **{name: 100 * row[name] for name in names},
        }
        for row in rows
    ]
    return SplitReport(numbers(predictions, truth, training) | more, _by_overlap(predictions, truth, training.recall_at), groups)


def _by_overlap(predictions: Relations, truth: Relations, at: Sequence[int]) -> list[dict[str, float]]:
    """R@K if an overlap of that much were enough, K the smallest and the largest."""
    total = sum(map(len, truth.values()))
    out = []
    for least in OVERLAPS:
        found = [hits(ranked(predictions.get(video, ())), several, least) for video, several in truth.items() if several]
        recall = {k: 100 * sum(int(one[:k].sum()) for one in found) / total for k in (min(at), max(at))}
        out.append({"threshold": least, "R1": recall[min(at)], **{f"R@{k}": value for k, value in recall.items()}})
    return out
