"""The worlds of a sweep: made by the stages that make any world, from a params file of their own; base and full learn there."""

from pathlib import Path

import pytest
import yaml

from stages import audit
from stages.params import ParamsError, load_params, world_alone, world_value
from tests.workspace import ROOT

PARAMS = ROOT / "params.yaml"


@pytest.fixture(scope="module")
def audits():
    return load_params(PARAMS, methods=False).audits


def places():
    return audit.Places(samples=Path("s"), features=Path("f"), raw=Path("r"), params=PARAMS)


def steps(cell):
    """Modules of a cell's one command, with what follows --name."""
    (command,) = cell.commands
    return [(command[place - 1], command[place + 1]) for place, word in enumerate(command) if word == "--name"]


def test_every_strength_is_a_world_of_its_own_with_all_that_runs_read(audits, tmp_path):
    entry = audits["causalvtg-sweep"]
    found = audit.plan_strengths(entry, places(), tmp_path)
    assert [one.value for one in found] == list(entry.sweep.strengths)
    assert steps(found[0].cell) == [
        ("stages.world", "demo"),
        ("stages.fetch", "planted"),
        ("stages.consolidate", "planted"),
        ("stages.dictionary", "planted-video"),
        ("stages.dictionary", "planted-query"),
    ]
    folder = tmp_path / "cells" / "data-at-0" / "0"
    assert found[0].cell.folder == folder
    assert found[0].audit.data.confounders.video == str(folder / "dictionaries" / "planted-video.npz")
    made = yaml.safe_load(found[1].cell.params)
    assert made["worlds"]["demo"]["planted"]["temporal_bias"] == entry.sweep.strengths[1]
    assert made["datasets"]["planted"]["sources"][0]["mirrors"][0]["file"]["path"].startswith(str(tmp_path))
    assert len({one.cell.digest for one in found}) == len(found)


@pytest.mark.parametrize(
    ("name", "last"),
    [("ccr-sweep", "stages.vocabulary"), ("cra-sweep", "stages.semantic_graph"), ("ivrd-sweep", "stages.consolidate")],
)
def test_what_is_made_beside_the_features_follows_from_the_confounders(audits, tmp_path, name, last):
    assert steps(audit.plan_strengths(audits[name], places(), tmp_path)[0].cell)[-1][0] == last


def test_an_audit_without_a_sweep_makes_no_worlds(audits, tmp_path):
    assert audit.plan_strengths(audits["igv"], places(), tmp_path) == []


def test_the_strength_of_the_own_world_is_read_where_it_stands(audits):
    assert audit.own_strength(audits["igv-sweep"], places()) == 0.8
    with pytest.raises(ParamsError, match=r"worlds\.questions\.planted\.scene_biass: expected a number, got None"):
        world_value(PARAMS, "planted_open", "planted.scene_biass")


def test_a_strength_that_the_world_cannot_have_is_an_error():
    with pytest.raises(ParamsError, match="nearly"):
        world_alone(PARAMS, "planted_open", {"planted.scene_bias": "nearly"}, Path("w"))
