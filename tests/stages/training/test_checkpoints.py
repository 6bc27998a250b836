import logging
import shutil

import pytest
import torch

from stages.training.checkpoints import Identity, Progress, ResumeError, ResumeFolder

RECIPE = {"lr": 0.1, "inputs": {"samples": "abc"}}
CODE = {"torch": "2", "loop": "x"}


def folder(path, *, recipe=RECIPE, code=CODE):
    return ResumeFolder(path / "run", Identity(recipe=recipe, code=code))


@pytest.fixture
def saved(tmp_path):
    progress = Progress(step=5, rows=[{"epoch": 1, "lr": 0.1}], sums={"a": [1.5, 2]}, validations=[3.0])
    folder(tmp_path).save({"model": {"w": torch.arange(3)}}, progress)
    return tmp_path, progress


def test_a_state_comes_back_as_it_was(saved):
    path, progress = saved
    tensors, found = folder(path).load("auto")
    assert found == progress
    assert tensors["model"]["w"].tolist() == [0, 1, 2]


def test_a_state_of_another_recipe_is_cleared_away_with_a_reason(saved, caplog):
    path, _ = saved
    with caplog.at_level(logging.WARNING):
        assert folder(path, recipe=RECIPE | {"lr": 0.2}).load("auto") is None
    assert "training starts anew: it belongs to another training: lr was 0.1, is 0.2" in caplog.text
    assert not (path / "run.resume").exists()


def test_a_state_of_other_code_is_used_only_on_request(saved, caplog):
    path, _ = saved
    other = folder(path, code=CODE | {"loop": "y"})
    assert other.load("insist") is not None
    assert 'code or versions have changed: loop was "x", is "y"' in caplog.text
    assert other.load("auto") is None
    assert "--resume goes on all the same" in caplog.text


@pytest.mark.parametrize("recipe", [RECIPE | {"lr": 0.2}, RECIPE | {"inputs": {"samples": "abd"}}])
def test_insisting_on_a_state_of_another_recipe_is_an_error_that_keeps_it(saved, recipe):
    path, _ = saved
    with pytest.raises(ResumeError, match="cannot resume: it belongs to another training: "):
        folder(path, recipe=recipe).load("insist")
    assert folder(path).load("auto") is not None


def test_insisting_without_a_state_is_an_error(tmp_path):
    with pytest.raises(ResumeError, match=r"no state.pt; leave --resume out"):
        folder(tmp_path).load("insist")


def test_starting_anew_clears_the_state(saved):
    path, _ = saved
    assert folder(path).load("restart") is None
    assert folder(path).load("auto") is None


def test_a_damaged_state_is_not_used(saved, caplog):
    path, _ = saved
    state = path / "run" / "resume" / "state.pt"
    state.write_bytes(state.read_bytes()[:100])
    assert folder(path).load("auto") is None
    assert "state.pt cannot be read" in caplog.text


def test_a_state_that_would_run_code_is_not_read(tmp_path, caplog):
    (tmp_path / "run.resume").mkdir()
    torch.save({"identity": "{}", "progress": {}, "model": print}, tmp_path / "run.resume" / "state.pt")
    assert folder(tmp_path).load("auto") is None
    assert "state.pt cannot be read" in caplog.text


def test_only_the_best_weights_that_the_state_names_are_kept(tmp_path):
    resume = folder(tmp_path)
    names = [resume.keep_best(epoch, {"w": torch.full((1,), float(epoch))}) for epoch in (1, 3)]
    assert len(list((tmp_path / "run.resume").iterdir())) == 2
    progress = Progress(best={"epoch": 3, "value": 1.0, "file": names[1]})
    resume.save({}, progress)
    assert sorted(path.name for path in (tmp_path / "run.resume").iterdir()) == ["best-3.safetensors", "state.pt"]
    assert resume.best_weights(progress)["w"].item() == 3.0
    resume.clear()
    assert list(tmp_path.rglob("*")) == [tmp_path / "run"]


def test_a_state_outlives_the_folder_of_its_run_which_dvc_removes(saved):
    path, progress = saved
    assert (path / "run/resume/state.pt").is_file()
    shutil.rmtree(path / "run")
    again = folder(path)
    assert again.load("auto")[1] == progress
    again.save({}, progress)
    assert (path / "run/resume/state.pt").is_file()
