"""Numbers of evaluations over seeds, and the files that an audit writes."""

import json
import math

from stages.auditing.effects import Effect
from stages.auditing.tables import csv_table, evaluation_numbers, metrics_of, tabled_numbers


def test_numbers_of_an_evaluation_are_found_by_split(tmp_path):
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({"iid.Acc": 60, "iid.baseline.random.Acc": 20, "interventional.Acc": 40, "other.Acc": 0}))
    found = evaluation_numbers(file, ["iid", "interventional"])
    assert found == {"iid": {"Acc": 60, "baseline.random.Acc": 20}, "interventional": {"Acc": 40}}


def test_a_number_is_the_mean_over_the_seeds_of_each_variant_that_has_it():
    rows = tabled_numbers(["Acc"], [("base", {"iid": {"Acc": 60}}), ("full", {"iid": {}}), ("base", {"iid": {"Acc": 64}})])
    assert [(row["variant"], row["mean"], round(row["seed_sd"], 3), row["seeds"]) for row in rows] == [("base", 62, 2.828, 2)]


def test_a_single_seed_has_no_deviation():
    (row,) = tabled_numbers(["Acc"], [("base", {"iid": {"Acc": 60}})])
    assert row["seed_sd"] is None


def test_metrics_name_the_strength_of_a_sweep_and_leave_out_what_is_undefined():
    gap = Effect("gap", "base", "", "Acc", 20.0, 17.0, 23.0, math.nan, 9)
    found = metrics_of([gap], [], [(0.5, gap)])
    assert list(found) == [
        "base.gap.Acc", "base.gap.Acc.low", "base.gap.Acc.high",
        "base.gap.Acc-at-0.5", "base.gap.Acc-at-0.5.low", "base.gap.Acc-at-0.5.high",
    ]  # fmt: skip


def test_a_table_has_empty_fields_for_missing_and_undefined_values():
    assert csv_table([{"a": 1, "b": None}, {"a": math.nan, "b": 2}]) == b"a,b\n1,\n,2\n"
    assert csv_table([]) == b""
