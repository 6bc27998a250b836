import pytest

from stages.metrics.report import baseline_numbers, split_report, validation_numbers
from tests.stages.metrics.making import predicted, true

PREDICTIONS = [predicted(1, (0, 8, 0.9)), predicted(2, (40, 60, 0.8)), predicted(3, (5, 50, 0.7))]
TRUTH = [true(1, (0, 8)), true(2, (40, 80)), true(3, (5, 50))]

RF = [
    ({**predicted(1, (0, 8, 0.9)), "relavent_score": 0.9}, {**true(1, (0, 8)), "no_answer": False}),
    ({**predicted(1, (0, 8, 0.9)), "relavent_score": 0.9}, {**true(1, (0, 0.001)), "no_answer": True, "kind": "hard"}),
    ({**predicted(2, (0, 8, 0.9)), "relavent_score": 0.1}, {**true(2, (0, 0.001)), "no_answer": True, "kind": "easy"}),
    ({**predicted(2, (0, 8, 0.9)), "relavent_score": 0.1}, {**true(2, (0, 0.001)), "no_answer": True, "kind": "hard"}),
]


def test_bare_names_are_corrected_and_published_scorers_have_theirs_in_front():
    metrics = split_report(PREDICTIONS[:1], TRUTH[:1]).metrics
    assert metrics["MR-full-R1@0.5"] == 100
    assert metrics["MR-long-mAP"] is None
    assert metrics["vtg.MR-long-mAP"] == 100, "as the reference has it: the whole set"
    assert not any(name.startswith("moment_detr") for name in metrics), "its reference fails on an empty range"


def test_validation_numbers_are_numbers():
    numbers = validation_numbers(PREDICTIONS[:1], TRUTH[:1])
    assert numbers["MR-full-mAP"] == 100
    assert "MR-long-mAP" not in numbers


def test_groups_count_queries_by_length():
    groups = {row["group"]: row for row in split_report(PREDICTIONS, TRUTH).groups}
    assert {name: row["count"] for name, row in groups.items()} == {"short moments": 1, "long moments": 2}
    assert groups["long moments"]["MR-full-R1@0.7"] == 50


def test_recall_has_a_row_per_threshold():
    recall = split_report(PREDICTIONS, TRUTH).recall
    assert [row["threshold"] for row in recall][:2] == [0.3, 0.35]
    assert recall[0]["R1"] == 100
    assert recall[-1]["R1"] == pytest.approx(200 / 3)


def test_repeated_query_ids_are_records_of_their_own():
    report = split_report(*zip(*RF, strict=True))
    assert report.metrics["Acc"] == 75
    assert report.metrics["Acc-answerable"] == 100
    assert report.metrics["Acc-hard"] == 50
    assert report.metrics["Acc-easy"] == 100
    assert report.metrics["MR-full-R1@0.5"] == 75
    assert report.metrics["vtg.MR-full-R1@0.5"] == 50, "the last record of each of two ids"
    assert report.metrics["ratsg.Acc"] == 75
    groups = {row["group"]: row["count"] for row in report.groups}
    assert groups == {"short moments": 1, "answerable": 1, "unanswerable, easy": 1, "unanswerable, hard": 2}


def test_a_baseline_has_accuracies_where_queries_may_be_unanswerable():
    assert baseline_numbers(*zip(*RF, strict=True))["Acc-unanswerable"] == pytest.approx(200 / 3)
    assert "Acc" not in baseline_numbers(PREDICTIONS, TRUTH)
