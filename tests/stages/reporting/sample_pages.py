"""Page files as evaluation writes them, made up but plausible: for tests of the results page, and to look at it.

`python -m tests.stages.reporting.sample_pages FOLDER` writes the pages of four runs and prints nothing else.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

PLANTED_SPLITS = ("iid", "interventional", "reversed")
LEVEL = {"iid": 71.0, "interventional": 42.0, "reversed": 29.0, "test": 61.0, "val": 58.0}
RECALLS = ("MR-full-R1@0.5", "MR-full-R1@0.7", "MR-full-mIoU", "MR-full-mAP")
VERBS = ("lifts", "throws", "pushes", "pours", "opens", "closes", "follows", "paints")
THINGS = ("red ball", "cup", "door", "wooden box", "rope", "chair")
HOSTILE = (
    "<img src=x onerror=\"alert('query')\"> a man & a </script><script>alert(1)</script> dog",
    "a\x00b\x1b[31m tab\there\nsecond line\x7f \u202eright to left\u202c &amp; &lt;b&gt; \ud800 end",
    "\u4e00\u4e2a\u4eba\u6253\u5f00\u95e8 \u0634\u062e\u0635 \u064a\u0641\u062a\u062d \u0627\u0644\u0628\u0627\u0628 \U0001f6aa "
    + "verylongword" * 12,
)


def page(
    run: str, *, dataset: str = "planted", splits: tuple[str, ...] = PLANTED_SPLITS, examples: int = 6, seed: int = 0
) -> dict[str, Any]:
    """One page as a JSON object; `examples` per split."""
    rng = random.Random(f"{run} {seed}")
    lift = rng.uniform(-6, 6)
    published = None if dataset == "planted" else {"MR-full-R1@0.5": 59.6, "MR-full-R1@0.7": 40.3, "MR-full-mIoU": 51.1}
    return {
        "run": run,
        "title": "CausalVTG: robust video temporal grounding via causal inference",
        "method": "causalvtg",
        "numerics": "released" if run.endswith("released") else "corrected",
        "dataset": dataset,
        "features": ["clip", "slowfast", "clip_text"],
        "primary": list(RECALLS),
        "splits": {split: _split(rng, split, LEVEL[split] + lift) for split in splits},
        "published": published,
        "history": [_epoch(rng, epoch, lift) for epoch in range(15)],
        "breakdown": {split: _breakdown(rng, LEVEL[split] + lift) for split in splits},
        "examples": [_example(rng, split, n) for split in splits for n in range(examples)],
        "provenance": {"model": "9f" * 32, "samples": {"digest": "3c" * 32, "rows": 900}, "features": {"clip": "77" * 32}},
    }


def write_pages(folder: Path, *pages: dict[str, Any]) -> Path:
    """Write each page under its run's name, as evaluation does."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in pages:
        (folder / f"{one['run']}.json").write_text(json.dumps(one, indent=1), encoding="utf-8")
    return folder


def hostile_page(run: str = "hostile") -> dict[str, Any]:
    """A page whose queries, ids and names are what nobody hopes for."""
    made = page(run, splits=("test",), examples=len(HOSTILE) + 1)
    for example, query in zip(made["examples"], HOSTILE, strict=False):
        example |= {"query": query, "video_id": f"../../{query[:20]}/<b>", "sample_id": f"'\"><i>{query[:5]}"}
    made["title"] = "<script>alert('title')</script> & \"quotes\""
    made["provenance"]["note"] = "</pre></script><script>alert(2)</script>"
    made["breakdown"]["test"][0]["group"] = "<b>short</b>"
    return made


def _metrics(rng: random.Random, level: float) -> dict[str, float]:
    values = {
        "MR-full-R1@0.3": level + 11, "MR-full-R1@0.5": level, "MR-full-R1@0.7": level * 0.66, "MR-full-mIoU": level * 0.82,
        "MR-full-mAP": level * 0.7, "MR-full-mAP@0.5": level * 0.9, "MR-full-mAP@0.75": level * 0.6,
        "MR-short-mAP": level * 0.3, "MR-middle-mAP": level * 0.75, "HL-min-VeryGood-mAP": 38.0, "HL-min-VeryGood-Hit1": 62.5,
    }  # fmt: skip
    return {name: round(max(0.0, value + rng.uniform(-1, 1)), 4) for name, value in values.items()}


