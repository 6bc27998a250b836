"""One HDF5 file with a data set per item: readable by the reader of published files, the same bytes every time."""

import h5py
import numpy as np
import pytest

from stages.consolidation.hdf5 import located, rows
from stages.worlds.item_file import ItemFile
from stages.worlds.settings import WorldError

ROWS = {"AAA": np.arange(12, dtype=np.float32).reshape(3, 4), "-b": np.ones((1, 4), np.float32)}


def write(root):
    with ItemFile(root, "features/i3d") as file:
        for item in sorted(ROWS):
            file.add(item, ROWS[item])
    return file


def test_items_are_read_back_as_published_files_are(tmp_path):
    written = write(tmp_path).written()
    (path,) = written.sha256
    assert path == tmp_path / "features" / "i3d.hdf5"
    assert (written.files, written.bytes) == (2, 64)
    found = list(located(path, None))
    assert [name for name, _ in found] == ["-b", "AAA"]
    values = dict(zip(["-b", "AAA"], rows(path, None, found, "float32"), strict=True))
    for item, block in values.items():
        np.testing.assert_array_equal(np.frombuffer(block, "<f4").reshape(-1, 4), ROWS[item])


def test_the_same_items_give_the_same_bytes_and_are_compressed(tmp_path):
    first, second = (next(iter(write(tmp_path / name).written().sha256)) for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    with h5py.File(first) as file:
        assert file["AAA"].compression == "gzip"


def test_an_item_that_cannot_be_a_name_is_refused(tmp_path):
    with pytest.raises(WorldError, match="cannot be a file name"), ItemFile(tmp_path, "i3d") as file:
        file.add("a/b", ROWS["AAA"])
