"""Known attacks by name: bombs, escapes from the folder, links, tags, numbers that are none, headers that promise the moon."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zipfile
from functools import partial

import h5py
import numpy as np
import pytest
import yaml

from stages.consolidation import arrays, hdf5
from stages.consolidation.archives import Archive
from stages.consolidation.faults import Fault, FaultError
from stages.params import ParamsError, load_params
from stages.sources.names import UnsafeNameError, checked_name
from tests.faults.artefact_parsers import small_params
from tests.faults.guard import Guard
from tests.faults.parsers import PARSERS
from tests.stages.consolidation.publishing import npy, npz, tar, zipped

ROWS = np.ones((3, 4), np.float32)
SMALL = 256 << 20  # bytes of memory that reading any of these may take beyond what the process has
GIGA = 10**9


def members(path):
    return [member if isinstance(member, Fault) else member.read() for member in Archive([path]).members()]


def read(tmp_path, name, content, allowed=()):
    parser = PARSERS[name]
    for other, whole in parser.beside.items():
        (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / other).write_bytes(whole)
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Guard(tmp_path, memory=SMALL).run(lambda: parser.read(path), allowed or parser.errors)


# ---- bombs --------------------------------------------------------------------------------------------------------------------


def packed_zeros(size):
    """A deflate stream of `size` zeros, made without that much memory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npz", "w", force_zip64=True) as member:
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return out.getvalue()


def test_a_zip_bomb_is_refused_by_its_size_before_it_is_unpacked(tmp_path):
    (tmp_path / "x.zip").write_bytes(packed_zeros(3 << 30))
    (found,) = Guard(tmp_path, memory=SMALL).run_for(lambda: members(tmp_path / "x.zip"))
    assert (found.kind, found.what) == ("unsafe member", f"{3 << 30} bytes")


def test_a_zip_whose_index_lies_about_the_size_is_read_no_further_than_it_says(tmp_path):
    honest = packed_zeros(64 << 20)
    lying = honest.replace(struct.pack("<Q", 64 << 20), struct.pack("<Q", 10)).replace(
        struct.pack("<I", 64 << 20), struct.pack("<I", 10)
    )
    assert isinstance(read(tmp_path, "x.zip", lying), FaultError | None)


def test_a_tar_bomb_in_gzip_is_refused_by_its_size(tmp_path):
    entry = tarfile.TarInfo("bomb.npz")
    entry.size = 50 << 30
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(entry.tobuf() + bytes(1 << 20)))
    error = Guard(tmp_path, memory=SMALL).run(lambda: members(tmp_path / "x.tar.gz"), (FaultError,))
    assert error is not None


def test_a_gzip_of_gigabytes_of_blanks_is_not_kept_in_memory(tmp_path):
    """512 MiB of zeros behind a good archive: read through, block by block, and refused as nothing that belongs there."""
    data = tar({"a.npz": npz(ROWS)})
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as stream:
        stream.write(data)
        for _ in range(512):
            stream.write(bytes(1 << 20))
    assert read(tmp_path, "x.tar.gz", out.getvalue()) is None  # zeros are what a tar may end with; memory is what counts


def test_an_npz_that_unpacks_to_more_than_it_says_is_damaged(tmp_path):
    bomb = zipped({"features.npy": npy(np.zeros((1000, 4), np.float32)) + bytes(200 << 20)})
    assert "bytes" in str(read(tmp_path, "x.npz", bomb))


@pytest.mark.parametrize("name", ["epoch_9.pth", "own.pt", "x.pt"])
def test_a_packed_torch_file_is_refused(name, tmp_path):
    bomb = zipped({"archive/data.pkl": bytes(900 << 20), "archive/version": b"3\n"})
    assert read(tmp_path, name, bomb) is not None


def test_yaml_that_refers_to_itself_a_billion_times_is_refused_in_time(tmp_path):
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert isinstance(read(tmp_path, "params.yaml", "\n".join(lines).encode()), ParamsError)
    circle = b"runs: &a {x: *a}\nworlds: {}\n"
    assert isinstance(read(tmp_path, "params.yaml", circle), ParamsError)


# ---- paths --------------------------------------------------------------------------------------------------------------------

OUTSIDE = ["/etc/cron.d/x", "../x.npz", "a/../../x.npz", "a\\..\\x.npz", "C:/x.npz", "a\nb.npz"]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("pack", [tar, partial(tar, mode="w:gz"), zipped], ids=["tar", "tar.gz", "zip"])
def test_a_member_that_leads_outside_is_refused_by_name(name, pack, tmp_path):
    (tmp_path / "x").write_bytes(pack({name: npz(ROWS), "good.npz": npz(ROWS)}))
    found = Guard(tmp_path).run_for(lambda: members(tmp_path / "x"))
    assert [one.kind if isinstance(one, Fault) else "read" for one in found] == ["unsafe member", "read"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind, tmp_path):
    entry = tarfile.TarInfo("a.npz")
    entry.type, entry.linkname = kind, "/etc/passwd"
    (tmp_path / "x.tar").write_bytes(entry.tobuf() + tar({"good.npz": npz(ROWS)}))
    first, second = Guard(tmp_path).run_for(lambda: members(tmp_path / "x.tar"))
    assert (first.kind, first.what, type(second)) == ("unsafe member", "link or device", bytes)


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("a.npz")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    (found,) = members(tmp_path / "x.zip")
    assert (found.kind, found.what) == ("unsafe member", "link or device")


