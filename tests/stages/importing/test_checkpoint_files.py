from __future__ import annotations

import pathlib
import pickle

import pytest
import torch
from safetensors.torch import save_file

from stages.importing.checkpoint_files import CheckpointError, read_state

STATE = {"layer.weight": torch.arange(4.0), "layer.bias": torch.zeros(1)}


@pytest.mark.parametrize("place", ["state_dict", "model_state_dict", "model", "params"])
def test_weights_are_found_under_the_usual_keys_beside_other_things(tmp_path, place):
    torch.save({"meta": {"epoch": 3}, place: STATE, "optimizer": {"state": {}}}, tmp_path / "a.pth")
    assert read_state(tmp_path / "a.pth").keys() == STATE.keys()


def test_prefix_of_training_in_several_processes_is_dropped(tmp_path):
    torch.save({f"module.{name}": value for name, value in STATE.items()}, tmp_path / "a.ckpt")
    assert torch.equal(read_state(tmp_path / "a.ckpt")["layer.weight"], STATE["layer.weight"])


def test_safetensors_are_read(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert read_state(tmp_path / "a.safetensors").keys() == STATE.keys()


def test_keys_with_and_without_prefix_are_refused(tmp_path):
    torch.save({"a": torch.zeros(1), "module.a": torch.ones(1)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a\.pt: some keys occur with and without the prefix"):
        read_state(tmp_path / "a.pt")


class Trap:
    """Creates a file when somebody unpickles it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def __reduce__(self):
        return (pathlib.Path.touch, (self.path,))


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    torch.save({"state_dict": STATE, "meta": Trap(tmp_path / "sprung")}, tmp_path / "a.pth")
    (tmp_path / "old.pth").write_bytes(pickle.dumps({"state_dict": {}, "meta": Trap(tmp_path / "sprung")}, protocol=2))
    for name in ("a.pth", "old.pth"):
        with pytest.raises(CheckpointError, match=rf"{name}: .*not loaded; where you trust the file, save its state_dict"):
            read_state(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_cut_file_is_reported(tmp_path, name):
    path = tmp_path / name
    save_file(STATE, path) if name.endswith("safetensors") else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match=r"not a complete .* fetch it again"):
        read_state(path)


@pytest.mark.parametrize(
    ("content", "shown"), [({"epoch": 3}, "a mapping with epoch"), ([1, 2], "list"), (torch.zeros(2), "Tensor")]
)
def test_file_without_weights_says_what_it_holds(tmp_path, content, shown):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=f"holds {shown}; expected tensors by name"):
        read_state(tmp_path / "a.pth")


def test_file_of_another_kind_is_reported(tmp_path):
    (tmp_path / "a.pth").write_text("<html>404</html>")
    with pytest.raises(CheckpointError, match=r"a\.pth: not a complete PyTorch checkpoint \(UnpicklingError"):
        read_state(tmp_path / "a.pth")


def test_missing_file_is_reported(tmp_path):
    with pytest.raises(CheckpointError, match=r"a\.pth: no such file"):
        read_state(tmp_path / "a.pth")
