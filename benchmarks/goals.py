"""What the benchmarks are to reach: where each figure stands, whether it is enough, and why where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]
RATIO = ("ratio_median", "ratio_min", "ratio_max")


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One row: what is to be reached, where the figure stands, and what the machine allows.

    result     name of the file in results/
    figures    rows of (what exactly, measured, reached)
    limit      the machine's limit, measured in the same run
    why        what keeps a figure from its goal, shown if one misses it
    """

    what: str
    goal: str
    result: str
    figures: Callable[[Figures], Iterator[tuple[str, str, bool]]]
    limit: Callable[[Figures], str]
    why: Callable[[Figures], str] | None = None


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


def _why_consolidation(results: Figures) -> str:
    alone = ", ".join(f"{name} {one['candidates']['limit: write']['ratio_median']:g}" for name, one in results["sets"].items())
    return (
        "`np.load` in a loop only reads, from files that are in the page cache. A build reads the same and writes as many bytes "
        "again. Writing them alone, from one block, reaches these multiples of the loop on this disk: "
        f"{alone}. The reading half of a build, checksums verified, is the row `read`."
    )


def _scoring(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in results["cases"].items():
        yield name, spread(found["figures"]["array"]), at_least(found["figures"]["array"], 20)


def _step(results: Figures) -> Iterator[tuple[str, str, bool]]:
    for name, found in nested(results):
        what, own = " / ".join(name), found.get("share_of_product_rate")
        if name and name[-1] not in ("plain", "large product") and set(RATIO) <= found.keys() and own is not None:
            yield what, f"{spread(found)}; {own} of the GEMM rate", at_least(found, 1) and own >= 0.6


def _why_step(results: Figures) -> str:
    shares = [
        f"{' / '.join(name)} {found['share_of_time_in_products']:g}"
        for name, found in nested(results)
        if "share_of_time_in_products" in found
    ]
    return (
        f"Products take these shares of the time of a step: {', '.join(shares)}. The rest are norms, softmax, dropout masks and "
        "copies; products of the step's own, smaller shapes are slower than the large one. Candidates that do equal work lie "
        "around 1, so that their slowest round falls below."
    )


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


def _why_noop(results: Figures) -> str:
    parts = "; ".join(
        f"{name}: " + ", ".join(f"{part} {share:g} %" for part, share in shares.items())
        for name, shares in results.get("percent of the time", {}).items()
    )
    return (
        "DVC builds the graph of all stages at every start, then hashes, compares and locks every dependency of the stages that "
        f"were asked for, one by one, in Python. Shares of the time: {parts}. Parsing params.yaml is no longer among them "
        "(`pipelines/params_once.py`). What is left goes down only with fewer stages, or with fewer, wider dependencies: those "
        "would run stages again that a change does not concern."
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
        why=_why_consolidation,
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
            goal=f"never slower than {reference}; 0.6 of the GEMM rate",
            result=result,
            figures=_step,
            limit=lambda _: "one large matrix product in the same round",
            why=_why_step,
        )
        for method, reference, result in (
            ("CausalVTG", "a straightforward implementation", "causalvtg_step_cpu"),
            ("CPL and CCR", "a straightforward implementation", "ccr_step_cpu"),
            ("questions and relations", "the released numerics, operation by operation", "question_steps"),
        )
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
        why=_why_noop,
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
