"""history.csv: one row per epoch, rewritten whole as the training goes.

`dvc plots show`, a spreadsheet or `watch cat` can look at it at any moment. It is what dvclive would write without the parts that
differ between two equal trainings (times, a metrics file per step): the same training gives the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.training.runs import write_whole


def write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Columns in the order of their first appearance; what an epoch did not measure is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _number(value) for name, value in row.items()} for row in rows)
    write_whole(path, text.getvalue().encode())


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.8g}"
