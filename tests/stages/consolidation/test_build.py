import hashlib
import io
import random
import re
import tarfile
import tracemalloc
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.consolidation import build as build_module
from stages.consolidation import survey as survey_module
from stages.consolidation.build import build
from stages.consolidation.faults import WAYS_OUT, ConsolidationError
from stages.features import zarr_format
from stages.features.settings import Feature
from stages.features.store import FeatureStore, StoreInfo
from tests.stages.consolidation.publishing import FORMS, in_folder, npz, pt, rows, tar, zipped

INFO = StoreInfo(dataset="demo", feature="clip", kind="clip")
CLIP: Any = {"kind": "clip", "files": "clip", "format": "npz", "key": "features", "width": 4, "fps": 1.0, "extractor": "made up"}
IDS = ["-Oc6gSWB_HA_60.0_210.0", "S1Xq6MbAao0_210.0_360.0", "a b", "v1", "v2", "ü日本"]
GOOD = {f"{item}.npz": npz(rows(3 + number)) for number, item in enumerate(IDS)}


@pytest.fixture(autouse=True)
def small_sizes(monkeypatch):
    """Many chunks, tasks and blocks even for a handful of items."""
    monkeypatch.setattr(zarr_format, "CHUNK_BYTES", 64)
    monkeypatch.setattr(build_module, "BYTES_PER_TASK", 500)
    monkeypatch.setattr(build_module, "BLOCK_BYTES", 50)
    monkeypatch.setattr(survey_module, "FILES_PER_TASK", 2)


def made(folder, published, wanted=IDS, *, workers=1, listed=None, **feature):
    """Publish files below folder/raw/clip, make the store, open it."""
    in_folder(folder / "raw" / "clip", published)
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    settings = Feature(**{**CLIP, **feature})
    build(folder / "clip.zarr", settings, folder / "raw", wanted, INFO, workers=workers, listed=listed)
    return FeatureStore.open(folder / "clip.zarr")


def screen(folder, published, wanted=IDS, **more):
    """The message of a build that fails, after checking that it left nothing."""
    with pytest.raises(ConsolidationError) as caught:
        made(folder, published, wanted, **more)
    assert [path.name for path in folder.iterdir()] == ["raw"]
    return str(caught.value)


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)).hexdigest()


def check(store, seeds=range(3, 9)):
    assert store.ids == IDS
    for item, length in zip(IDS, seeds, strict=True):
        np.testing.assert_array_equal(store.rows(item), rows(length))


@pytest.mark.parametrize("form", ["npz", "npy", "pt"])
def test_every_format_gives_the_same_rows(form, tmp_path):
    files = {f"{item}.{form}": FORMS[form](rows(3 + number)) for number, item in enumerate(IDS)}
    check(made(tmp_path, files, format=form, key="features" if form == "npz" else None))


PACKINGS = {
    "tar": ("x.tar", tar),
    "tar.gz": ("x.tar.gz", lambda files: tar(files, "w:gz")),
    "zip": ("x.zip", zipped),
    "stored zip": ("x.zip", lambda files: zipped(files, zipfile.ZIP_STORED)),
}


@pytest.mark.parametrize(("name", "pack"), PACKINGS.values(), ids=PACKINGS)
def test_archives_in_any_order_give_the_bytes_of_the_folder(name, pack, tmp_path):
    made(tmp_path / "folder", GOOD)
    shuffled = list(GOOD.items())
    random.Random(3).shuffle(shuffled)
    packed = pack({f"home/somebody/features/clip/{file}": content for file, content in shuffled})
    in_folder(tmp_path / "archive" / "raw", {name: packed})
    check(made(tmp_path / "archive", {}, files=name))
    assert digest(tmp_path / "folder" / "clip.zarr") == digest(tmp_path / "archive" / "clip.zarr")


