"""Outcomes of cells, brought into one order and written as one table."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from stages.auditing.cells import AuditError
from stages.auditing.outcomes import Outcomes, align, reached, write_outcomes


def test_answers_in_time_reach_limits_in_percent():
    found = reached(["a", "b", "c"], np.array([0.2, 0.5, 0.9]))
    assert found.values["R1@0.5"].tolist() == [0, 100, 100]
    assert found.values["R1@0.7"].tolist() == [0, 0, 100]
    assert found.values["IoU"] == pytest.approx([20, 50, 90])


def test_queries_are_aligned_by_their_id_whatever_their_order(tmp_path):
    cells = {
        ("full", 0, "iid"): Outcomes(["b", "a"], {"IoU": np.array([2.0, 1.0]), "extra": np.zeros(2)}),
        ("full", 1, "iid"): Outcomes(["a", "b"], {"IoU": np.array([3.0, np.nan])}),
    }
    found = align(cells, [0, 1])
    np.testing.assert_array_equal(found.of("full", "iid", "IoU"), [[1, 2], [3, np.nan]])
    assert found.of("full", "iid", "extra") is None
    assert found.of("base", "iid", "IoU") is None
    write_outcomes(tmp_path / "outcomes.parquet", found)
    rows = pq.read_table(tmp_path / "outcomes.parquet").to_pylist()
    assert rows[1] == {"variant": "full", "split": "iid", "seed": 0, "sample_id": "b", "IoU": 2.0}
    assert rows[3]["IoU"] is None


def test_the_same_outcomes_are_written_as_the_same_bytes(tmp_path):
    cells = {("full", 0, "iid"): Outcomes(["b", "a"], {"IoU": np.array([2.0, 1.0])})}
    for name in ("one", "two"):
        write_outcomes(tmp_path / name, align(cells, [0]))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_cells_that_were_asked_other_queries_cannot_be_compared():
    cells = {("full", 0, "iid"): Outcomes(["a"], {}), ("full", 1, "iid"): Outcomes(["b"], {})}
    with pytest.raises(AuditError, match=r"full/1: split iid has other queries .* 2 are not in both, the first is a"):
        align(cells, [0, 1])
