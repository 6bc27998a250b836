"""Recall of relations predicate by predicate, for the long tail.

    R_p@K = matched instances of p among each video's K best predictions / instances of p
    mR@K  = mean of R_p over the p that occur

Predicates by how often training shows them: head, the most frequent that together make the first half of all instances; tail,
those with fewer than `tail_below`; body, the rest. A method that is debiased too far gains in the tail and loses the head: so the
head's mean recall stands beside the mean of all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from stages.datasets.relation_schema import Relation
from stages.metrics.relations import hits, ranked

Group = Literal["head", "body", "tail"]
GROUPS: tuple[Group, ...] = ("head", "body", "tail")


def groups_by_count(counts: Mapping[str, int], *, head_share: float, tail_below: int) -> dict[str, Group]:
    """Predicate -> its group, by falling count; a head predicate stays one however rare it is."""
    total, before = sum(counts.values()), 0
    out: dict[str, Group] = {}
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        out[name] = "head" if before < head_share * total else "tail" if count < tail_below else "body"
        before += count
    return out


def matched_by_predicate(
    predictions: Mapping[str, Sequence[Relation]], truth: Mapping[str, Sequence[Relation]], at: Sequence[int]
) -> tuple[Counter[str], dict[int, Counter[str]]]:
    """Instances of every predicate, and how many of them the K best predictions of their video find, for every K in `at`."""
    instances: Counter[str] = Counter()
    matched: dict[int, Counter[str]] = {k: Counter() for k in at}
    for video, relations in truth.items():
        if not relations:
            continue
        instances.update(relation.triplet[1] for relation in relations)
        ordered = ranked(predictions.get(video, ()))[: max(at)]
        right = hits(ordered, relations)
        for k in at:
            matched[k].update(relation.triplet[1] for relation, hit in zip(ordered[:k], right[:k], strict=True) if hit)
    return instances, matched


def recall_by_predicate(
    predictions: Mapping[str, Sequence[Relation]],
    truth: Mapping[str, Sequence[Relation]],
    counts: Mapping[str, int],
    *,
    at: Sequence[int],
    head_share: float,
    tail_below: int,
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """(flat numbers, one row per predicate that occurs), fractions. `counts`: instances of each predicate in training.

    numbers   mR@K, head-mR@K, body-mR@K, tail-mR@K (None if no predicate of the group occurs), found@K: predicates with R_p > 0
    rows      predicate, group, count (instances here), training (instances there), R@K
    """
    instances, matched = matched_by_predicate(predictions, truth, at)
    group = groups_by_count(counts, head_share=head_share, tail_below=tail_below)
    names = sorted(instances, key=lambda name: (-counts.get(name, 0), name))
    rows: list[dict[str, Any]] = [
        {
            "predicate": name,
            "group": group.get(name, "tail"),
            "count": instances[name],
            "training": counts.get(name, 0),
            **{f"R@{k}": matched[k][name] / instances[name] for k in at},
        }
        for name in names
    ]
    numbers: dict[str, float | None] = {}
    for k in at:
        numbers[f"mR@{k}"] = mean([row[f"R@{k}"] for row in rows])
        for part in GROUPS:
            numbers[f"{part}-mR@{k}"] = mean([row[f"R@{k}"] for row in rows if row["group"] == part])
        numbers[f"found@{k}"] = float(sum(row[f"R@{k}"] > 0 for row in rows))
    return numbers, rows


def mean(values: Sequence[float]) -> float | None:
    """The mean; None where there are no values."""
    return sum(values) / len(values) if values else None
