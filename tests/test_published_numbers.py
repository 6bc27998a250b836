"""The table of methods in README.md names runs that exist, every method, and the published numbers that params.yaml has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(
    r"^\| (?:\[[^\]]+\]\((?P<file>[^)]+)\))? ?\| [^|]+ \| `dvc repro evaluate@(?P<run>[^`]+)` \| [^|]+ \| (?P<paper>[^|]+) \|$",
    re.M,
)
ROWS = [found.groupdict() for found in ROW.finditer((ROOT / "README.md").read_text(encoding="utf-8"))]
RUNS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["runs"]


def test_every_method_has_its_rows():
    methods = {path.stem for path in (ROOT / "models" / "methods").glob("*.py")}
    assert {RUNS[row["run"]]["method"] for row in ROWS} == methods
    assert {Path(row["file"]).stem for row in ROWS if row["file"]} == methods


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["run"])
def test_a_published_number_is_the_one_that_the_results_page_compares_with(row):
    published = RUNS[row["run"]]["evaluate"]["published"]
    if row["paper"] == "-":
        assert published is None
    else:
        metric, value = row["paper"].rsplit(" ", 1)
        assert published[metric] == float(value)
