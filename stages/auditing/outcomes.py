"""Outcomes: numbers of single queries, brought into one order over the cells of an audit.

A task turns the predictions of a split into `Outcomes`; here they become one table (Parquet), and arrays (seeds, queries).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.auditing.cells import AuditError

Floats = NDArray[np.float64]
Key = tuple[str, str]  # variant, split


@dataclass(frozen=True)
class Outcomes:
    """Per-query numbers of one split: ids (Q,), and values (Q,) by measure. NaN: the measure does not apply to the query.

    texts    id -> what the query is, where the id is not that of a sample: one relation of a video
    """

    ids: Sequence[str]
    values: Mapping[str, Floats]
    texts: Mapping[str, str] = field(default_factory=dict)


REACHED = ("IoU", "R1@0.5", "R1@0.7")  # measures of answers in time


def reached(ids: Sequence[str], overlaps: NDArray[np.floating[Any]]) -> Outcomes:
    """Outcomes of answers in time from their IoU (Q,) with the truth: IoU, and whether it is 0.5 or 0.7 at least, in percent."""
    numbers = (overlaps.astype(np.float64), *((overlaps >= limit).astype(np.float64) for limit in (0.5, 0.7)))
    return Outcomes(ids, {name: 100.0 * values for name, values in zip(REACHED, numbers, strict=True)})


def read_records(file: Path) -> list[dict[str, Any]]:
    """Predictions of a split, <cell>/results/splits/<split>.jsonl: one record per line.

    Raises AuditError with the first line that is not JSON.
    """
    records = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            again = f"delete {file.parents[2]} and audit again"
            raise AuditError(f"{file}: line {number} is not JSON ({error}); {again}") from error
    return records


@dataclass(frozen=True)
class Aligned:
    """values[variant, split][measure] (S, Q): seeds in the audit's order; queries of a split are the same for all variants."""

    seeds: tuple[int, ...]
    queries: Mapping[str, Sequence[str]]
    values: Mapping[Key, Mapping[str, Floats]]

    def of(self, variant: str, split: str, measure: str) -> Floats | None:
        """(S, Q), or None where the variant has no such measure."""
        return self.values.get((variant, split), {}).get(measure)


def align(cells: Mapping[tuple[str, int, str], Outcomes], seeds: Sequence[int]) -> Aligned:
    """Bring the outcomes of (variant, seed, split) into one order of queries per split.

    Raises AuditError if two cells of a split were not asked the same queries.
    """
    queries: dict[str, list[str]] = {}
    values: dict[Key, dict[str, Floats]] = {}
    for variant, split in sorted({(variant, split) for variant, _, split in cells}):
        rows = []
        for seed in seeds:
            cell = cells[variant, seed, split]
            order = np.argsort(np.array(cell.ids, np.str_), kind="stable")
            ids = [cell.ids[place] for place in order]
            if (first := queries.setdefault(split, ids)) != ids:
                lost = sorted(set(first) ^ set(ids))
                raise AuditError(
                    f"{variant}/{seed}: split {split} has other queries than the cells before it: {len(lost)} are not in both"
                    + (f", the first is {lost[0]}" if lost else "; an id occurs twice")
                )
            rows.append({name: np.asarray(value, np.float64)[order] for name, value in cell.values.items()})
        shared = [name for name in rows[0] if all(name in row for row in rows)]
        values[variant, split] = {name: np.stack([row[name] for row in rows]) for name in shared}
    return Aligned(tuple(seeds), queries, values)


def write_outcomes(path: Path, aligned: Aligned) -> None:
    """One row per variant, seed, split and query; a column per measure, null where it does not apply."""
    measures = sorted({name for columns in aligned.values.values() for name in columns})
    tables = []
    for (variant, split), columns in sorted(aligned.values.items()):
        ids = aligned.queries[split]
        count, seeds = len(ids), np.array(aligned.seeds, np.int64)
        data: dict[str, Any] = {
            "variant": pa.array([variant] * (count * len(seeds))).dictionary_encode(),
            "split": pa.array([split] * (count * len(seeds))).dictionary_encode(),
            "seed": np.repeat(seeds, count),
            "sample_id": list(ids) * len(seeds),
        }
        missing = np.full(count * len(seeds), np.nan)
        data |= {name: pa.array(columns[name].ravel() if name in columns else missing, from_pandas=True) for name in measures}
        tables.append(pa.table(data))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    pq.write_table(pa.concat_tables(tables).unify_dictionaries(), partial, compression="zstd")
    partial.replace(path)
