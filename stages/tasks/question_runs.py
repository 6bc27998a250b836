"""What a finished run that answers questions reads, and what it answers from: names of its stores, its vocabulary."""

from __future__ import annotations

from stages.params import Run
from stages.tasks.task import Finished
from stages.training.answer_vocabulary import ANSWERS, AnswersError, AnswerVocabulary, read_answers
from stages.training.runs import CONFIG, RunError


def store_names(finished: Finished, entry: Run | None) -> dict[str, tuple[str, ...]]:
    """The stores of a run by stream; of an imported run that does not know them, those of its entry.

    Raises RunError if the method sees objects and no store of them is named.
    """
    names = finished.record.features or (entry.features.stores() if entry else {})
    if names and "objects" in finished.record.widths and not names.get("objects"):
        raise RunError(
            f"{finished.folder / CONFIG}: {finished.record.method} sees objects, but features names no store of them; import the "
            "checkpoint again, with --config params.yaml --run NAME"
        )
    return names


def answers_of(finished: Finished) -> AnswerVocabulary | None:
    """The vocabulary of the run, None for a method that chooses among options."""
    classes = getattr(finished.model.config, "answers", None)
    if classes is None:
        return None
    found = read_answers(finished.folder)
    if len(found) != classes:
        raise AnswersError(f"{finished.folder / ANSWERS}: {len(found)} answers, but the model was built for {classes}")
    return found
