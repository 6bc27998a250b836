"""Task "relations" on a video of the user's own: not offered, because files of clip features do not say where anything is."""

from __future__ import annotations

from typing import Any, NoReturn

from stages.params import Run
from stages.predictions.inference import PredictionError
from stages.tasks.own import Own
from stages.tasks.task import Finished


def answer(finished: Finished, entry: Run | None, own: Own, settings: Any) -> NoReturn:  # noqa: ARG001  every task has them
    """Raises PredictionError with the way to predict all the same."""
    raise PredictionError(
        f"--features: {finished.record.method} finds relations between trajectories that a detector proposes, with boxes and "
        "class scores, and files of clip features have none; make a data set of your video's proposals, with stores of "
        "kind: trajectory (stages/datasets/README.md), and predict it: --dataset and --split"
    )
