import json
import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.consolidation.array_files import relative
from stages.consolidation.build_arrays import Annotations, build_arrays
from stages.consolidation.faults import ConsolidationError
from stages.features.store import Feature, FeatureStore, StoreInfo

FRAMES = Feature(kind="frame", files="clip_*.h5", format="h5", ids="vid", key="CLIPL_I", width=3, extractor="made up")
TEXTS = Feature(kind="query", files="bert_{split}.h5", format="h5", aligned=True, key="feat", width=3, extractor="made up")
OBJECTS = Feature(
    kind="object", files="region.h5", format="h5", ids="ids", key="feat", boxes="bbox", grid=(4, 2), every=2, width=7,
    extractor="made up",
)  # fmt: skip


def info(feature):
    return StoreInfo(dataset="demo", feature="x", kind=feature.kind)


def publish(path, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def made(tmp_path, feature, wanted=(), **annotations):
    path = tmp_path / "out" / "x.zarr"
    build_arrays(path, feature, tmp_path, Annotations(sorted(wanted), **annotations), info(feature))
    return FeatureStore.open(path)


def fault(tmp_path, feature, wanted=("a", "b"), **annotations):
    with pytest.raises(ConsolidationError) as raised:
        made(tmp_path, feature, wanted, **annotations)
    assert not (tmp_path / "out" / "x.zarr").exists()
    return str(raised.value)


@pytest.mark.parametrize(
    "ids",
    [np.array(["20", "3", "100"], dtype=h5py.string_dtype()), np.array([b"20", b"3", b"100"]), np.array([20, 3, 100])],
    ids=["text", "bytes", "numbers"],
)
def test_every_id_gets_its_own_entry_whatever_the_ids_are(tmp_path, ids):
    clips = values(3, 5, 3)
    publish(tmp_path / "clip_train.h5", vid=ids, CLIPL_I=clips)
    store = made(tmp_path, FRAMES, ("100", "20", "3"))
    assert store.ids == ["100", "20", "3"]
    for item, rows in zip(["20", "3", "100"], clips, strict=True):
        np.testing.assert_array_equal(store.rows(item), rows)


def test_files_of_several_splits_become_one_store(tmp_path):
    for number, split in enumerate("abc"):
        publish(tmp_path / f"clip_{split}.h5", vid=[f"{split}{n}" for n in range(4)], CLIPL_I=values(4, 5, 3, seed=number))
    store = made(tmp_path, FRAMES, ("a0", "b2", "c3"))
    assert (store.ids, store.info.quality) == (["a0", "b2", "c3"], {"extra": 9})
    np.testing.assert_array_equal(store.rows("b2"), values(4, 5, 3, seed=1)[2])
    assert len(made(tmp_path, replace(FRAMES, extra="store"), ("a0",))) == 12


def test_half_precision_is_stored_on_request(tmp_path):
    clips = values(1, 5, 3)
    publish(tmp_path / "clip_a.h5", vid=["a"], CLIPL_I=clips)
    store = made(tmp_path, replace(FRAMES, dtype="float16"), ("a",))
    np.testing.assert_array_equal(store.rows("a"), clips[0].astype(np.float16))


def test_questions_follow_the_rows_of_their_table_and_lose_their_padding(tmp_path):
    texts = values(2, 3, 6, 3)
    lengths = [[6, 1, 2], [3, 4, 5]]
    for row in range(2):
        for option in range(3):
            texts[row, option, lengths[row][option] :] = 0
    publish(tmp_path / "bert_iid.h5", feat=texts)
    rows = {"iid": [("v_1#0", "v_1#1", "v_1#2"), ("a_1#0", "a_1#1", "a_1#2")]}
    store = made(tmp_path, TEXTS, [item for row in rows["iid"] for item in row], rows=rows)
    for row, items in enumerate(rows["iid"]):
        for option, item in enumerate(items):
            np.testing.assert_array_equal(store.rows(item), texts[row, option, : lengths[row][option]])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=9), inner=st.booleans())
def test_open_questions_come_back_as_they_were_but_for_trailing_zeros(tmp_path_factory, lengths, inner):
    folder = tmp_path_factory.mktemp("case")
    texts = values(len(lengths), 4, 3)
    for row, length in enumerate(lengths):
        texts[row, length:] = 0
        if inner and length > 1:
            texts[row, 0] = 0
    publish(folder / "bert_test.h5", feat=texts)
    rows = {"test": [(f"q{number}",) for number in range(len(lengths))]}
    store = made(folder, TEXTS, [f"q{number}" for number in range(len(lengths))], rows=rows)
    assert store.info.quality.get("zero_rows_inside", 0) == (sum(length > 1 for length in lengths) if inner else 0)
    for row, length in enumerate(lengths):
        np.testing.assert_array_equal(store.rows(f"q{row}"), texts[row, :length])


