"""The published formats, byte for byte the same every time, readable by the ordinary readers."""

import gzip
import hashlib
import io
import json
import tarfile

import numpy as np
import pytest
import torch

from stages.worlds.settings import WorldError
from stages.worlds.upstream import FeatureFiles, check_file_name, npz_bytes, pt_bytes, write_lines

FILES = {"a.npz": b"first", "b-c.d.npz": b"", "ü.npz": bytes(range(256)) * 60}


def write(root, packing, part_bytes=None, path="features/Charades/clip"):
    with FeatureFiles(root, path, packing, part_bytes) as files:
        for name, data in FILES.items():
            files.add(name, data)
    return files.written()


def on_disk(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def members(data, mode):
    with tarfile.open(fileobj=io.BytesIO(data), mode=mode) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_files_lie_in_their_folder(tmp_path):
    written = write(tmp_path, "files")
    assert on_disk(tmp_path) == {f"features/Charades/clip/{name}": data for name, data in FILES.items()}
    assert (written.files, written.bytes) == (3, sum(map(len, FILES.values())))


@pytest.mark.parametrize(("packing", "mode"), [("tar", "r:"), ("tar.gz", "r:gz")])
def test_an_archive_holds_the_files_below_the_last_folder(tmp_path, packing, mode):
    write(tmp_path, packing)
    (path, data), *rest = on_disk(tmp_path).items()
    assert path == f"features/Charades/clip.{packing}"
    assert not rest
    assert members(data, mode) == {f"clip/{name}": content for name, content in FILES.items()}


@pytest.mark.parametrize("packing", ["files", "tar", "tar.gz"])
def test_the_same_files_give_the_same_bytes_and_the_digests_are_those_of_the_disk(tmp_path, packing):
    write(tmp_path / "one", packing)
    written = write(tmp_path / "two", packing)
    assert on_disk(tmp_path / "one") == on_disk(tmp_path / "two")
    assert written.sha256 == {
        tmp_path / "two" / path: hashlib.sha256(data).hexdigest() for path, data in on_disk(tmp_path / "two").items()
    }


def test_archives_carry_no_clock_no_user_and_no_name(tmp_path):
    write(tmp_path, "tar.gz")
    data = (tmp_path / "features/Charades/clip.tar.gz").read_bytes()
    assert data[4:8] == b"\0\0\0\0"
    assert data[3] == 0
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in tar} == {(0, 0, 0, "", "", 0o644)}


def test_parts_together_are_the_archive_and_each_but_the_last_is_full(tmp_path):
    write(tmp_path / "whole", "tar.gz")
    written = write(tmp_path / "parts", "tar.gz", part_bytes=100)
    whole = next(iter(on_disk(tmp_path / "whole").values()))
    parts = on_disk(tmp_path / "parts")
    assert list(parts)[:2] == ["features/Charades/clip.tar.gz.aa", "features/Charades/clip.tar.gz.ab"]
    assert b"".join(parts.values()) == whole
    assert {len(part) for part in list(parts.values())[:-1]} == {100}
    assert len(written.sha256) == len(parts)


def test_too_many_parts_are_refused(tmp_path):
    with pytest.raises(WorldError, match="more than 676 parts of 3 bytes; make part_bytes larger"):
        write(tmp_path, "tar", part_bytes=3)


def fail_after_one_file(root, packing):
    with FeatureFiles(root, "clip", packing) as files:
        files.add("a", b"1")
        raise ZeroDivisionError


@pytest.mark.parametrize("packing", ["files", "tar", "tar.gz"])
def test_an_error_in_the_block_is_the_one_that_surfaces(tmp_path, packing):
    with pytest.raises(ZeroDivisionError):
        fail_after_one_file(tmp_path, packing)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "x" * 256])
def test_ids_that_cannot_be_file_names_are_refused(name):
    with pytest.raises(WorldError, match="cannot be a file name"):
        check_file_name(name)


def test_npz_and_pt_hold_what_they_were_given_and_repeat_their_bytes():
    values = np.arange(12, dtype=np.float16).reshape(3, 4)
    npz, pt = npz_bytes({"features": values}), pt_bytes(values)
    assert npz == npz_bytes({"features": values})
    assert pt == pt_bytes(values)
    with np.load(io.BytesIO(npz), allow_pickle=False) as archive:
        assert list(archive) == ["features"]
        np.testing.assert_array_equal(archive["features"], values)
    tensor = torch.load(io.BytesIO(pt), weights_only=True)
    assert tensor.dtype == torch.float16
    np.testing.assert_array_equal(tensor.numpy(), values)


def test_lines_keep_the_order_of_keys_and_any_text(tmp_path):
    records = [{"qid": 1, "query": "a\nb ü"}, {"vid": "x", "qid": 2}]
    assert write_lines(tmp_path / "deep" / "a.jsonl", records) == 2
    lines = (tmp_path / "deep" / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [list(json.loads(line)) for line in lines] == [["qid", "query"], ["vid", "qid"]]
    assert json.loads(lines[0]) == records[0]
