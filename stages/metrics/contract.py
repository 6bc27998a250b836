"""What a benchmark offers to the score stage, and how the folder of benchmarks is found.

A benchmark is one module in `stages/metrics/benchmarks/` with one name, BENCHMARK. The folder is the registry.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.metrics.records import InputError, NotApplicableError


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to score: files by role, profiles (None: all that apply), equal ids or shared ones, corrected values beside."""

    files: dict[str, Path]
    profiles: tuple[str, ...] | None = None
    strict: bool = True
    corrected: bool = False
    num_proposals: int | None = None


@dataclass(kw_only=True)
class Scored:
    """Values per profile ({"rounded", "unrounded", ...}), how many records entered them, how many were left out."""

    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)
    corrected: dict[str, dict[str, Any]] | None = None
    n_scored: int = 0
    n_skipped: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """What a benchmark takes, and how it scores.

    files       roles of the files that it needs
    optional    roles of files that it can do without
    options     which of `ids` (intersection) and `num_proposals` of a Request mean anything to it
    profiles    all there are
    default     those that are tried when none is named
    """

    title: str
    files: tuple[str, ...]
    optional: tuple[str, ...] = ()
    options: tuple[str, ...] = ("ids",)
    profiles: tuple[str, ...]
    default: tuple[str, ...]
    score: Callable[[Request], Scored]


def benchmark_names() -> list[str]:
    """The benchmarks there are, by file name."""
    return sorted(path.stem for path in (Path(__file__).parent / "benchmarks").glob("[a-z]*.py"))


def load_benchmark(name: str) -> Benchmark:
    """BENCHMARK of stages/metrics/benchmarks/<name>.py.

    Raises LookupError with the known names if there is no such file.
    """
    if name not in benchmark_names():
        raise LookupError(f"no benchmark {name!r}: stages/metrics/benchmarks/ has {', '.join(benchmark_names())}")
    benchmark = importlib.import_module(f"stages.metrics.benchmarks.{name}").BENCHMARK
    assert isinstance(benchmark, Benchmark)
    return benchmark


def each_profile(
    request: Request, default: tuple[str, ...], scored: Scored, values: Callable[[str, bool], dict[str, Any]]
) -> None:
    """Fill scored.profiles (and scored.corrected) with values(profile, corrected) of the requested profiles.

    A profile that does not apply is an error if it was named, and a warning if it was not; InputError if none applies.
    """
    names = request.profiles or default
    refusals: list[str] = []
    reasons: list[str] = []
    modes = [(False, scored.profiles)]
    if request.corrected:
        scored.corrected = {}
        modes.append((True, scored.corrected))
    for corrected, into in modes:
        for name in names:
            try:
                into[name] = values(name, corrected)
            except NotApplicableError as error:
                if request.profiles is not None:
                    raise
                reasons.append(str(error))
                refusals.append(f"{'corrected ' if corrected else ''}{name} not scored: {error}")
    if not scored.profiles:
        raise InputError("; ".join(dict.fromkeys(reasons)))
    scored.warnings += refusals
