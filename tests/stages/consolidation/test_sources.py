import pytest

from stages.consolidation.faults import FaultError, Faults
from stages.consolidation.sources import Folder, Matching, compare_with_manifest, open_source, source_paths
from tests.stages.consolidation.publishing import in_folder


def test_a_folder_is_listed_with_its_sub_folders_in_one_order(tmp_path):
    in_folder(tmp_path / "clip", {"b.npz": b"12", "a/x.npz": b"1", "-a.npz": b""})
    source = open_source(tmp_path, "clip")
    assert isinstance(source, Folder)
    assert (source.names, source.sizes) == (("-a.npz", "a/x.npz", "b.npz"), (0, 1, 2))


def test_a_glob_finds_the_parts_of_one_archive(tmp_path):
    in_folder(tmp_path, {"iv2.tar.gz.aa": b"1", "iv2.tar.gz.ab": b"2", "other.tar": b"3"})
    source = open_source(tmp_path, "iv2.tar.gz.*")
    assert isinstance(source, list)
    (archive,) = source
    assert [part.name for part in archive.parts] == ["iv2.tar.gz.aa", "iv2.tar.gz.ab"]


def test_what_is_not_there_is_reported_with_what_is(tmp_path):
    in_folder(tmp_path, {"slowfast/a.npz": b"", "x.jsonl": b""})
    with pytest.raises(FaultError, match=r"no file or folder 'clip'; there are slowfast, x\.jsonl"):
        open_source(tmp_path, "clip")


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("v1.npz", "v1"),
        ("deep/er/v1.npz", "v1"),
        ("S1Xq6MbAao0_210.0_360.0.npz", "S1Xq6MbAao0_210.0_360.0"),
        ("-Oc6gSWB_HA_60.0_210.0.npz", "-Oc6gSWB_HA_60.0_210.0"),
        ("0001/5001.npz", "0001/5001"),
        ("train/0001/5001.npz", "0001/5001"),
        ("with blank .npz", "with blank "),
        ("日本.npz", "日本"),
        ("nobody.npz", None),
        ("v1.npz.npz", None),
        ("v1.npy", None),
        (".npz", None),
    ],
)
def test_the_annotated_ids_decide_what_a_file_belongs_to(name, item):
    wanted = {"v1", "S1Xq6MbAao0_210.0_360.0", "-Oc6gSWB_HA_60.0_210.0", "0001/5001", "5001", "with blank ", "日本"}
    assert Matching(wanted, ".npz").match(name) == item


def test_a_prefix_belongs_to_the_file_name_not_to_the_id():
    matching = Matching({"12", "qid12", "a/3"}, ".npz", "qid")
    assert matching.match("text/qid12.npz") == "12"
    assert matching.match("a/qid3.npz") == "a/3"
    assert matching.match("12.npz") is None
    assert matching.extra == ["12.npz"]


def test_two_files_of_one_id_are_a_fault_that_names_both():
    matching = Matching({"v1"}, ".npz")
    matching.match("a/v1.npz")
    with pytest.raises(FaultError, match=r"belongs to 'v1', as does a/v1\.npz"):
        matching.match("b/v1.npz")


def test_extra_files_are_counted_apart_from_other_files_and_get_ids_of_their_own():
    matching, faults = Matching({"v1"}, ".npz"), Faults()
    for name in ("x/y/v1.npz", "x/y/more/v2.npz", "x/y/v3.npz", "x/README.md", "x/.DS_Store"):
        matching.match(name)
    assert matching.foreign == 2
    assert matching.extra_ids(faults) == [("more/v2", "x/y/more/v2.npz"), ("v3", "x/y/v3.npz")]
    assert not faults


def test_extra_files_whose_names_cannot_be_ids_are_faults():
    matching, faults = Matching({"1"}, ".npz", "qid"), Faults()
    for name in ("qid1.npz", "7.npz", "qid\udcff.npz", "qid.npz", "qid2.npz"):
        matching.match(name)
    assert matching.extra_ids(faults) == [("2", "qid2.npz")]
    assert faults.counts == {"name": 3}


def test_files_and_manifest_must_agree(tmp_path):
    in_folder(tmp_path / "clip", {"same.npz": b"1", "grown.npz": b"12", "new.npz": b""})
    faults = Faults()
    listed = {"clip/same.npz": 1, "clip/grown.npz": 1, "clip/gone.npz": 5, "other/x.npz": 1}
    compare_with_manifest(open_source(tmp_path, "clip"), tmp_path, "clip", listed, faults)
    assert [(fault.where, fault.what) for fault in faults.examples["not listed"]] == [
        ("clip/gone.npz", "is in manifest.json, but not there"),
        ("clip/grown.npz", "2 bytes, manifest.json says 1"),
        ("clip/new.npz", "is there, but manifest.json does not list it"),
    ]


def test_parts_of_archives_must_agree_with_the_manifest_too(tmp_path):
    in_folder(tmp_path, {"f/x.tar.aa": b"1", "f/x.tar.ab": b"2"})
    faults = Faults()
    listed = {"f/x.tar.aa": 1, "f/x.tar.ab": 1, "f/x.tar.ac": 1, "f/deeper/x.tar.ad": 1}
    compare_with_manifest(open_source(tmp_path, "f/x.tar.*"), tmp_path, "f/x.tar.*", listed, faults)
    assert [fault.where for fault in faults.examples["not listed"]] == ["f/x.tar.ac"]


@pytest.mark.parametrize(
    ("files", "covered"),
    [
        ("clip", ["clip/a.npz", "clip/sub/b.npz"]),
        ("clip/", ["clip/a.npz", "clip/sub/b.npz"]),
        ("c*", ["clip/a.npz", "clip/sub/b.npz", "clips.tar"]),
        ("*.tar", ["clips.tar"]),
        (".", ["clip/a.npz", "clip/sub/b.npz", "clips.tar", "t.jsonl"]),
    ],
)
def test_paths_of_a_manifest_that_a_feature_covers(files, covered):
    assert source_paths(["t.jsonl", "clips.tar", "clip/sub/b.npz", "clip/a.npz"], files) == covered
