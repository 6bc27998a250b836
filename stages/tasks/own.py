"""A video of the user's own instead of a data set: what the command line tells of it, and how a task answers for it.

stages/tasks/own_<task>.py has the function `answer` (`Answer` below); the folder is the registry.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from stages.params import Run
from stages.predictions.inference import PredictionError
from stages.tasks.task import Finished, Record


@dataclass(frozen=True, kw_only=True)
class Own:
    """One video and what is asked about it.

    features            files of clip features, one per kind, in the run's order
    queries             texts: what to look for, or questions
    options             candidate answers of every query, in their order; empty: none were given
    query_features      files of text features; empty: none were given
    objects             file of the regions of every frame
    text_encoder        the one that was named on the command line
    extractors          store name -> what made the features, for the stores of the run
    duration, fps       seconds; rows of the features per second
    video_id
    data                folder of samples/ and features/
    """

    features: Sequence[Path]
    queries: Sequence[str]
    options: Sequence[tuple[str, ...]] = ()
    query_features: Sequence[Path] = ()
    objects: Path | None = None
    text_encoder: str | None = None
    extractors: Mapping[str, str] = field(default_factory=dict)
    duration: float | None = None
    fps: float | None = None
    video_id: str | None = None
    data: Path

    @property
    def name(self) -> str:
        """Of the video in the records."""
        return self.video_id or self.features[0].stem

    def seconds(self, rows: int) -> float | None:
        """Length of a video with so many rows of features, None where nothing tells it."""
        return self.duration if self.duration is not None or self.fps is None else rows / self.fps

    def refuse(self, method: str, **reasons: str) -> None:
        """Raises PredictionError for an option of the command line that the method makes nothing of: field name -> why."""
        for name, reason in reasons.items():
            if getattr(self, name):
                raise PredictionError(f"--{name.replace('_', '-')}: {method} {reason}")


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One record per query, with its text under "query"; what a picture shows of it."""

    records: list[Record]
    examples: list[Record]


class Answer(Protocol):
    """The function of a task. Raises PredictionError and the errors of the folders it uses."""

    def __call__(self, finished: Finished, entry: Run | None, own: Own, settings: Any) -> Answered:
        """entry, settings: of the run in params.yaml; None where it has none."""


def load_own(task: str) -> Answer:
    """`answer` of stages/tasks/own_<task>.py."""
    return cast(Answer, importlib.import_module(f"stages.tasks.own_{task}").answer)
