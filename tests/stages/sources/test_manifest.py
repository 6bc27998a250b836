"""The manifest: its bytes, what it remembers, what it refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sources.errors import FetchError
from stages.sources.manifest import FileRecord, Manifest, read_manifest

HUB = {"kind": "hub", "repository": "o/n", "type": "dataset", "revision": "main", "commit": "a" * 40}
OWN = {"kind": "file", "path": "copy"}
FILES = {"b.npz": FileRecord(2, "2" * 64, OWN), "a/ü.json": FileRecord(1, "1" * 64, HUB)}


def test_same_files_in_any_order_are_the_same_bytes(tmp_path):
    for name, files in (("one", FILES), ("two", dict(reversed(FILES.items())))):
        Manifest("demo", files).write(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_every_file_names_its_origin_by_position(tmp_path):
    Manifest("demo", FILES).write(tmp_path / "manifest.json")
    raw = json.loads((tmp_path / "manifest.json").read_text())
    assert (raw["schema_version"], raw["dataset"]) == (1, "demo")
    assert raw["origins"][raw["files"]["b.npz"]["origin"]] == OWN
    assert raw["files"]["a/ü.json"] == {"bytes": 1, "sha256": "1" * 64, "origin": raw["origins"].index(HUB)}


@given(st.dictionaries(st.text(), st.builds(FileRecord, st.integers(0), st.text(), st.sampled_from([HUB, OWN]))))
def test_reading_gives_back_what_was_written(tmp_path_factory, files):
    path = tmp_path_factory.mktemp("manifest") / "manifest.json"
    path.unlink(missing_ok=True)
    try:
        Manifest("demo", files).write(path)
    except UnicodeEncodeError:
        return
    assert read_manifest(path) == Manifest("demo", files)


def test_equal_manifest_is_not_written_again(tmp_path):
    path = tmp_path / "manifest.json"
    Manifest("demo", FILES).write(path)
    before = path.stat().st_mtime_ns, path.stat().st_ino
    Manifest("demo", FILES).write(path)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_commit_is_locked_for_the_revision_that_was_asked_for():
    manifest = Manifest("demo", FILES)
    assert manifest.locked_commit({**HUB, "commit": None}) == "a" * 40
    assert manifest.locked_commit({**HUB, "revision": "v2"}) is None
    assert manifest.of_origin(HUB) == {"a/ü.json": FILES["a/ü.json"]}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"schema_version": 1}', '{"schema_version": 9}', '{"schema_version": 1, "files": 3}']
)
def test_anything_else_is_refused_with_the_way_out(tmp_path, text):
    path = tmp_path / "manifest.json"
    path.write_text(text)
    with pytest.raises(FetchError, match=r"manifest\.json: .*delete it and fetch again"):
        read_manifest(path)
