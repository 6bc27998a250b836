"""Recall by predicate: groups by training count, and the worked example of the method's page."""

import numpy as np
import pytest

from stages.datasets.relation_schema import Relation
from stages.metrics.long_tail import groups_by_count, recall_by_predicate
from stages.metrics.relations import hits, ranked, relation_scores

A, B, OTHER = [0, 0, 9, 9], [5, 0, 14, 9], [50, 0, 69, 19]


def relation(triplet, subject, begin, end, score=None):
    boxes = [np.array([box] * (end - begin), dtype=float) for box in (subject, OTHER)]
    return Relation(tuple(triplet.split("-")), begin, end, *boxes, score)


TRUTH = {
    "v1": [relation("dog-chase-cat", A, 0, 4), relation("dog-follow-cat", A, 0, 4)],
    "v2": [relation("person-ride-horse", A, 2, 6)],
    "v3": [],
}
PREDICTIONS = {
    "v1": [
        relation("dog-follow-cat", A, 0, 4, 0.9),
        relation("dog-chase-cat", B, 0, 4, 0.8),
        relation("dog-chase-cat", A, 0, 3, 0.7),
        relation("dog-bite-cat", A, 0, 4, 0.6),
        relation("dog-follow-cat", A, 0, 4, 0.5),
    ],
    "v2": [relation("person-ride-horse", A, 0, 6, 0.4)],
}
COUNTS = {"follow": 60, "chase": 30, "ride": 9, "bite": 1}


def by_predicate(predictions, at):
    return recall_by_predicate(predictions, TRUTH, COUNTS, at=at, head_share=0.5, tail_below=10)


def test_the_example_of_the_page():
    assert hits(ranked(PREDICTIONS["v1"]), TRUTH["v1"]).tolist() == [True, False, True, False, False]
    values = relation_scores(PREDICTIONS, TRUTH)
    expected = {"mAP": 0.916667, "R@50": 1, "R@100": 1, "P@1": 1, "P@5": 0.833333, "P@10": 0.833333}
    assert values == pytest.approx(expected, abs=1e-6)
    numbers, _ = by_predicate(PREDICTIONS, (1, 50))
    assert numbers["mR@50"] == 1
    assert numbers["mR@1"] == pytest.approx(0.666667, abs=1e-6)


def test_the_example_without_the_second_video():
    less = {"v1": PREDICTIONS["v1"]}
    values = relation_scores(less, TRUTH)
    expected = {"mAP": 0.416667, "R@50": 0.666667, "R@100": 0.666667, "P@1": 0.5, "P@5": 0.333333, "P@10": 0.333333}
    assert values == pytest.approx(expected, abs=1e-6)
    assert by_predicate(less, (50,))[0]["mR@50"] == pytest.approx(0.666667, abs=1e-6)


def test_groups_tell_the_head_from_the_tail():
    numbers, rows = by_predicate(PREDICTIONS, (1,))
    assert [(row["predicate"], row["group"], row["R@1"]) for row in rows] == [
        ("follow", "head", 1.0),
        ("chase", "body", 0.0),
        ("ride", "tail", 1.0),
    ]
    assert (numbers["head-mR@1"], numbers["body-mR@1"], numbers["tail-mR@1"], numbers["found@1"]) == (1, 0, 1, 2)


def test_the_head_makes_the_first_half_of_all_instances():
    assert groups_by_count({"a": 50, "b": 30, "c": 15, "d": 5}, head_share=0.5, tail_below=10) == {
        "a": "head",
        "b": "body",
        "c": "body",
        "d": "tail",
    }
    assert groups_by_count({"a": 4, "b": 4, "c": 2}, head_share=0.5, tail_below=10) == {"a": "head", "b": "head", "c": "tail"}


def test_a_group_without_instances_has_no_recall():
    truth = {"v": [relation("dog-follow-cat", A, 0, 4)]}
    numbers, _ = recall_by_predicate(PREDICTIONS, truth, COUNTS, at=(5,), head_share=0.5, tail_below=10)
    assert numbers["tail-mR@5"] is None


def test_a_predicate_that_training_never_shows_belongs_to_the_tail():
    truth = {"v1": [relation("dog-lick-cat", A, 0, 4)]}
    _, rows = recall_by_predicate(PREDICTIONS, truth, COUNTS, at=(5,), head_share=0.5, tail_below=10)
    assert (rows[0]["group"], rows[0]["training"], rows[0]["R@5"]) == ("tail", 0, 0.0)
