"""Numbers of an audit, read from its evaluations and written as metrics.json (`dvc metrics`) and CSV (`dvc plots`)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from stages.auditing.effects import Effect


def evaluation_numbers(file: Path, splits: Iterable[str]) -> dict[str, dict[str, float]]:
    """split -> metric -> value, from the metrics.json of an evaluation."""
    metrics = json.loads(file.read_text(encoding="utf-8"))
    return {
        split: {name.removeprefix(f"{split}."): value for name, value in metrics.items() if name.startswith(f"{split}.")}
        for split in splits
    }


def tabled_numbers(
    names: Sequence[str], evaluations: Iterable[tuple[str, Mapping[str, Mapping[str, float]]]]
) -> list[dict[str, Any]]:
    """The named metrics per variant and split: mean and deviation over seeds, number of seeds.

    evaluations    (variant, split -> metric -> value), one per variant and seed
    """
    values: dict[tuple[str, str, str], list[float]] = {}
    for variant, numbers_of_splits in evaluations:
        for split, numbers in numbers_of_splits.items():
            for name in names:
                if name in numbers:
                    values.setdefault((name, split, variant), []).append(numbers[name])
    return [
        {
            "number": name,
            "variant": variant,
            "split": split,
            "mean": fmean(by_seed),
            "seed_sd": stdev(by_seed) if len(by_seed) > 1 else None,
            "seeds": len(by_seed),
        }
        for (name, split, variant), by_seed in sorted(values.items())
    ]


def metrics_of(
    effects: Sequence[Effect], numbers: Sequence[Mapping[str, Any]], sweep_effects: Sequence[tuple[float, Effect]] = ()
) -> dict[str, float]:
    """The content of metrics.json: flat, six decimals, without undefined values.

    numbers          rows with number, variant, split, mean, seed_sd
    sweep_effects    (strength, effect)
    """
    values: dict[str, float | None] = {}
    named = [(effect.name, effect) for effect in effects]
    named += [(f"{effect.name}{at_strength(strength)}", effect) for strength, effect in sweep_effects]
    for name, effect in named:
        values[name] = effect.value
        values |= {f"{name}.{end}": getattr(effect, end) for end in ("low", "high", "seed_sd")}
    for row in numbers:
        name = f"{row['variant']}.{row['split']}.{row['number']}"
        values |= {name: row["mean"], f"{name}.seed_sd": row["seed_sd"]}
    return {name: round(value, 6) for name, value in values.items() if value is not None and value == value}


def at_strength(strength: float) -> str:
    """What names of a sweep end with."""
    return f"-at-{strength:g}"


def csv_table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """CSV with a header; missing and undefined values are empty."""
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: "" if value is None or value != value else value for key, value in row.items()} for row in rows)
    return stream.getvalue().encode()
