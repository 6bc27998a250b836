"""The vocabulary inside DVC's graph: what it is made from, and what is made anew when a number of it changes."""

import json

import pytest
import yaml

from stages.features.vocabularies import read_vocabulary
from tests import workspace
from tests.test_line import stages_run

pytestmark = pytest.mark.slow


def small_params(**vocabulary):
    """The weak world with a few videos, its vocabulary, one epoch of CPL."""
    params = yaml.safe_load((workspace.ROOT / "params.yaml").read_text())
    world = params["worlds"]["weak"]
    for name, split in world["planted"]["splits"].items():
        split["videos"] = 40 if name == "train" else 6
    run = params["runs"]["cpl-planted"]
    run["train"]["epochs"] = 1
    sections = {section: {} for section in params}
    return sections | {
        "worlds": {"weak": world},
        "datasets": {"planted_weak": params["datasets"]["planted_weak"]},
        "features": {"planted_weak": params["features"]["planted_weak"]},
        "vocabularies": {"planted_weak": params["vocabularies"]["planted_weak"] | vocabulary},
        "runs": {"cpl-planted": run},
        "reports": {"demo": params["reports"]["demo"]},
    }


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A workspace that has been evaluated once."""
    work = workspace.prepare(tmp_path_factory.mktemp("words"), small_params())
    made = ["world@weak", "fetch@planted_weak", "consolidate@planted_weak", "vocabulary@planted_weak"]
    assert stages_run(workspace.dvc(work, "repro", "evaluate@cpl-planted")) == [
        *made,
        "train@cpl-planted",
        "evaluate@cpl-planted",
    ]
    return work


def test_the_run_has_the_words_that_the_stage_made(line):
    made = line / "data/vocabularies/planted_weak.npz"
    assert (line / "data/runs/cpl-planted/vocabulary.npz").read_bytes() == made.read_bytes()
    assert len(read_vocabulary(made).words) > 20
    metrics = json.loads((line / "data/results/cpl-planted/metrics.json").read_text())
    assert "iid.abnormal reconstruction before, guessable words" in metrics


def test_a_number_of_the_vocabulary_makes_it_and_its_runs_anew_and_nothing_else(line):
    workspace.write_params(line, small_params(limit=15))
    output = workspace.dvc(line, "repro", "evaluate@cpl-planted")
    assert stages_run(output) == ["vocabulary@planted_weak", "train@cpl-planted", "evaluate@cpl-planted"]
    assert len(read_vocabulary(line / "data/vocabularies/planted_weak.npz").words) == 15
    assert stages_run(workspace.dvc(line, "repro", "evaluate@cpl-planted")) == []
