"""A method is refused when it is loaded, with what it lacks, and not where the training loop first misses it."""

from types import SimpleNamespace

import pytest

from models import method
from models.method import Method, incomplete, load_method, method_names
from stages.params import EVALUATIONS

WHOLE = dict.fromkeys(method.REQUIRED, lambda self, *_: None)


def module(task="moments", without=(), bases=(Method,), **names):
    functions = {name: function for name, function in WHOLE.items() if name not in without}
    return SimpleNamespace(
        **{"Config": type("Config", (), {}), "Model": type("Model", bases, {"TASK": task, **functions})} | names
    )


@pytest.mark.parametrize(
    ("candidate", "lacking"),
    [
        (module(), ""),
        (module(without=["losses"]), "Model lacks the function losses"),
        (module(without=["draw", "decode"]), "Model lacks the functions draw, decode"),
        (module(task="momnets"), "Model.TASK is 'momnets', must be one of moments, "),
        (module(bases=(object,)), "Model is no subclass of models.method.Method"),
        (module(Config=None), "there is no class Config"),
    ],
)
def test_what_a_method_lacks_is_named(candidate, lacking):
    assert incomplete(candidate).startswith(lacking)
    assert bool(incomplete(candidate)) == bool(lacking)


def test_a_method_of_the_folder_is_refused_with_its_file(monkeypatch):
    monkeypatch.setattr(load_method("cpl").Model, "losses", Method.losses)
    with pytest.raises(LookupError, match=r"^models/methods/cpl\.py: Model lacks the function losses; models/method\.py says"):
        load_method("cpl")


@pytest.mark.parametrize("name", method_names())
def test_every_method_of_the_folder_is_whole(name):
    load_method(name)


def test_tasks_are_those_that_params_reads_and_the_base_explains():
    assert set(method.TASKS) == set(EVALUATIONS)


@pytest.mark.parametrize(("typed", "answer"), [("matchin", "did you mean"), ("xyz", "models/methods/ has causalvtg, ")])
def test_an_unknown_method_is_answered_with_the_nearest_or_with_all(typed, answer, monkeypatch):
    monkeypatch.setattr(method, "method_names", lambda: ["causalvtg", "matching"])
    with pytest.raises(LookupError, match=f"no method '{typed}'.*{answer}"):
        load_method(typed)
