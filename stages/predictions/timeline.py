"""A picture of predictions: one row per query with its best windows, the saliency of its clips, and the truth where known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WINDOWS_SHOWN = 5
TRUTH, PREDICTED, SALIENCY = "#2a7f62", "#3465a4", "#c17d11"


def draw(path: Path, examples: Sequence[Mapping[str, Any]]) -> None:
    """Write a PNG. `examples` are those of a results page (stages.predictions.pages.example), times in seconds."""
    import matplotlib  # only pictures pay for it

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, rows = pyplot.subplots(len(examples), 1, figsize=(10, 2.2 * len(examples)), squeeze=False, layout="constrained")
    for axes, example in zip(rows[:, 0], examples, strict=True):
        _row(axes, example)
    rows[-1, 0].set_xlabel("seconds")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)
    partial.replace(path)


def _row(axes: Any, example: Mapping[str, Any]) -> None:
    windows = example["windows"][:WINDOWS_SHOWN]
    for place, (start, end, score) in enumerate(windows):
        axes.barh(-place, end - start, left=start, height=0.7, color=PREDICTED, alpha=1 - 0.16 * place)
        axes.text(end, -place, f" {score:.2f}", va="center", fontsize=7, color="#555555")
    for start, end in example["truth"]:
        axes.barh(1, end - start, left=start, height=0.7, color=TRUTH)
    if example["saliency"]:
        _saliency(axes, example["saliency"], example["seconds_per_clip"])
    axes.set_xlim(0, example["duration"])
    axes.set_ylim(-WINDOWS_SHOWN + 0.4, 1.6)
    axes.set_yticks([1, 0] if example["truth"] else [0], ["truth", "best"] if example["truth"] else ["best"], fontsize=8)
    answerable = example["answerable_probability"]
    known = "" if answerable is None else f"   answerable: {answerable:.2f}"
    axes.set_title(f"{_plain(example['query'])}   ({_plain(example['video_id'])}){known}", fontsize=9, loc="left")


def _saliency(axes: Any, values: Sequence[float], step: float) -> None:
    """The saliency curve behind the windows, on a scale of its own."""
    behind = axes.twinx()
    times = [(clip + 0.5) * step for clip in range(len(values))]
    behind.fill_between(times, values, min(values), color=SALIENCY, alpha=0.18, linewidth=0)
    behind.plot(times, values, color=SALIENCY, linewidth=0.8, alpha=0.7)
    behind.set_yticks([])
    behind.set_ylabel("saliency", color=SALIENCY, fontsize=8)
    behind.set_zorder(axes.get_zorder() - 1)
    axes.patch.set_visible(False)


def _plain(text: str) -> str:
    """Without control characters, short, and with dollar signs that are no formula."""
    shown = "".join(character if character.isprintable() else " " for character in text).strip()
    return (shown if len(shown) <= 100 else shown[:97] + "...").replace("$", r"\$")
