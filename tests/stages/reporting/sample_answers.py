"""Page files of runs that answer questions or find relations, made up but plausible."""

from __future__ import annotations

import random
from typing import Any

from tests.stages.reporting.sample_pages import PLANTED_SPLITS, page

OPTIONS = ("the red ball", "the cup", "the door", "the wooden box", "the rope")
CLIPS, STEP = 16, 2.0
WORDS = (("person", "next to", "bicycle"), ("dog", "chase", "ball"), ("child", "hold", "cup"), ("person", "ride", "bicycle"))


def question_page(run: str = "questions", *, examples: int = 4, choice: bool = True, known: bool = True) -> dict[str, Any]:
    """Questions with options or open-ended; `known`: right answer, evidence and duration are."""
    rng = random.Random(run)
    made = _other(run, "igv", "planted_choice" if choice else "planted_open", ("Acc", "clip IoU"), rng)
    made["examples"] = [_question(rng, split, n, choice, known) for split in PLANTED_SPLITS for n in range(examples)]
    return made


def relation_page(run: str = "relations", *, examples: int = 3) -> dict[str, Any]:
    """Relations of videos."""
    rng = random.Random(run)
    made = _other(run, "ivrd", "planted_relations", ("mAP", "R@50"), rng)
    made["examples"] = [_video(rng, split, n) for split in PLANTED_SPLITS for n in range(examples)]
    return made


def _other(run: str, method: str, dataset: str, primary: tuple[str, ...], rng: random.Random) -> dict[str, Any]:
    made = page(run, dataset="planted", examples=0)
    made |= {"method": method, "dataset": dataset, "primary": list(primary), "features": ["app_mot", "bert"]}
    for split, part in made["splits"].items():
        level = {"iid": 84.0, "interventional": 73.0, "reversed": 79.0}[split]
        part["metrics"] = {name: round(level * rng.uniform(0.6, 1), 3) for name in primary}
        part["baselines"] = {"most frequent answer": {primary[0]: 21.0}}
        made["breakdown"][split] = [{"group": name, "count": 200, **part["metrics"]} for name in ("CW", "TN", "DO")]
    made["history"] = [{"epoch": n, "total": 3 - 0.2 * n, primary[0]: 20 + 4 * n} for n in range(12)]
    return made


def _question(rng: random.Random, split: str, n: int, choice: bool, known: bool) -> dict[str, Any]:
    weights = [rng.random() ** 3 for _ in range(CLIPS)]
    weights = [round(value / sum(weights), 6) for value in weights]
    chosen = sorted(sorted(range(CLIPS), key=lambda clip: -weights[clip])[:5])
    right, given = rng.choice(OPTIONS), rng.choice(OPTIONS)
    start = rng.randrange(10) * STEP
    answer: dict[str, Any] = {"given": given, "right": right if known else None, "options": list(OPTIONS) if choice else []}
    if choice:
        answer["scores"] = [round(rng.gauss(0, 1) + 3 * (option == given), 4) for option in OPTIONS]
    else:
        answer["best"] = [[given, 0.61], ["the chair", 0.2], ["the table", 0.05]]
    return {
        "split": split,
        "sample_id": f"{n}_0",
        "query": f"what does the {rng.choice(('man', 'child'))} lift before the door opens ?",
        "video_id": f"{split}_{n:04d}",
        "duration": CLIPS * STEP if known else float(CLIPS),
        "truth": [[start, start + 7.0]] if known else [],
        "windows": [[clip * STEP, (clip + 1) * STEP, weights[clip]] for clip in chosen] if known else [],
        "saliency": weights,
        "seconds_per_clip": STEP if known else 1.0,
        "answerable_probability": None,
        "saliency_truth": None,
        "answer": answer,
        "chosen": chosen,
        "objects": [[clip, rng.randrange(6)] for clip in chosen],
        "objects_truth": [[clip, 2] for clip in range(4, 8)] if known else None,
        "span": [start + 1.0, start + 6.0] if known else None,
        "unit": "s" if known else "clip",
    }


def _video(rng: random.Random, split: str, n: int) -> dict[str, Any]:
    truth = [{"triplet": list(words), "span": [k * 2.0, k * 2.0 + 6.0], "rank": (2 * k + 1) if k % 2 else None}
             for k, words in enumerate(WORDS)]  # fmt: skip
    predicted = [{"triplet": list(rng.choice(WORDS)), "span": [k, k + 5.0], "score": round(0.9 * 0.8**k, 4), "hit": k in (2, 6)}
                 for k in range(8)]  # fmt: skip
    return {
        "split": split,
        "sample_id": str(n),
        "query": f"Relations in video {split}_{n:03d}",
        "video_id": f"{split}_{n:03d}",
        "duration": 15.0,
        "truth": [],
        "windows": [],
        "saliency": [],
        "seconds_per_clip": 1.0,
        "answerable_probability": None,
        "saliency_truth": None,
        "relations": {"truth": truth, "predicted": predicted},
    }
