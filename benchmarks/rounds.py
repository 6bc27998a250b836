"""Interleaved timing: every round runs each candidate once, in rotated order; what counts are ratios within a round.

Absolute times on a busy machine say little, and times from different runs nothing. `interleave` gives, for each candidate, the
median, smallest and largest ratio to the reference candidate; `save` keeps them with a description of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def interleave(
    candidates: Mapping[str, Callable[[], object]],
    *,
    reference: str,
    rounds: int = 5,
    before_each: Callable[[str], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Time the candidates; `before_each(name)` runs untimed before each of them (to drop caches, say).

    One warm-up round is not counted. A ratio above 1 means faster than `reference`, which is timed in the same round.
    """
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(rounds + 1):
        shift = round_ % len(names)
        for name in names[shift:] + names[:shift]:
            if before_each:
                before_each(name)
            start = time.perf_counter()
            candidates[name]()
            elapsed = time.perf_counter() - start
            if round_:
                seconds[name].append(elapsed)
    figures: dict[str, dict[str, Any]] = {}
    for name in names:
        ratios = [base / own for base, own in zip(seconds[reference], seconds[name], strict=True)]
        figures[name] = {
            "ratio_median": round(statistics.median(ratios), 2),
            "ratio_min": round(min(ratios), 2),
            "ratio_max": round(max(ratios), 2),
            "seconds_median": round(statistics.median(seconds[name]), 4),
        }
    return figures


def part_of_gpu(about: str | None) -> argparse.ArgumentParser:
    """The command line that the parts of benchmarks/gpu.py have in common; `about` is a part's docstring."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small networks and data, to try it")
    parser.add_argument("--out", type=Path, required=True, help="file of the figures")
    return parser


def machine() -> dict[str, Any]:
    """What the figures were measured on, in words that name no host."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory),
        "python": platform.python_version(),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def save(name: str, figures: Mapping[str, Any]) -> Path:
    """Write benchmarks/results/<name>.json and print it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    print(write_whole(path, {"machine": machine(), **figures}))
    return path


def write_whole(path: Path, figures: Mapping[str, Any]) -> str:
    """Write the file in one go, so that whoever is ended meanwhile leaves no half of it; the text."""
    text, partial = json.dumps(figures, indent=1), path.with_name(path.name + ".partial")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)
    return text
