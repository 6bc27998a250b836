import dataclasses
import json
import stat

import pytest
import torch

from models.methods import causalvtg
from stages.params import parse
from stages.training.runs import RunError, RunRecord, build_model, load_run, load_weights, read_record, save_run, write_weights
from tests.stages import tiny

RECORD = RunRecord(
    run="tiny",
    method="causalvtg",
    model=tiny.MODEL,
    widths={"video": 11, "query": 7},
    confounders={"video": (4, 11), "query": (4, 7)},
    dataset="tiny",
    features={"video": ("clip", "slowfast"), "query": ("words",)},
    fps=0.5,
    seed=3,
)


@pytest.fixture
def run(tmp_path):
    torch.manual_seed(0)
    model = build_model(RECORD, parse, "test")
    with torch.no_grad():
        for value in model.state_dict().values():
            value.normal_() if value.is_floating_point() else None
    save_run(tmp_path / "run", model.state_dict(), RECORD)
    return tmp_path / "run", model


def test_a_run_is_rebuilt_without_its_dictionaries(run):
    folder, model = run
    loaded, record = load_run(folder, parse)
    assert record == RECORD
    assert not loaded.training
    assert isinstance(loaded, causalvtg.Model)
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key


def test_the_same_run_has_the_same_bytes_whatever_the_order_of_its_weights(run, tmp_path):
    folder, model = run
    backwards = dict(reversed(model.state_dict().items()))
    save_run(tmp_path / "again", backwards, dataclasses.replace(RECORD, widths={"query": 7, "video": 11}))
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert stat.S_IMODE((folder / "model.safetensors").stat().st_mode) == 0o644


def test_a_folder_without_config_is_no_finished_run(run):
    folder, _ = run
    (folder / "config.json").unlink()
    with pytest.raises(RunError, match=r"no config.json: no finished run"):
        read_record(folder)


def test_a_record_of_another_version_or_with_an_unknown_key_is_refused(run):
    folder, _ = run
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"extra": 1}))
    with pytest.raises(RunError, match="unknown key 'extra'"):
        read_record(folder)
    (folder / "config.json").write_text(json.dumps(content | {"schema_version": 99}))
    with pytest.raises(RunError, match="schema version 99, expected 1"):
        read_record(folder)


def test_weights_that_do_not_fit_are_listed(run, tmp_path):
    _, model = run
    weights = dict(model.state_dict())
    weights["offset_scale"] = torch.zeros(7)
    del weights[min(weights)]
    write_weights(tmp_path / "other.safetensors", weights | {"stranger": torch.zeros(1)})
    with pytest.raises(RunError, match=r"is missing; offset_scale has shape \(7,\), expected \(2,\); stranger is unknown"):
        load_weights(model, tmp_path / "other.safetensors")


def test_a_torn_weight_file_is_named(run):
    folder, model = run
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RunError, match=r"model.safetensors: not a complete safetensors file"):
        load_weights(model, path)
    with pytest.raises(RunError, match="no such file"):
        load_weights(model, folder / "none.safetensors")


def test_tied_weights_are_written_twice(tmp_path):
    shared = torch.ones(3)
    write_weights(tmp_path / "tied.safetensors", {"a": shared, "b": shared})
    assert (tmp_path / "tied.safetensors").exists()
