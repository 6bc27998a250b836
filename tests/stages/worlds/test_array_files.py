"""HDF5 files repeat their bytes, keep the type of their ids, and are read back."""

import h5py
import numpy as np
import pytest

from stages.worlds.array_files import ArrayFile
from stages.worlds.settings import WorldError

ROWS = np.arange(24, dtype=float).reshape(4, 3, 2)


def write(path, ids=("ids", [11, 12, 13, 14])):
    with ArrayFile(path, {"feat": (4, 3, 2), "bbox": (4, 1)}, "float16", ids) as file:
        file.add({"feat": ROWS[:3], "bbox": ROWS[:3, 0, :1]})
        file.add({"feat": ROWS[3:], "bbox": ROWS[3:, 0, :1]})


def test_blocks_become_one_array_of_the_type_asked_for(tmp_path):
    write(tmp_path / "deep" / "a.h5")
    with h5py.File(tmp_path / "deep" / "a.h5") as file:
        assert file["feat"].dtype == np.float16
        np.testing.assert_array_equal(file["feat"][:], ROWS)
        assert file["bbox"].shape == (4, 1)
        assert file["ids"].dtype == np.int64


def test_ids_of_text_come_back_as_text(tmp_path):
    write(tmp_path / "a.h5", ("vid", ["1", "2", "3", "4"]))
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["vid"].asstr()[:].tolist() == ["1", "2", "3", "4"]


@pytest.mark.parametrize("ids", [("ids", [1, 2, 3, 4]), ("vid", ["a", "b", "c", "d"]), None])
def test_the_same_rows_give_the_same_bytes(tmp_path, ids):
    write(tmp_path / "a.h5", ids)
    write(tmp_path / "b.h5", ids)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_rows_that_are_missing_at_the_end_are_an_error(tmp_path):
    with (
        pytest.raises(AssertionError, match="feat has 3 of 4 rows"),
        ArrayFile(tmp_path / "a.h5", {"feat": (4, 3, 2)}, "float32", None) as file,
    ):
        file.add({"feat": ROWS[:3]})


def test_a_disk_that_changed_the_rows_is_noticed(tmp_path):
    file = ArrayFile(tmp_path / "a.h5", {"feat": (4, 3, 2)}, "float32", None)
    file.add({"feat": ROWS})
    file._arrays["feat"][2] = 0.0
    with pytest.raises(WorldError, match="the disk does not hold what was written"):
        file.__exit__(None, None, None)


def test_an_error_in_the_block_is_the_one_that_surfaces(tmp_path):
    with pytest.raises(ZeroDivisionError), ArrayFile(tmp_path / "a.h5", {"feat": (4, 3, 2)}, "float32", None):
        raise ZeroDivisionError
