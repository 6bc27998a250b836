"""What a task offers to the stages train, evaluate and predict, and how it is found.

A task is one module in `stages/tasks/`, called as the `TASK` of its methods, with `MEASURES` and four functions (`Task` below):

    prepare    for train: batches to learn from, the numbers that choose an epoch, what else the run is made of
    results    for evaluate: every split of the run's settings, predicted and scored
    predicted  for predict: one split of any data set of the task
    outcomes   for audit: numbers of single queries, each called as one of MEASURES

and one beside it, own_<task>.py, that predicts for a video of the user's own (stages/tasks/own.py).

A task may import every folder of the stages, the stages themselves know none of them by name; what a run is told about its
evaluation stands in stages/predictions/settings.py and is chosen by task in stages/params.py, which therefore knows all tasks.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from torch import Tensor

from models.method import Method
from stages.auditing.outcomes import Outcomes
from stages.datasets.schema import Sample
from stages.metrics.report import Numbers, SplitReport
from stages.params import EVALUATIONS, Run
from stages.training.batches import Feed
from stages.training.loop import Validate
from stages.training.runs import RunRecord

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where a training reads from: folders of samples and of stores, dictionary files by stream, weights to start from.

    raw    folder of the published files, for methods that begin with a pretrained encoder
    """

    samples: Path
    features: Path
    confounders: dict[str, Path]
    checkpoint: Path | None = None
    raw: Path | None = None

    def digests(self, features: Mapping[str, Sequence[str]], encoder: str | None = None) -> dict[str, str]:
        """sha256 of every input by name; a store is known by its attributes, which name its source and its recipe."""
        files = {f"samples/{path.name}": path for path in sorted(self.samples.iterdir()) if path.is_file()}
        files |= {
            f"features/{name}": self.features / f"{name}.zarr" / "zarr.json" for names in features.values() for name in names
        }
        files |= {f"confounders/{stream}": path for stream, path in self.confounders.items()}
        if self.checkpoint is not None:
            files["checkpoint"] = self.checkpoint
        if encoder is not None and self.raw is not None:
            files |= {f"{encoder}/{path.name}": path for path in sorted((self.raw / encoder).iterdir()) if path.is_file()}
        return {name: _sha256(path) for name, path in files.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class TaskFeed(Feed, Protocol):
    """What the stage needs of a feed beside the loop.

    widths    channels per stream, as the method's constructor wants them
    fps       clips per second of the video features; 0 where rows are not spaced in time alike
    """

    @property
    def widths(self) -> dict[str, int]:
        """See above."""

    fps: float


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a training needs of its task.

    feed       batches to learn from
    validate   numbers of an epoch by name; None where nothing can be judged
    rows       confounder rows per stream, as the method's constructor wants them
    files      what else goes into the run folder, path below it -> content
    begin      called once with the new model, before weights to start from are loaded: pretrained parts, memories
    """

    feed: TaskFeed
    validate: Validate | None
    rows: dict[str, Tensor] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    begin: Callable[[Method], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished run that is ready to predict: its model in eval state on `device`, its record, its folder."""

    model: Method
    record: RunRecord
    folder: Path
    device: torch.device
    budget_bytes: int


@dataclass(frozen=True, kw_only=True)
class Data:
    """Folders of one data set: samples, stores and, for what a planted world alone can tell, the published files."""

    samples: Path
    features: Path
    raw: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Split:
    """One split, predicted: what was dropped has no features. report and baselines are None and empty where nothing is labelled.

    predictions   one record per sample, in their order
    examples      queries of the results page (stages/reporting/pages.py)
    files         predictions in further published layouts, end of the file name -> content: "<split><end>"
    """

    name: str
    samples: Sequence[Sample]
    predictions: list[Record]
    dropped: list[str]
    report: SplitReport | None
    baselines: dict[str, Numbers]
    examples: list[Record]
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Every split, in the order of the settings, and the recipes of the stores that were read, by name."""

    splits: list[Split]
    recipes: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """One split without its scores. `examples` are for a picture, empty for tasks that have none."""

    samples: Sequence[Sample]
    records: list[Record]
    examples: list[Record]


class Task(Protocol):
    """The functions of a task's module. Each raises the errors of the folders it uses; all name their file and the way out.

    MEASURES    names of all values that `outcomes` can have; which of them it has depends on the data
    """

    MEASURES: tuple[str, ...]

    def prepare(self, run: Run, inputs: Inputs, device: torch.device) -> Prepared:
        """What a training needs."""

    def results(self, finished: Finished, entry: Run, data: Data) -> Results:
        """Every split of entry.evaluate.splits."""

    def predicted(self, finished: Finished, entry: Run | None, data: Data, split: str, settings: Any) -> Predicted:
        """One split; settings: those of the entry, where the command line did not change them."""

    def outcomes(self, data: Data, split: str, records: Sequence[Record]) -> Outcomes:
        """Numbers of single queries from the predictions of a split (Split.predictions), for the audit."""


def load_task(name: str) -> Task:
    """Import stages/tasks/<name>.py.

    Raises LookupError with the known names if there is no such task.
    """
    if name not in EVALUATIONS:
        raise LookupError(f"no task {name!r}: stages/tasks/ has {', '.join(sorted(EVALUATIONS))}")
    return cast(Task, importlib.import_module(f"stages.tasks.{name}"))
