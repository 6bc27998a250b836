import collections
import zipfile
from io import BytesIO

import numpy as np
import pytest
import torch

from stages.consolidation.arrays import Content, locate
from stages.consolidation.faults import FaultError
from stages.consolidation.tensors import load_tensor, tensor_layout
from tests.stages.consolidation.publishing import pt, rows

MATRIX = torch.from_numpy(rows(31, 8))


def program(content):
    with zipfile.ZipFile(BytesIO(content)) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def test_the_program_of_a_bare_matrix_is_recognised_without_running_it():
    layout = tensor_layout(program(pt(MATRIX)))
    assert layout is not None
    assert (layout.dtype, layout.record, layout.storage, layout.offset, layout.shape) == ("float16", "0", 31 * 8, 0, (31, 8))


@pytest.mark.parametrize("size", [3, 300, 70_000])
def test_sizes_of_one_two_and_four_bytes_are_recognised(size):
    layout = tensor_layout(program(pt(torch.zeros(size, 2))))
    assert layout is not None
    assert layout.shape == (size, 2)


def test_a_slice_of_a_larger_storage_is_found_inside_it():
    content = pt(torch.arange(1000.0).view(10, 100)[3:5])
    array = locate(Content(content), "pt", None)
    assert (array.rows, array.width, array.skip, array.whole) == (2, 100, 3 * 100 * 4, False)


@pytest.mark.parametrize(
    "value",
    [MATRIX.t(), torch.nn.Parameter(MATRIX.float()), MATRIX.bfloat16(), MATRIX.float()[:, :3]],
    ids=["transposed", "parameter", "bfloat16", "columns"],
)
def test_other_tensors_are_left_to_torch(value):
    content = pt(value)
    assert locate(Content(content), "pt", None).whole
    loaded, dtype = load_tensor(content)
    assert dtype == str(value.dtype).removeprefix("torch.")
    np.testing.assert_array_equal(loaded, value.detach().float().numpy())


def test_files_of_old_torch_versions_are_read():
    content = pt(MATRIX, _use_new_zipfile_serialization=False)
    assert locate(Content(content), "pt", None).whole
    np.testing.assert_array_equal(load_tensor(content)[0], MATRIX.numpy())


def test_files_written_without_checksums_are_read():
    torch.serialization.set_crc32_options(False)
    try:
        content = pt(MATRIX)
    finally:
        torch.serialization.set_crc32_options(True)
    assert locate(Content(content), "pt", None).crc is None
    assert load_tensor(content)[1] == "float16"


class Trap:
    """Would create a file if anybody unpickled it."""

    def __reduce__(self):
        return open, (TRAPPED, "w")


TRAPPED = ""


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.TRAPPED", str(tmp_path / "trapped"))
    for content in (pt(Trap()), pt([MATRIX, Trap()]), pt(Trap(), _use_new_zipfile_serialization=False)):
        with pytest.raises(FaultError) as caught:
            locate(Content(content), "pt", None)
        assert caught.value.kind == "not an array"
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ({"features": MATRIX}, "not an array", "holds a dict with 'features', expected one tensor"),
        ([MATRIX], "not an array", "holds a list"),
        (collections.OrderedDict(a=1), "not an array", "holds a OrderedDict with 'a'"),
        (3.5, "not an array", "holds a float"),
        (MATRIX.float().to_sparse(), "not an array", "sparse"),
        (torch.ones(2, 2, dtype=torch.int64), "dtype", "int64"),
        (torch.ones(2, 2, dtype=torch.complex64), "dtype", "complex64"),
        (torch.ones(4), "dimensions", r"shape \(4,\)"),
        (torch.ones(1, 2, 3), "dimensions", r"shape \(1, 2, 3\)"),
    ],
    ids=["dict", "list", "ordered dict", "number", "sparse", "integers", "complex", "vector", "batch of one"],
)
def test_anything_but_a_matrix_of_floats_is_a_fault(value, kind, message):
    with pytest.raises(FaultError, match=message) as caught:
        locate(Content(pt(value)), "pt", None)
    assert caught.value.kind == kind


def test_a_damaged_tensor_of_unusual_form_is_a_fault():
    content = bytearray(pt(MATRIX.float().t()))
    content[content.index(MATRIX.float().numpy().tobytes()[:16]) + 3] ^= 1
    with pytest.raises(FaultError, match="the checksum of 'archive/data/0' differs"):
        load_tensor(bytes(content))


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\3\4" + bytes(50), pt(MATRIX)[:-50]], ids=["empty", "text", "PK", "cut"])
def test_files_that_torch_did_not_write_are_faults(content):
    with pytest.raises(FaultError) as caught:
        locate(Content(content), "pt", None)
    assert caught.value.kind in ("unreadable", "not an array")