def test_objects_are_every_second_clip_the_first_boxes_and_frame_after_frame(tmp_path):
    features, boxes = values(2, 4, 2, 3, 3), values(2, 4, 2, 3, 4, seed=1)
    publish(tmp_path / "region.h5", ids=["b", "a"], feat=features, bbox=boxes)
    store = made(tmp_path, OBJECTS, ("a", "b"))
    assert tuple(store.info.grid) == (4, 2)
    assert store.info.attributes()["grid"] == [4, 2]
    expected = np.concatenate([features, boxes], axis=-1)[0, ::2, :, :2].reshape(4, 2, 7)
    np.testing.assert_array_equal(store.rows("b").reshape(4, 2, 7), expected)


def test_regions_of_one_video_per_file_are_found_by_the_map_and_made_relative(tmp_path):
    (tmp_path / "regions" / "7").mkdir(parents=True)
    features, boxes = values(2, 2, 3, 3), np.abs(values(2, 2, 3, 4, seed=1)) * 100
    np.savez(tmp_path / "regions" / "7" / "x.npz", feat=features, bbox=boxes)
    (tmp_path / "map.json").write_text(json.dumps({"a": "7/x"}))
    feature = replace(
        OBJECTS, files="regions", format="npz", ids=None, every=1, width=8, relative_boxes=True, names="map.json", missing="drop"
    )
    assert "'a': no width and height" in fault(tmp_path, feature, ("a",))
    store = made(tmp_path, feature, ("a", "b"), sizes={"a": (200.0, 100.0)})
    assert (store.ids, store.info.quality) == (["a"], {"missing": 1})
    rows = store.rows("a").reshape(2, 2, 2, 8)
    np.testing.assert_allclose(rows[..., 3:], relative(boxes[:, :, :2], 200.0, 100.0), rtol=1e-6)


def test_a_relative_box_is_shares_of_the_picture():
    np.testing.assert_allclose(relative(np.array([[0, 0, 99, 49]]), 200, 100), [[0, 0, 0.495, 0.49, 0.25]])


