"""The numbers of a relation split: what stands under which name."""

import numpy as np
import pytest

from stages.datasets.relation_schema import Relation
from stages.metrics.relation_report import Training, numbers, pair_numbers, split_report
from stages.metrics.relations import matches

BOX, FAR = [0, 0, 9, 9], [50, 0, 69, 19]
TRAINING = Training(
    counts={"chase": 60, "see": 35, "bite": 5},
    triplets={("dog", "chase", "cat"), ("dog", "see", "cat")},
    head_share=0.5,
    tail_below=10,
    recall_at=(1, 2),
)


def relation(triplet, frames=4, score=None):
    boxes = [np.array([box] * frames, dtype=float) for box in (BOX, FAR)]
    return Relation(tuple(triplet.split("-")), 0, frames, *boxes, score)


TRUTH = {"v": [relation("dog-chase-cat"), relation("dog-bite-cat")], "w": [relation("dog-see-cat")], "empty": []}
FOUND = {
    "v": [relation("dog-chase-cat", score=0.9), relation("dog-see-cat", score=0.8), relation("dog-bite-cat", score=0.7)],
    "w": [relation("dog-see-cat", 5, score=0.5)],
}


def test_percentages_and_counts():
    found = numbers(FOUND, TRUTH, TRAINING)
    assert found["R@1"] == pytest.approx(100 * 2 / 3)
    assert found["R@2"] == pytest.approx(100 * 2 / 3)
    assert found["mAP"] == pytest.approx(100 * ((1 + 2 / 3) / 2 + 1) / 2)
    assert (found["head-mR@1"], found["body-mR@1"], found["tail-mR@1"]) == (100, 100, 0)
    assert found["mR@1"] == pytest.approx(200 / 3)
    assert found["found@1"] == 2


def test_what_training_never_shows_is_scored_apart():
    found = numbers(FOUND, TRUTH, TRAINING)
    assert found["zero-shot mAP"] == 100
    assert not any(name.startswith("zero-shot") for name in numbers(FOUND, {"w": TRUTH["w"]}, TRAINING))


def test_pairs_by_group():
    names = ("bite", "chase", "see")
    found = pair_numbers(np.array([1, 1, 2, 0]), np.array([1, 0, 2, 1]), names, TRAINING)
    assert found == {"pair-Acc": 50, "pair-mR": 50, "pair-head-mR": 50, "pair-body-mR": 100, "pair-tail-mR": 0}
    assert pair_numbers(np.array([], int), np.array([], int), names, TRAINING) == {}
    assert pair_numbers(np.array([1]), np.array([1]), names, TRAINING)["pair-tail-mR"] is None


def test_a_report_has_groups_and_predicates_and_stricter_overlaps():
    report = split_report(FOUND, TRUTH, TRAINING, {"prototype cosine": 0.25})
    assert report.metrics["prototype cosine"] == 0.25
    assert [row["group"] for row in report.groups][:4] == [
        "head predicates",
        "body predicates",
        "tail predicates",
        "chase (head, 60 in training)",
    ]
    assert report.groups[0]["R@1"] == 100
    assert [row["threshold"] for row in report.recall] == [0.3, 0.5, 0.7]
    assert all(first["R1"] >= then["R1"] for first, then in zip(report.recall, report.recall[1:], strict=False))


def test_matches_say_which_true_relation_was_found():
    assert matches(FOUND["v"], TRUTH["v"]).tolist() == [0, -1, 1]
    assert matches([relation("dog-see-cat", 5, 0.5)], TRUTH["w"], 0.9).tolist() == [-1]
