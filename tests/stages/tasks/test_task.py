from __future__ import annotations

import pytest

from models.method import load_method, method_names
from stages.params import EVALUATIONS
from stages.tasks.own import load_own
from stages.tasks.task import load_task


def test_every_method_has_a_task_with_settings():
    for name in method_names():
        task = load_method(name).Model.TASK
        module = load_task(task)
        assert all(hasattr(module, function) for function in ("prepare", "results", "predicted", "outcomes"))
        assert task in EVALUATIONS
        assert len(set(module.MEASURES)) == len(module.MEASURES) > 0


def test_an_unknown_task_is_refused_with_those_there_are():
    with pytest.raises(LookupError, match="questions, relations, weak_moments"):
        load_task("task")
    for name in ("own_questions", "available"):  # what tasks share is none of them
        with pytest.raises(LookupError, match=name):
            load_task(name)


def test_every_task_says_what_becomes_of_a_video_of_ones_own():
    for task in EVALUATIONS:
        assert callable(load_own(task))