@pytest.mark.parametrize(
    ("arrays", "feature", "message"),
    [
        ({"ids": ["a"], "CLIPL_I": values(1, 5, 3)}, FRAMES, "no 'vid' in it, it has CLIPL_I, ids"),
        ({"vid": ["a"], "feat": values(1, 5, 3)}, FRAMES, "no 'CLIPL_I' in it, it has feat, vid"),
        ({"vid": ["a", "b"], "CLIPL_I": values(1, 5, 3)}, FRAMES, "2 ids for 1 entries"),
        ({"vid": ["a", "a"], "CLIPL_I": values(2, 5, 3)}, FRAMES, "twice: 1"),
        ({"vid": ["a"], "CLIPL_I": values(1, 5, 3)}, FRAMES, "missing: 1.*\n    b"),
        ({"vid": ["a", "b"], "CLIPL_I": values(2, 5, 4)}, FRAMES, "4 channels, expected 3"),
        ({"vid": ["a", "b"], "CLIPL_I": values(2, 5, 2, 3)}, FRAMES, r"\(2, 5, 2, 3\), expected \(N, T, D\)"),
        ({"vid": [0.5, 1.5], "CLIPL_I": values(2, 5, 3)}, FRAMES, "values of type float64, expected text or whole numbers"),
        ({"vid": ["a", "b"], "CLIPL_I": np.ones((2, 5, 3), np.int64)}, FRAMES, "'CLIPL_I' holds values of type int64"),
        ({"vid": ["a", "b"], "CLIPL_I": np.array(["x", "y"], dtype=object)}, FRAMES, "'CLIPL_I' holds values of type object"),
        ({"vid": ["a", "b", "c"], "CLIPL_I": values(3, 5, 3)}, replace(FRAMES, extra="error"), "extra: 1.*\n    c"),
        ({"vid": ["c"], "CLIPL_I": values(1, 5, 3)}, replace(FRAMES, missing="drop"), "no entry of an id that a sample has"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_an_array_file_is_said(tmp_path, arrays, feature, message):
    publish(tmp_path / "clip_a.h5", **arrays)
    text = fault(tmp_path, feature)
    assert re.search(message, text), text


def test_values_that_are_no_numbers_are_named_with_video_and_row_or_zeroed(tmp_path):
    clips = values(2, 5, 3)
    clips[1, 4, 0] = np.nan
    publish(tmp_path / "clip_a.h5", vid=["b", "a"], CLIPL_I=clips)
    assert "a: row 4: 1 of 3 values are NaN or Inf" in fault(tmp_path, FRAMES)
    store = made(tmp_path, replace(FRAMES, non_finite="zero"), ("a", "b"))
    assert (store.rows("a")[4, 0], store.info.quality["non_finite"]) == (0, 1)


def test_links_and_values_outside_the_file_are_refused(tmp_path):
    publish(tmp_path / "other.h5", CLIPL_I=values(1, 5, 3))
    with h5py.File(tmp_path / "clip_a.h5", "w") as file:
        file["vid"] = ["a"]
        file["CLIPL_I"] = h5py.ExternalLink("other.h5", "CLIPL_I")
    assert "'CLIPL_I' is a link to another place" in fault(tmp_path, FRAMES, ("a",))
    with h5py.File(tmp_path / "clip_a.h5", "w") as file:
        file["vid"] = ["a"]
        file.create_dataset("CLIPL_I", shape=(1, 5, 3), dtype="f4", external=[("raw.bin", 0, 60)])
    assert "the values of 'CLIPL_I' lie in other files" in fault(tmp_path, FRAMES, ("a",))


def test_a_damaged_file_is_a_fault_and_no_store(tmp_path):
    publish(tmp_path / "clip_a.h5", vid=["a"], CLIPL_I=values(1, 5, 3))
    content = bytearray((tmp_path / "clip_a.h5").read_bytes())
    (tmp_path / "clip_a.h5").write_bytes(content[: len(content) // 2])
    assert "unreadable: 1" in fault(tmp_path, FRAMES, ("a",))


def test_another_number_of_rows_or_options_than_the_table_is_refused(tmp_path):
    publish(tmp_path / "bert_iid.h5", feat=values(2, 3, 4, 3))
    assert "2 rows, the table has 1" in fault(tmp_path, TEXTS, ("v#0",), rows={"iid": [("v#0",)]})
    two = [("v#0", "v#1"), ("w#0", "w#1")]
    assert "3 texts per row, but 'v#0' has 2" in fault(tmp_path, TEXTS, ("v#0",), rows={"iid": two})
    three = {"iid": [tuple(f"v#{m}" for m in range(3)), tuple(f"w#{m}" for m in range(3))], "test": [("x#0",)]}
    assert "bert_test.h5: the file of split 'test'" in fault(tmp_path, TEXTS, ("x#0",), rows=three)


def test_a_text_of_zeros_only_is_a_fault_or_left_out(tmp_path):
    texts = values(2, 4, 3)
    texts[1] = 0
    publish(tmp_path / "bert_iid.h5", feat=texts)
    rows = {"iid": [("q0",), ("q1",)]}
    assert "'q1': zeros only" in fault(tmp_path, TEXTS, ("q0", "q1"), rows=rows)
    store = made(tmp_path, replace(TEXTS, empty="drop"), ("q0", "q1"), rows=rows)
    assert (store.ids, store.info.quality) == (["q0"], {"empty": 1})


@pytest.mark.parametrize(
    ("grid", "message"),
    [((8, 2), "every 2 of 4 clips gives 4 frames, grid says 8"), ((4, 9), "3 boxes per frame, grid asks for 9")],
)
def test_a_grid_that_the_file_cannot_fill_is_refused(tmp_path, grid, message):
    publish(tmp_path / "region.h5", ids=["a", "b"], feat=values(2, 4, 2, 3, 3), bbox=values(2, 4, 2, 3, 4))
    assert message in fault(tmp_path, replace(OBJECTS, grid=grid))


def test_the_same_files_give_the_same_bytes(tmp_path):
    publish(tmp_path / "clip_a.h5", vid=["b", "a"], CLIPL_I=values(2, 5, 3))
    publish(tmp_path / "clip_b.h5", vid=["c"], CLIPL_I=values(1, 5, 3))
    bytes_of = []
    for _ in range(2):
        made(tmp_path, FRAMES, ("a", "b", "c"))
        files = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
        bytes_of.append([path.read_bytes() for path in files])
    assert bytes_of[0] == bytes_of[1]
