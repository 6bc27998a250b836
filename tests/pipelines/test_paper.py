"""The flow of one method names the methods that there are where it is given another."""

import pytest

from pipelines.dvc import Graph, Stage
from pipelines.paper import others


def training(method):
    deps = ("models/method.py", f"models/methods/{method}.py")
    return Stage(name=f"train@{method}-planted", upstream=(), deps=deps, outs=(), metrics=())


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("matchin", "; did you mean 'matching'? methods with runs: cpl, matching"),
        ("xyz", "; methods with runs: cpl, matching"),
    ],
)
def test_a_method_without_runs_is_answered_with_the_nearest_and_all_that_have_some(asked, answer):
    assert others(asked, Graph((training("matching"), training("cpl")))) == answer


def test_without_any_run_there_is_no_method_to_offer():
    assert others("cpl", Graph(())) == "; methods with runs: none"