def _split(rng: random.Random, split: str, level: float) -> dict[str, Any]:
    guess = random.Random(split)  # the same for every run, as real baselines are
    return {
        "metrics": _metrics(rng, level),
        "n_scored": 900,
        "n_dropped": 0,
        "baselines": {"random window": _metrics(guess, 11.0), "centre window": _metrics(guess, 24.0)},
    }


def _epoch(rng: random.Random, epoch: int, lift: float) -> dict[str, Any]:
    decay = 0.8**epoch
    losses = {"cls": 0.3 + decay, "reg": 0.2 + 0.8 * decay, "sal": 0.1 + 0.4 * decay, "neg": 0.69 * (0.3 + decay)}
    losses = {name: round(value * rng.uniform(0.95, 1.05), 5) for name, value in losses.items()}
    found = {name: round(value, 3) for name, value in _metrics(rng, (70 + lift) * (1 - 0.75 ** (epoch + 1))).items()}
    rate = 2e-3 * (1 - epoch / 15)
    return {"epoch": epoch, "step": 24 * (epoch + 1), "lr": rate, **losses, "total": round(sum(losses.values()), 5), **found}


def _breakdown(rng: random.Random, level: float) -> list[dict[str, Any]]:
    groups = {"short (0-10 s]": 0.7, "middle (10-30 s]": 1.05, "long (30-150 s]": 0.9}
    return [{"group": name, "count": 300, **_metrics(rng, level * factor)} for name, factor in groups.items()]


def _example(rng: random.Random, split: str, n: int) -> dict[str, Any]:
    duration, step = 48.0, 2.0
    start = rng.uniform(0, duration - 12)
    truth = [start, start + rng.uniform(3, 12)]
    answerable = n % 5 != 4
    windows = []
    for rank in range(5):
        shift = rng.gauss(0, 2 + 6 * rank)
        begin = min(max(truth[0] + shift, -0.5), duration - 2)  # not clamped: a method's windows may reach over the edges
        windows.append([begin, begin + max(1.0, truth[1] - truth[0] + rng.gauss(0, 2)), round(0.93 * 0.6**rank, 4)])
    middle = [(clip + 0.5) * step for clip in range(int(duration / step))]
    inside = [truth[0] <= time <= truth[1] for time in middle]
    return {
        "split": split,
        "sample_id": str(1000 + n),
        "query": f"the person {rng.choice(VERBS)} the {rng.choice(THINGS)}",
        "video_id": f"world_{split}_{n:05d}",
        "duration": duration,
        "truth": [truth] if answerable else [],
        "windows": windows,
        "saliency": [round(rng.gauss(0.7 if hit else -0.1, 0.15), 5) for hit in inside],
        "seconds_per_clip": step,
        "answerable_probability": round(rng.uniform(0.7, 0.99) if answerable else rng.uniform(0.05, 0.5), 4),
        "saliency_truth": [3.0 + rng.randint(0, 1) if hit else 0.0 for hit in inside] if answerable else None,
        "dictionary": _dictionary(inside) if n < 5 else None,
    }


def _dictionary(inside: list[bool]) -> dict[str, Any]:
    weights = [[0.5 / rank + 0.1 * hit for hit in inside] for rank in (1, 2, 5)]
    return {"entries": [17, 3, 60], "weights": weights, "gate": [0.2 + 0.5 * hit for hit in inside], "size": 64}


if __name__ == "__main__":
    write_pages(
        Path(sys.argv[1]),
        page("causalvtg-planted"),
        page("causalvtg-planted-released"),
        page("causalvtg-charades", dataset="charades_sta_clip", splits=("test",)),
        hostile_page(),
    )