@pytest.mark.parametrize("name", [*OUTSIDE, "", ".", "a//b", "a/./b", "\u202etxt.npz", "a\x00b", "x" * 256, "\ud800"])
def test_a_published_name_that_leads_outside_never_becomes_a_path(name):
    with pytest.raises(UnsafeNameError):
        checked_name(name)


# ---- HDF5 ---------------------------------------------------------------------------------------------------------------------


def located(path):
    return dict(hdf5.located(path, None))


def test_links_to_other_places_in_hdf5_are_refused(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["rows"] = ROWS
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["good"] = ROWS
        file["external"] = h5py.ExternalLink(str(secret), "/rows")
        file["soft"] = h5py.SoftLink("/good")
        layout = h5py.VirtualLayout(ROWS.shape, ROWS.dtype)
        layout[:] = h5py.VirtualSource(str(secret), "rows", ROWS.shape)
        file.create_virtual_dataset("virtual", layout)
        (tmp_path / "raw").write_bytes(ROWS.tobytes())
        file.create_dataset("outside", ROWS.shape, ROWS.dtype, external=[(str(tmp_path / "raw"), 0, ROWS.nbytes)])
    found = located(tmp_path / "x.h5")
    assert isinstance(found.pop("good"), arrays.Array)
    assert {name: one.kind for name, one in found.items()} == dict.fromkeys(
        ("external", "soft", "virtual", "outside"), "unsafe member"
    )


def test_an_hdf5_file_that_promises_rows_it_does_not_hold_is_refused(tmp_path):
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file.create_dataset("empty", (GIGA, 4), np.float32)  # nothing is written: HDF5 would make up the zeros
        file.create_dataset("chunked", (GIGA // 8, 1), np.float32, chunks=(1000, 1))
    found = located(tmp_path / "flat.h5")
    assert {name: type(one) for name, one in found.items()} == {"empty": Fault, "chunked": Fault}


# ---- headers that promise the moon, numbers that are none, tags ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "own.npy", "own.npz", "dictionary.npz", "described.npz", "graphs.npz"])
@pytest.mark.parametrize("shape", [(GIGA, 4), (4, GIGA), (GIGA, GIGA), (-1, 4), (2**63, 2), (1 << 70, 1), (0, GIGA)])
def test_a_header_that_claims_a_billion_rows_costs_no_memory(name, shape, tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_2_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    content = buffer.getvalue() + ROWS.tobytes()
    key = {"dictionary.npz": "mean_pool_c", "graphs.npz": "k_center"}.get(name, "features")
    refused = read(tmp_path, name, content if name.endswith("npy") else zipped({f"{key}.npy": content}))
    assert refused is not None or shape == (0, GIGA)


def test_a_store_that_claims_a_billion_rows_is_refused(tmp_path):
    parser = PARSERS["clip.zarr/zarr.json"]
    document = json.loads(parser.seeds[0].content)
    document["attributes"] |= {"rows": GIGA, "items": GIGA}
    assert read(tmp_path, "clip.zarr/zarr.json", json.dumps(document).encode()) is not None


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000, b"9" * 400, b"-" + b"9" * 400])
@pytest.mark.parametrize(
    ("name", "old"),
    [
        ("charades_sta/annotations/charades_sta_train_tvr_format.jsonl", b"20.5"),
        ("qvhighlights/predictions", b"0.9"),
        ("qvhighlights/ground_truth", b"20.5"),
        ("nextgqa/ground_truth", b"20,"),
        ("ccr_localisation/predictions", b"1.5"),
        ("vidvrd/predictions", b"0.5"),
        ("vidvrd/annotations/train/v1.json", b"30.0"),
    ],
)
def test_what_is_no_finite_number_is_refused(name, old, number, tmp_path):
    content = PARSERS[name].seeds[0].content
    assert old in content
    new = number + (b"," if old.endswith(b",") else b"")
    assert read(tmp_path, name, content.replace(old, new, 1)) is not None


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch canary']",
        "!!python/object/new:subprocess.Popen [['touch', 'canary']]",
        "!!python/name:os.system",
        "!!python/module:antigravity",
        "!!python/tuple [1]",
        "!!binary aGVsbG8=",
        "!custom x",
    ],
)
def test_a_yaml_tag_makes_nothing(tag, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = yaml.safe_dump(small_params()) + f"extra: {tag}\n"
    assert isinstance(read(tmp_path, "params.yaml", text.encode()), ParamsError)
    assert not (tmp_path / "canary").exists()


def test_a_word_of_megabytes_in_a_torch_file_does_not_keep_its_reader_busy(tmp_path):
    """PyTorch searches its own messages, with the word in them, by patterns that take quadratic time."""
    program = b"\x80\x02c" + b"A" * 300_000 + b"\nx\n."
    assert read(tmp_path, "epoch_9.pth", zipped({"archive/data.pkl": program}, zipfile.ZIP_STORED)) is not None


def test_params_are_read_as_they_stand(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(small_params()))
    assert load_params(tmp_path / "params.yaml").runs
