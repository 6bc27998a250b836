import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from stages.consolidation.arrays import LARGEST_FILE, Content, load_whole, locate, rows_of
from stages.consolidation.faults import FaultError
from tests.stages.consolidation.publishing import npy, npz, pt, rows

float_rows = st.sampled_from([np.float16, np.float32, np.float64]).flatmap(
    lambda dtype: npst.arrays(dtype, st.tuples(st.integers(0, 60), st.integers(1, 20)))
)


def read(content, form="npz", key="features"):
    """Locate and take out, as the builder does."""
    array = locate(Content(content), form, key if form == "npz" else None)
    if array.whole:
        loaded, dtype = load_whole(content, form, key)
        assert (loaded.shape, dtype) == ((array.rows, array.width), array.dtype)
        return loaded
    taken = rows_of(array, content[array.start : array.start + array.packed])
    return np.frombuffer(taken, array.dtype).reshape(array.rows, array.width)


@settings(max_examples=60, deadline=None)
@given(array=float_rows, compressed=st.booleans())
def test_npz_rows_are_those_numpy_reads(array, compressed):
    content = npz(array, compressed=compressed, pooler_output=np.ones(3))
    assert not locate(Content(content), "npz", "features").whole
    with np.load(io.BytesIO(content)) as expected:
        assert read(content).tobytes() == expected["features"].tobytes() == array.tobytes()


@settings(max_examples=30, deadline=None)
@given(array=float_rows)
def test_npy_and_pt_rows_are_those_that_were_saved(array):
    assert read(npy(array), "npy").tobytes() == array.tobytes()
    assert read(pt(array), "pt").tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [np.asfortranarray(rows(5)), rows(5, dtype=">f4"), rows(5, dtype=np.float64).T],
    ids=["fortran order", "big-endian", "transposed"],
)
def test_unusual_memory_orders_are_read_by_numpy(array):
    np.testing.assert_array_equal(read(npz(array)), array)
    np.testing.assert_array_equal(read(npy(array), "npy"), array)


def test_a_zip_with_a_comment_is_read_too():
    buffer = io.BytesIO(npz(rows(3)))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"from somewhere"
    np.testing.assert_array_equal(read(buffer.getvalue()), rows(3))


def test_many_members_and_long_names_do_not_hide_the_array():
    content = npz(rows(3), **{f"{'other' * 20}{number}": np.ones(1) for number in range(40)})
    np.testing.assert_array_equal(read(content), rows(3))


FAULTS = {
    "empty file": (b"", "unreadable", "it is empty"),
    "web page": (b"<!DOCTYPE html>" + bytes(500), "unreadable", "begins with b'<!DOCTYPE ht'"),
    "cut short": (npz(rows(9))[:-30], "unreadable", "not a zip file"),
    "half of it": (npz(rows(90))[:400], "unreadable", "not a zip file"),
    "other key": (npz(rows(3), key="feats"), "key", "no array 'features', the file has 'feats'"),
    "object array": (npz(np.array([{"a": 1}], dtype=object)), "not an array", "would need unpickling"),
    "text": (npz(np.array([["a"]])), "not an array", "str32"),
    "integers": (npz(np.ones((2, 3), np.int64)), "dtype", "int64"),
    "one dimension": (npz(np.ones(4, np.float32)), "dimensions", r"shape \(4,\)"),
    "three dimensions": (npz(np.ones((1, 2, 3), np.float32)), "dimensions", r"shape \(1, 2, 3\)"),
    "no dimension": (npz(np.float32(1)), "dimensions", r"shape \(\)"),
}


@pytest.mark.parametrize(("content", "kind", "message"), FAULTS.values(), ids=FAULTS)
def test_what_is_no_matrix_of_floats_is_a_fault(content, kind, message):
    with pytest.raises(FaultError, match=message) as caught:
        read(content)
    assert caught.value.kind == kind


@settings(max_examples=150, deadline=None)
@given(data=st.data(), compressed=st.booleans())
def test_a_flipped_bit_is_found_or_does_not_matter(data, compressed):
    array = rows(6)
    content = bytearray(npz(array, compressed=compressed))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = read(bytes(content))
    except FaultError:
        return
    assert found.tobytes() == array.tobytes()


@settings(max_examples=100, deadline=None)
@given(
    content=st.binary(max_size=300) | st.binary(max_size=100).map(lambda tail: b"PK\3\4" + tail),
    form=st.sampled_from(["npz", "npy", "pt"]),
)
def test_rubbish_is_a_fault_and_nothing_worse(content, form):
    with pytest.raises(FaultError):
        read(content, form)


def test_a_header_that_claims_more_than_the_file_holds_is_a_fault():
    content = npy(rows(3, 4))
    claimed = content.replace(b"(3, 4)", b"(9, 4)")
    with pytest.raises(FaultError, match="24 bytes of rows, 72 expected"):
        read(claimed, "npy")


def test_absurdly_large_files_are_not_read():
    class Vast(Content):
        def __init__(self):
            super().__init__(b"")
            self.size = LARGEST_FILE + 1

    with pytest.raises(FaultError, match=f"{LARGEST_FILE + 1} bytes"):
        locate(Vast(), "npz", "features")


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked():
    content = bytearray(npz(np.zeros((1000, 8), np.float32), compressed=True))
    index = content.index(b"PK\1\2")
    content[index + 24 : index + 28] = (LARGEST_FILE + 1).to_bytes(4, "little")  # the unpacked size it claims
    with pytest.raises(FaultError):
        read(bytes(content))
