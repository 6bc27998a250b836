"""Questions that the stores of a run have features of; the others are counted and left out, never silently."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from stages.datasets.schema import DatasetError, QuestionSample

log = logging.getLogger(__name__)


def available(samples: Sequence[QuestionSample], known: Callable[[QuestionSample], bool]) -> list[QuestionSample]:
    """The samples that are `known`; a warning says how many are not, and names the first."""
    kept = [sample for sample in samples if known(sample)]
    if lost := left_out(samples, kept):
        log.warning("%d of %d questions have no features and are left out, the first is %s", len(lost), len(samples), lost[0])
    return kept


def left_out(samples: Sequence[QuestionSample], kept: Sequence[QuestionSample]) -> list[str]:
    """Ids of the samples that are not among those kept, in order."""
    there = {sample.sample_id for sample in kept}
    return [sample.sample_id for sample in samples if sample.sample_id not in there]


def refuse_none(kept: Sequence[QuestionSample], samples: Sequence[QuestionSample], folder: Path) -> None:
    """Raises DatasetError if nothing is left of a split."""
    if not kept:
        raise DatasetError(f"{folder}: none of {len(samples)} questions has features in the stores of this run")
