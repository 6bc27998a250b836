"""benchmarks/README.md from benchmarks/results/*.json: the goals with what was measured, then every figure. Nothing is typed.

python -m benchmarks.table
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.rounds import RESULTS, ROOT

README = ROOT / "benchmarks" / "README.md"
Figures = Mapping[str, Any]
RATIO = ("ratio_median", "ratio_min", "ratio_max")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One row: what is to be reached, where the figure stands, and what the machine allows.

    result     name of the file in results/
    figures    rows of (what exactly, measured, reached)
    limit      the machine's limit, measured in the same run
    """

    what: str
    goal: str
    result: str
    figures: Callable[[Figures], Iterator[tuple[str, str, bool]]]
    limit: Callable[[Figures], str]


def spread(found: Figures) -> str:
    """25.1 [15.2-30.2]."""
    return f"{found['ratio_median']:g} [{found['ratio_min']:g}-{found['ratio_max']:g}]"


def at_least(found: Figures, goal: float) -> bool:
    """Whether the smallest ratio of all rounds reaches the goal."""
    return bool(found["ratio_min"] >= goal)


def _feeding(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in results["sets"].items():
        warm, cold = found["warm"]["candidates"], found["cold"]["candidates"]
        yield f"{name}: resident", spread(warm["resident"]), at_least(warm["resident"], 15)
        yield f"{name}: mapped, cold", spread(cold["mapped"]), at_least(cold["mapped"], 3)
        share = warm["limit: memcpy"]["seconds_median"] / warm["resident"]["seconds_median"]
        yield f"{name}: resident, share of a memcpy", f"{share:.2f}", share >= 0.6


def _consolidation(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in results["sets"].items():
        for candidate in ("build", "read"):
            ratios = found["candidates"][candidate]
            yield f"{name}: {candidate}", spread(ratios), at_least(ratios, 2.5)


def _scoring(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in results["cases"].items():
        yield name, spread(found["figures"]["array"]), at_least(found["figures"]["array"], 20)


def _step(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in nested(results):
        what, own = " / ".join(name), found.get("share_of_product_rate")
        if name and name[-1] not in ("plain", "large product") and set(RATIO) <= found.keys() and own is not None:
            yield what, f"{spread(found)}; {own} of the GEMM rate", at_least(found, 1) and own >= 0.6


def _memory(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in results["runs"].items():
        allowed, peak = found["allowed_mib"], found["peak_mib"]
        yield name, f"{peak} MiB of {allowed} (store {found['store_mib']}, model {found['model_mib']})", peak <= allowed


def _noop(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in results["candidates"].items():
        if "goal_seconds" in found:
            yield (
                f"{name}, {results['stages']} stages in all",
                f"{found['seconds_median']:.1f} s",
                bool(found["seconds_median"] < found["goal_seconds"]),
            )


def _demo(results: Figures) -> Iterator[tuple[str, str, bool]]:
    yield f"{results['jobs']} stages at a time", f"{results['seconds'] / 60:.1f} min", results["seconds"] < 300


def _prefect(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name in ("ran", "cached"):
        seconds = results[name]["flow"]["seconds_per_stage_over_dvc"]
        yield name, f"{seconds:g} s per stage over dvc", seconds < 1


def _growth(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, sizes in results["work"].items():
        time, most, least = sizes["x16"], sizes["x16"]["mib_median"], sizes["x1"]["mib_median"]
        ratios = f"{time['time_ratio_median']:g} [{time['time_ratio_min']:g}-{time['time_ratio_max']:g}] times the time"
        held = f"{least:g} to {most:g} MiB"
        yield name, f"{ratios}; {held}", time["time_ratio_median"] <= 20 and (name == "scoring" or most <= 2 * least + 8)


GOALS = (
    Goal(
        what="feeding batches",
        goal="resident 15 times, mapped and cold 3 times the published loader; 0.6 of a memcpy",
        result="batches",
        figures=_feeding,
        limit=lambda found: ", ".join(
            f"{name}: memcpy {one['warm']['candidates']['limit: memcpy']['gb_per_s']} GB/s" for name, one in found["sets"].items()
        ),
    ),
    Goal(
        what="consolidation of small files, checksums verified",
        goal="2.5 times `np.load` in a loop",
        result="consolidate",
        figures=_consolidation,
        limit=lambda found: ", ".join(
            f"{name}: write {one['candidates']['limit: write']['mb_per_s']} MB/s" for name, one in found["sets"].items()
        ),
    ),
    Goal(
        what="scoring, identical values",
        goal="20 times a loop for moment retrieval",
        result="scoring",
        figures=_scoring,
        limit=lambda found: ", ".join(
            f"{name}: parsing the JSON {one['figures']['parse JSON (limit)']['seconds_median']} s"
            for name, one in found["cases"].items()
        ),
    ),
    *(
        Goal(
            what=f"training step, {method}, CPU",
            goal="never slower than a straightforward implementation; 0.6 of the GEMM rate",
            result=result,
            figures=_step,
            limit=lambda _: "one large matrix product in the same round",
        )
        for method, result in (("CausalVTG", "causalvtg_step_cpu"), ("CPL and CCR", "ccr_step_cpu"))
    ),
    Goal(
        what="training step, questions and relations, CPU",
        goal="never slower than the released numerics, operation by operation; 0.6 of the GEMM rate",
        result="question_steps",
        figures=_step,
        limit=lambda _: "one large matrix product in the same round",
    ),
    Goal(
        what="memory while training",
        goal="store + model + 1 GiB",
        result="memory",
        figures=_memory,
        limit=lambda found: f"the stage imported, idle: {found['limit: stage imported, idle (MiB)']} MiB",
    ),
    Goal(
        what="`dvc repro` with nothing to do",
        goal="one target under 2 s, the whole graph under 5 s",
        result="dvc_noop",
        figures=_noop,
        limit=lambda found: ", ".join(
            f"{name.removeprefix('limit: ')} {found['candidates'][name]['seconds_median']:.1f} s"
            for name in ("limit: start", "limit: params")
        ),
    ),
    Goal(
        what="`make demo`, installation apart",
        goal="under 5 minutes on 2 cores",
        result="demo",
        figures=_demo,
        limit=lambda found: (
            f"processor time over {found['machine']['cores']} cores {found['limit: cpu over cores'] / 60:.1f} min"
        ),
    ),
    Goal(
        what="Prefect on top of DVC",
        goal="under 1 s per stage once a worker has the run",
        result="orchestration",
        figures=_prefect,
        limit=lambda found: f"`dvc repro` of the chain alone {found['cached']['dvc repro']['seconds_median']} s",
    ),
    Goal(
        what="growth from 1 to 16 times the data",
        goal="linear time, constant memory (scoring holds its records)",
        result="growth",
        figures=_growth,
        limit=lambda found: ", ".join(
            f"{name}: reading the bytes {one['x16']['limit_seconds_median']} of {one['x16']['seconds_median']} s"
            for name, one in found["work"].items()
        ),
    ),
)


def nested(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Figures]]:
    """Every mapping below `value` that holds ratios, other plain figures or why there are none, with the keys that lead to it."""
    if isinstance(value, Mapping):
        if "failed" in value or any(isinstance(one, int | float) and not isinstance(one, bool) for one in value.values()):
            yield path, value
        for key, one in value.items():
            yield from nested(one, (*path, key))


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
