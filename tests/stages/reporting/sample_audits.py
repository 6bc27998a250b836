"""Audit pages, outcomes of queries and facts of data sets as stages hand them to a results page, made up but plausible."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.stages.reporting.sample_pages import HOSTILE

VARIANTS = {
    "base": "without the counterfactual branch",
    "full": "",
    "no mediator": "model.mediator: false",
    "base-unbiased": "base, trained without bias",
    "full-unbiased": "full, trained without bias",
}
LEVELS = {"base": (71.0, 42.0), "full": (69.0, 51.0), "no mediator": (70.0, 44.0), "base-unbiased": (63.4, 65.0)}
SPLITS = ("iid", "interventional", "reversed")


def audit_page(name: str = "causalvtg") -> dict[str, Any]:
    """One audit with two measures, controls and a sweep."""
    rng = random.Random(name)
    effects = [row for measure in ("R1@0.5", "IoU") for row in _effects(rng, measure)]
    strengths = (0.0, 0.25, 0.5, 0.75, 0.95)
    return {
        "audit": name,
        "title": "CausalVTG: robust video temporal grounding via causal inference",
        "run": "one",
        "method": "causalvtg",
        "dataset": "planted",
        "unbiased": "planted_unbiased",
        "seeds": [0, 1, 2],
        "confidence": 0.95,
        "coverage": "Intervals over few seeds are too narrow: with 3 seeds, about 92 of 100 contain the true value.",
        "base": "base",
        "full": "full",
        "variants": dict(VARIANTS),
        "splits": {"iid": "iid", "interventional": "interventional", "reversed": "reversed"},
        "measures": ["R1@0.5", "IoU"],
        "effects": effects,
        "numbers": [
            {"number": "MR-full-mAP", "variant": name, "split": split, "mean": rng.uniform(20, 60), "seed_sd": 1.2, "seeds": 3}
            for name in VARIANTS
            for split in SPLITS
        ],
        "controls": [
            {"control": "unbiased training closes the gap", "expected": "gap of base-unbiased about 0", "holds": True}
            | _around(rng, 1.2),
            {
                "control": "query only",
                "expected": "chance without bias",
                "value": 9.0,
                "low": 8.1,
                "high": None,
                "holds": None,
            },
        ],
        "sweep": {
            "over": "scene bias",
            "rows": [
                {"strength": x, "variant": variant, "kind": kind, "split": "", "measure": "R1@0.5"} | _around(rng, x * slope)
                for kind in ("gain", "gap")
                for variant, slope in (("full", 9.0), ("no mediator", 3.0))
                for x in strengths
            ],
        },
        "says": ["The gain is debiasing: it is not there after unbiased training.", "A gap of 18 points is left."],
        "provenance": {"code": "3c" * 32},
    }


def _effects(rng: random.Random, measure: str) -> list[dict[str, Any]]:
    rows = []
    for variant, levels in LEVELS.items():
        rows += [_effect(rng, "level", variant, split, measure, level) for split, level in zip(SPLITS, levels, strict=False)]
        rows.append(_effect(rng, "gap", variant, "", measure, levels[0] - levels[1]))
        if variant not in ("base", "base-unbiased"):
            rows.append(_effect(rng, "gain", variant, "", measure, levels[1] - LEVELS["base"][1]))
    return rows


def _effect(rng: random.Random, kind: str, variant: str, split: str, measure: str, value: float) -> dict[str, Any]:
    place = {"kind": kind, "variant": variant, "split": split, "measure": measure, "seed_sd": 1.5, "queries": 900}
    return place | _around(rng, value)


def _around(rng: random.Random, value: float) -> dict[str, float]:
    low, high = rng.uniform(1.5, 3.5), rng.uniform(1.5, 3.5)
    return {"value": round(value, 4), "low": round(value - low, 4), "high": round(value + high, 4)}


def write_audits(folder: Path, *audits: dict[str, Any]) -> Path:
    """Write each audit under its name into the folder of its report's pages."""
    (folder / "audits").mkdir(parents=True, exist_ok=True)
    for one in audits:
        (folder / "audits" / f"{one['audit']}.json").write_text(json.dumps(one), encoding="utf-8")
    return folder


def with_outcomes(page: dict[str, Any], *, queries: int = 40) -> dict[str, Any]:
    """The page with numbers of every query; the first queries are what nobody hopes for."""
    rng = random.Random(page["run"])
    page["outcomes"] = {}
    for split in page["splits"]:
        overlaps = [round(min(1, max(0, rng.gauss(0.5, 0.3))) * 100, 4) for _ in range(queries)]
        page["outcomes"][split] = {
            "ids": [f"{split}-{n}" for n in range(queries)],
            "queries": [HOSTILE[n] if n < len(HOSTILE) else f"the person opens door {n}" for n in range(queries)],
            "measures": {"IoU": overlaps, "R1@0.5": [100.0 * (one >= 50) for one in overlaps], "easy": [None] * queries},
        }
    return page


def with_quality(page: dict[str, Any]) -> dict[str, Any]:
    """The page with the facts of its data set."""
    rule = {"count": 919, "examples": ["<b>0", "1"], "meaning": "the rated clips are not the clips of the windows"}
    splits = {
        split: {"bytes": 216022, "file": f"annotations/{split}.jsonl", "quality": {"clips_and_windows_disagree": rule}}
        | {"samples": 919, "videos": 300, "unanswerable": 0, "sha256": "ab" * 32}
        for split in ("train", *SPLITS)
    }
    page["quality"] = {
        "absent": {"val": "annotations/val.jsonl"},
        "adapter": "planted",
        "dataset": page["dataset"],
        "features": {
            "clip": {"items": 1400, "rows": 33600, "without_file": {"count": 2, "examples": ["v1", "v2"]}, "zero_rows": 7},
            "different_lengths": {"clip and slowfast": {"count": 1, "examples": ["v3"], "rows_at_most": 2}},
        },
        "held_out": {"rule": "sha256", "videos": 45},
        "shared_videos": {"iid and rf_iid": {"count": 300, "examples": ["v4"]}},
        "splits": splits,
        "task": "moments",
        "train": "train",
        "validation": None,
    }
    return page
