"""Features in one HDF5 file: as CPL and CCR read those of Charades (data sets) and of ActivityNet (groups)."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from stages.consolidation.build import build
from stages.consolidation.faults import ConsolidationError
from stages.features.info import StoreInfo
from stages.features.settings import Feature
from stages.features.store import FeatureStore

WIDTH = 3


def feature(**changes):
    form = {"kind": "clip", "files": "features.hdf5", "format": "h5", "width": WIDTH, "extractor": "x"}
    return Feature(**(form | changes))


def built(folder, wanted, **changes):
    build(folder / "f.zarr", feature(**changes), folder, wanted, StoreInfo(dataset="d", feature="f", kind="clip"))
    return FeatureStore.open(folder / "f.zarr")


def values(rows, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(dtype)


@pytest.mark.parametrize("key", [None, "c3d_features"])
def test_every_id_becomes_an_item_of_the_store(tmp_path, key):
    given = {"v_b": values(5, 1), "v_a": values(2, 2), "unasked": values(1, 3)}
    with h5py.File(tmp_path / "features.hdf5", "w") as file:
        for name, rows in given.items():
            file.create_dataset(name if key is None else f"{name}/{key}", data=rows, compression="gzip")
    store = built(tmp_path, ["v_a", "v_b"], key=key)
    assert store.ids == ["v_a", "v_b"]
    for name in store.ids:
        np.testing.assert_array_equal(store.rows(name), given[name])
    assert store.info.quality == {"extra": 1}


def test_video_that_lost_its_row_axis_is_one_row(tmp_path):
    with h5py.File(tmp_path / "features.hdf5", "w") as file:
        file["a"], file["b"] = values(1)[0], values(4)
    assert built(tmp_path, ["a", "b"]).lengths(["a", "b"]).tolist() == [1, 4]


def test_types_are_converted_when_asked(tmp_path):
    with h5py.File(tmp_path / "features.hdf5", "w") as file:
        file["a"], file["b"] = values(2, dtype=np.float64), values(3, dtype=">f4")
    store = built(tmp_path, ["a", "b"], dtype="float16")
    np.testing.assert_allclose(store.rows("a"), values(2), atol=2e-3)


def test_all_faults_are_shown_together(tmp_path):
    (tmp_path / "other.h5").write_bytes(b"")
    with h5py.File(tmp_path / "features.hdf5", "w") as file:
        file["wide"], file["int"], file["cube"] = np.zeros((2, 4), "f4"), np.zeros((2, 3), "i4"), np.zeros((2, 2, 3), "f4")
        file["nan"] = np.full((2, 3), np.nan, "f4")
        file.create_group("group")
        file["soft"], file["outside"] = h5py.SoftLink("/nan"), h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(ConsolidationError) as error:
        built(tmp_path, ["wide", "int", "cube", "nan", "group", "soft", "outside", "absent"])
    text = str(error.value)
    for kind in ("width: 1", "not an array: 1", "dimensions: 1", "non-finite: 2", "key: 1", "unsafe member: 2", "missing: 1"):
        assert kind in text
    assert not (tmp_path / "f.zarr").exists()


def test_values_in_other_files_are_refused(tmp_path):
    with h5py.File(tmp_path / "features.hdf5", "w") as file:
        file.create_dataset("a", (2, 3), "f4", external=[(str(tmp_path / "secret"), 0, 24)])
    with pytest.raises(ConsolidationError, match="unsafe member: 1"):
        built(tmp_path, ["a"])


def test_file_that_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "features.hdf5").write_bytes(b"no such thing" * 100)
    with pytest.raises(ConsolidationError, match="not a readable HDF5 file"):
        built(tmp_path, ["a"])