def test_split_parts_are_streamed_and_nothing_is_unpacked(tmp_path):
    packed = tar({f"clip/{file}": content for file, content in GOOD.items()}, "w:gz")
    in_folder(
        tmp_path / "raw",
        {f"iv2.tar.gz.a{chr(97 + number)}": packed[number * 500 :][:500] for number in range(len(packed) // 500 + 1)},
    )
    before = {path.name for path in (tmp_path / "raw").iterdir()}
    check(made(tmp_path, {}, files="iv2.tar.gz.*"))
    assert {path.name for path in (tmp_path / "raw").iterdir()} == before


def test_several_archives_make_one_store(tmp_path):
    halves = list(GOOD.items())
    in_folder(tmp_path / "raw", {"p1.tar": tar(dict(halves[:3])), "p2.zip": zipped(dict(halves[3:]))})
    check(made(tmp_path, {}, files="p*"))


def test_the_number_of_workers_does_not_change_the_bytes(tmp_path):
    for workers in (1, 3):
        made(tmp_path / str(workers), GOOD, workers=workers)
    assert digest(tmp_path / "1" / "clip.zarr") == digest(tmp_path / "3" / "clip.zarr")


lengths = st.dictionaries(
    st.text("ab-. /ü", min_size=1, max_size=5).filter(lambda text: not set(text.split("/")) & {"", ".", ".."}),
    st.integers(1, 30),
    min_size=1,
    max_size=9,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=lengths, compressed=st.booleans(), packed=st.booleans())
def test_whatever_the_ids_and_lengths_rows_come_back(lengths, compressed, packed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("law")
    files = {f"{item}.npz": npz(rows(length), compressed=compressed) for item, length in lengths.items()}
    if packed:
        in_folder(folder / "raw", {"x.tar": tar(files)})
    store = made(folder, {} if packed else files, sorted(lengths), files="x.tar" if packed else "clip")
    assert store.ids == sorted(lengths)
    for item, length in lengths.items():
        np.testing.assert_array_equal(store.rows(item), rows(length))


def test_query_features_are_stored_under_the_query_id(tmp_path):
    files = {f"qid{number}.npz": npz(rows(number), "last_hidden_state", pooler_output=np.ones(4)) for number in (9, 10, 2)}
    store = made(tmp_path, files, ["10", "2", "9"], kind="query", prefix="qid", key="last_hidden_state", fps=None)
    assert store.ids == ["10", "2", "9"]
    np.testing.assert_array_equal(store.rows("10"), rows(10))


def test_types_are_kept_or_converted_as_asked(tmp_path):
    files = {"v1.npz": npz(rows(3, dtype=np.float32)), "v2.npz": npz(rows(4, dtype=np.float64))}
    for dtype in ("float16", "float32"):
        store = made(tmp_path / dtype, files, ["v1", "v2"], dtype=dtype)
        assert store.info.dtype == dtype
        np.testing.assert_array_equal(store.rows("v2"), rows(4, dtype=np.float64).astype(dtype))
    kept = made(tmp_path / "keep", {"v1.npz": files["v1.npz"]}, ["v1"])
    assert kept.info.dtype == "float32"


def test_bfloat16_tensors_can_be_converted_but_not_kept(tmp_path):
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(rows(5)).bfloat16()
    files = {"v1.pt": pt(tensor)}
    assert "bfloat16" in screen(tmp_path / "a", files, ["v1"], format="pt", key=None)
    store = made(tmp_path / "b", files, ["v1"], format="pt", key=None, dtype="float32")
    np.testing.assert_array_equal(store.rows("v1"), tensor.float().numpy())


def test_extra_files_are_counted_stored_or_refused_as_asked(tmp_path):
    files = {**GOOD, "more/z1.npz": npz(rows(2)), "README": b"", ".DS_Store": b""}
    ignored = made(tmp_path / "ignore", files)
    check(ignored)
    assert ignored.info.quality == {"extra": 1, "other_files": 2}
    stored = made(tmp_path / "store", files, extra="store")
    assert stored.ids == sorted([*IDS, "more/z1"])
    assert "extra: 1. Set `extra: ignore`" in screen(tmp_path / "error", files, extra="error")
    packed = tmp_path / "packed"
    in_folder(packed / "raw", {"x.tar": tar({f"deep/{name}": content for name, content in files.items()})})
    assert made(packed, {}, files="x.tar", extra="store").ids == stored.ids


def test_missing_files_are_errors_with_ids_and_count_or_recorded_drops(tmp_path):
    files = {name: content for name, content in GOOD.items() if "v" not in name}
    message = screen(tmp_path / "error", files, [*IDS, "gone", "gone too"])
    assert "missing: 4. Set `missing: drop`" in message
    assert re.search(r"^    gone$", message, re.MULTILINE)
    dropped = made(tmp_path / "drop", files, missing="drop")
    assert dropped.info.quality == {"missing": 2}
    assert "v1" not in dropped


def test_empty_arrays_are_errors_or_recorded_drops(tmp_path):
    files = {**GOOD, "v1.npz": npz(rows(0))}
    assert "empty: 1. Set `empty: drop`" in screen(tmp_path / "error", files)
    dropped = made(tmp_path / "drop", files, empty="drop")
    assert dropped.info.quality == {"empty": 1}
    assert "v1" not in dropped


def spoilt(value, where=((1, 2),), length=5):
    array = rows(length)
    for at in where:
        array[at] = value
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("packed", [False, True])
def test_non_finite_values_are_errors_with_file_and_row_or_zeroed_and_counted(value, packed, tmp_path):
    array = spoilt(value, [(1, 2), (1, 3), (4, 0)])
    files = {**GOOD, "v1.npz": npz(array)}
    options: dict[str, Any] = {}
    if packed:
        for name in ("error", "zero"):
            in_folder(tmp_path / name / "raw", {"x.tar": tar(files)})
        options["files"], files = "x.tar", {}
    message = screen(tmp_path / "error", files, **options)
    assert "non-finite: 2. Set `non_finite: zero`" in message
    assert "v1.npz: row 1: 2 of 4 values are NaN or Inf" in message
    zeroed = made(tmp_path / "zero", files, non_finite="zero", **options)
    assert zeroed.info.quality == {"non_finite": 3, "non_finite_rows": 2}
    np.testing.assert_array_equal(zeroed.rows("v1"), np.where(np.isfinite(array), array, 0))
    assert np.isfinite(zeroed.row_norms).all()


def test_values_that_overflow_the_stored_type_are_non_finite(tmp_path):
    files = {"v1.npz": npz(np.array([[1, 2, 3, 1e6]], np.float32))}
    assert "row 0: 1 of 4 values" in screen(tmp_path, files, ["v1"], dtype="float16")


def damaged(content):
    at = content.index(b"\x93NUMPY") + 140
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


FAULTS = {
    "wrong width": ({"v1.npz": npz(rows(3, 5))}, "width", "v1.npz: 5 channels, expected 4"),
    "one dimension": ({"v1.npz": npz(rows(3)[0])}, "dimensions", "v1.npz: shape (4,)"),
    "other type": ({"v1.npz": npz(rows(3, dtype=np.float32))}, "dtype", "v1.npz: float32, most files have float16"),
    "truncated": ({"v1.npz": npz(rows(30))[:-40]}, "unreadable", "v1.npz: not a readable npz file"),
    "web page": ({"v1.npz": b"<html>Too many requests</html>"}, "unreadable", "v1.npz: no npz file, it begins with"),
    "empty file": ({"v1.npz": b""}, "unreadable", "v1.npz: no npz file, it is empty"),
    "flipped bit": ({"v1.npz": damaged(npz(rows(30)))}, "damaged", "v1.npz: the checksum of the array differs"),
    "other key": ({"v1.npz": npz(rows(3), "feat")}, "key", "v1.npz: no array 'features', the file has 'feat'"),
    "object array": ({"v1.npz": npz(np.array([None]))}, "not an array", "v1.npz: holds object values"),
    "twice": ({"again/v1.npz": npz(rows(3))}, "twice", "belongs to 'v1', as does again/v1.npz"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "line"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_each_fault_is_named_with_its_file_and_leaves_nothing(change, kind, line, packed, tmp_path):
    files = {**change, **{name: content for name, content in GOOD.items() if name not in change}}
    if packed:
        in_folder(tmp_path / "raw", {"x.tar": tar(files)})
    message = screen(tmp_path, {} if packed else files, files="x.tar" if packed else "clip")
    assert f"\n  {kind}: 1. " in message
    assert line in message


def test_all_faults_of_a_run_are_on_one_screen(tmp_path):
    files = {f"w{number:03d}.npz": npz(rows(3, 5)) for number in range(300)}
    files |= {"key.npz": npz(rows(3), "feat"), "nan.npz": npz(spoilt(np.nan)), "bits.npz": damaged(npz(rows(30)))}
    wanted = [name.removesuffix(".npz") for name in files] + [f"gone{number}" for number in range(50)]
    message = screen(tmp_path, files, sorted(wanted))
    assert message.startswith("clip: 353 faults in the published files; no store was written\n")
    for start in ("width: 300", "key: 1", "non-finite: 1", "damaged: 1", "missing: 50", "  ... and 295 more"):
        assert f"  {start}" in message
    assert len(message.splitlines()) < 30


def test_every_kind_of_fault_has_a_way_out():
    kinds = {kind for _, kind, _ in FAULTS.values()}
    assert kinds < WAYS_OUT.keys()


def test_names_from_outside_are_shown_on_one_line(tmp_path):
    files = {**GOOD, "line\nbreak\x1b[31m.npz": npz(rows(2)), f"{'long' * 60}.npz": npz(rows(2))}
    message = screen(tmp_path, files, extra="error")
    assert r"line\nbreak\x1b[31m.npz" in message
    assert "\x1b" not in message
    assert max(map(len, message.splitlines())) < 200


def test_nothing_to_read_says_what_there_is(tmp_path):
    assert "no file or folder 'nope'; there are clip" in screen(tmp_path, GOOD, files="nope")
    assert "6 files of ids that no sample has" in screen(tmp_path, {}, ["other"])
    assert "no file *.pt in it" in screen(tmp_path, {}, format="pt", key=None)


def test_a_refused_member_refuses_the_archive(tmp_path):
    buffer = io.BytesIO(tar(GOOD))
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        link = tarfile.TarInfo("link.npz")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    in_folder(tmp_path / "raw", {"x.tar": buffer.getvalue()})
    assert "link.npz: link or device" in screen(tmp_path, {}, files="x.tar")


def test_files_that_the_manifest_does_not_know_are_not_stored(tmp_path):
    listed = {f"clip/{name}": len(content) for name, content in GOOD.items()}
    check(made(tmp_path / "same", GOOD, listed=listed))
    message = screen(tmp_path / "other", {**GOOD, "new.npz": b""}, listed={**listed, "clip/v1.npz": 7})
    assert "not listed: 2. Files and manifest.json differ: run the fetch stage again." in message


def test_a_failed_build_leaves_an_older_store_alone(tmp_path):
    made(tmp_path, GOOD)
    before = digest(tmp_path / "clip.zarr")
    with pytest.raises(ConsolidationError):
        made(tmp_path, {"v1.npz": b"spoilt"})
    assert digest(tmp_path / "clip.zarr") == before


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "tar"])
def test_memory_holds_the_index_and_not_the_rows(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(zarr_format, "CHUNK_BYTES", 200_000)
    monkeypatch.setattr(build_module, "BYTES_PER_TASK", 100_000)
    peaks = []
    for count in (20, 400):
        files = {f"v{number:04d}.npz": npz(rows(50, 64)) for number in range(count)}
        wanted = [name.removesuffix(".npz") for name in files]
        in_folder(tmp_path / str(count) / "raw", {"x.tar": tar(files)} if packed else {})
        in_folder(tmp_path / str(count) / "raw" / "clip", {} if packed else files)
        del files
        tracemalloc.start()
        made(tmp_path / str(count), {}, wanted, width=64, files="x.tar" if packed else "clip")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    stored = 400 * 50 * 64 * 2
    assert peaks[1] - peaks[0] < stored / 2
