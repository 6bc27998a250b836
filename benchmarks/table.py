"""benchmarks/README.md from benchmarks/results/*.json: the goals with what was measured, then every figure. Nothing is typed.

python -m benchmarks.table
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.goals import GOALS, RATIO, Figures, nested, spread
from benchmarks.rounds import RESULTS, ROOT

README = ROOT / "benchmarks" / "README.md"


def goals(results: Mapping[str, Figures]) -> Iterator[str]:
    """The table of goals."""
    yield "| what | goal | measured | figure | reached | the machine's limit in the same run |"
    yield "|---|---|---|---|---|---|"
    for goal in GOALS:
        if goal.result not in results:
            yield f"| {goal.what} | {goal.goal} | not measured yet: `python -m benchmarks.run` | | | |"
            continue
        limit = goal.limit(results[goal.result])
        for number, (what, figure, reached) in enumerate(goal.figures(results[goal.result])):
            head = f"{goal.what} | {goal.goal}" if number == 0 else " | "
            yield f"| {head} | {what} | {figure} | {'yes' if reached else '**no**'} | {limit if number == 0 else ''} |"


def misses(results: Mapping[str, Figures]) -> Iterator[str]:
    """Why figures miss their goals, where that is known."""
    for goal in GOALS:
        found = results.get(goal.result)
        if found is not None and goal.why and not all(reached for _, _, reached in goal.figures(found)):
            yield f"- **{goal.what}**: {goal.why(found)}"


def details(name: str, results: Figures) -> Iterator[str]:
    """Every figure of one benchmark."""
    yield f"### {name}"
    yield ""
    yield f"{first_line(name)} ([results/{name}.json](results/{name}.json); {machine(results['machine'])})"
    yield ""
    rows = list(nested({key: value for key, value in results.items() if key != "machine"}))
    ratios = [(path, found) for path, found in rows if set(RATIO) <= found.keys()]
    if ratios:
        yield "| candidate | ratio, median [range] | seconds, median | more |"
        yield "|---|---|---|---|"
        for path, found in ratios:
            more = ", ".join(
                f"{key} {shown(one)}" for key, one in found.items() if key not in (*RATIO, "seconds_median") and plain(one)
            )
            yield f"| {' / '.join(path)} | {spread(found)} | {shown(found['seconds_median'])} | {more} |"
        yield ""
    others = [(path, found) for path, found in rows if not set(RATIO) <= found.keys()]
    if others:
        yield "| of | figures |"
        yield "|---|---|"
        for path, found in others:
            yield f"| {' / '.join(path)} | {', '.join(f'{key} {shown(one)}' for key, one in found.items() if plain(one))} |"
        yield ""


def plain(value: Any) -> bool:
    """Whether it fits a cell."""
    return isinstance(value, int | float | str)


def shown(value: Any) -> str:
    """A number in four digits, text as it is."""
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def machine(found: Figures) -> str:
    """What it was measured on."""
    return f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB, {found['threads']} thread per process"


def first_line(name: str) -> str:
    """What the benchmark says of itself."""
    for module in (name, name.removesuffix("_cpu").removesuffix("_cuda")):
        path = ROOT / "benchmarks" / f"{module}.py"
        if path.is_file():
            return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()[0]
    return ""


def text(results: Mapping[str, Figures]) -> str:
    """The whole page."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench` (`python -m benchmarks.run`) from `results/*.json`; do not edit. A ratio above 1 means",
        "faster than the reference, timed in the same rounds in rotated order: median and range over the rounds. A goal",
        "counts as reached where the smallest ratio of all rounds reaches it.",
        "",
        "## Goals",
        "",
        *goals(results),
        "",
        "## What misses its goal, and why",
        "",
        *(list(misses(results)) or ["Nothing does."]),
        "",
        "## Every figure",
        "",
    ]
    for name, found in sorted(results.items()):
        lines += details(name, found)
    return "\n".join(lines).rstrip() + "\n"


def read(folder: Path = RESULTS) -> dict[str, Figures]:
    """Every result there is, by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def main() -> None:
    """Write the page."""
    README.write_text(text(read()), encoding="utf-8")
    print(README.relative_to(ROOT))


if __name__ == "__main__":
    main()
