"""Relation features of VidVRD: what is read, and what is refused with file and reason."""

import h5py
import numpy as np
import pytest

from stages.consolidation.faults import ConsolidationError, FaultError
from stages.consolidation.relation_pairs import build_pairs, read_segment
from stages.features.store import Feature, FeatureStore, StoreInfo

INFO = StoreInfo(dataset="toy", feature="pairs", kind="trajectory")


def feature(**changed):
    form = {"kind": "trajectory", "files": "relation", "format": "relation_h5", "width": 10, "extractor": "toy"}
    return Feature(**{**form, **changed})


def segment(root, begin=0, video="v1", **changed):
    """A file of three trajectories, the last one annotated as object 4, and two pairs of them with three features."""
    content = {
        "trackid": np.array([-1, -1, 4]),
        "pairs": np.array([[0, 2], [1, 0]]),
        "feats": np.arange(6, dtype=np.float32).reshape(2, 3) + begin,
        "iou": np.array([0.25, 0.5]),
    }
    path = root / "relation" / video / f"{video}-{begin:04d}-{begin + 30:04d}-relation.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, value in {**content, **changed}.items():
            if value is not None:
                file[key] = value
    return path


def test_a_row_says_when_who_and_what(tmp_path):
    rows = read_segment(segment(tmp_path, 15), "v1")
    assert rows.tolist() == [[15, 45, 0, 2, -1, 4, 0.25, 15, 16, 17], [15, 45, 1, 0, -1, -1, 0.5, 18, 19, 20]]


def test_segments_of_a_video_become_one_item_in_the_order_of_time(tmp_path):
    for begin in (15, 0, 10005):
        segment(tmp_path, begin)
    segment(tmp_path, 0, "v0")
    info = build_pairs(tmp_path / "pairs.zarr", feature(), tmp_path, ["v1", "v0"], INFO)
    store = FeatureStore.open(tmp_path / "pairs.zarr")
    assert store.ids == ["v0", "v1"]
    assert store.rows("v1")[:, 0].tolist() == [0, 0, 15, 15, 10005, 10005]
    assert (info.rows, info.width) == (8, 10)


def test_a_video_without_files_is_refused_or_dropped(tmp_path):
    segment(tmp_path)
    with pytest.raises(ConsolidationError, match="relation/v2"):
        build_pairs(tmp_path / "pairs.zarr", feature(), tmp_path, ["v1", "v2"], INFO)
    assert not (tmp_path / "pairs.zarr").exists()
    info = build_pairs(tmp_path / "pairs.zarr", feature(missing="drop"), tmp_path, ["v1", "v2"], INFO)
    assert info.quality == {"missing": 1}


def test_all_faulty_files_are_named_together(tmp_path):
    segment(tmp_path, 0, iou=None)
    segment(tmp_path, 15, feats=np.zeros((2, 4)))
    with pytest.raises(ConsolidationError) as refused:
        build_pairs(tmp_path / "pairs.zarr", feature(), tmp_path, ["v1"], INFO)
    for text in (
        "v1-0000-0030-relation.h5",
        "no 'iou' in it, it has feats, pairs, trackid",
        "v1-0015-0045",
        "4 features, expected 3",
    ):
        assert text in str(refused.value)


def test_files_have_to_be_those_of_the_manifest(tmp_path):
    path = segment(tmp_path)
    listed = {"relation/v1/v1-0000-0030-relation.h5": path.stat().st_size + 1}
    with pytest.raises(ConsolidationError, match=r"manifest\.json says"):
        build_pairs(tmp_path / "pairs.zarr", feature(), tmp_path, ["v1"], INFO, listed=listed)


FAULTS = [
    ({"pairs": np.array([[0, 3], [1, 0]])}, "pairs name trajectory 3, there are 3"),
    ({"pairs": np.array([[0, 1]])}, "expected a row per pair each"),
    ({"feats": np.array([[1, 2, np.nan], [1, 2, 3]])}, "pair 0: NaN or Inf"),
    ({"trackid": np.zeros((3, 1))}, "'trackid' has shape"),
    ({"iou": np.array([b"a", b"b"])}, "expected 1 dimensions"),
]


@pytest.mark.parametrize(("changed", "message"), FAULTS)
def test_what_cannot_be_is_refused(tmp_path, changed, message):
    with pytest.raises(FaultError, match=message):
        read_segment(segment(tmp_path, **changed), "v1")


def test_a_file_of_another_video_or_of_no_format_is_refused(tmp_path):
    path = segment(tmp_path)
    with pytest.raises(FaultError, match="expected v2-<first frame>"):
        read_segment(path, "v2")
    path.write_bytes(b"no HDF5")
    with pytest.raises(FaultError, match="not a readable HDF5 file"):
        read_segment(path, "v1")


def test_a_link_to_another_file_is_refused(tmp_path):
    path = segment(tmp_path, iou=None)
    with h5py.File(path, "a") as file:
        file["iou"] = h5py.ExternalLink("other.h5", "iou")
    with pytest.raises(FaultError, match="'iou' is no data set of this file"):
        read_segment(path, "v1")
