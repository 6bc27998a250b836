import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from stages.consolidation.archives import Archive, Member, ordered_parts
from stages.consolidation.faults import Fault, FaultError
from tests.stages.consolidation.publishing import in_folder, tar, zipped

FILES = {f"deep/clip/v{number}.npz": bytes([number]) * (1000 + number) for number in range(20)}


def read(*paths):
    """name -> bytes of every member, and the faults."""
    members, faults = {}, []
    for member in Archive(paths).members():
        if isinstance(member, Member):
            members[member.name] = member.read()
        else:
            faults.append(member)
    return members, faults


@pytest.mark.parametrize("content", [tar(FILES), tar(FILES, "w:gz"), zipped(FILES), zipped(FILES, zipfile.ZIP_STORED)])
def test_members_are_read_in_place(content, tmp_path):
    (tmp_path / "a").write_bytes(content)
    assert read(tmp_path / "a") == (FILES, [])
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


@pytest.mark.parametrize("content", [tar(FILES), tar(FILES, "w:gz"), zipped(FILES)], ids=["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("size", [1, 700, 5000])
def test_split_parts_are_read_as_one(content, size, tmp_path):
    size = max(size, len(content) // 25)
    starts = range(0, len(content), size)
    parts = [tmp_path / f"x.tar.gz.{chr(97 + number // 26)}{chr(97 + number % 26)}" for number, _ in enumerate(starts)]
    for part, start in zip(parts, starts, strict=True):
        part.write_bytes(content[start : start + size])
    (together,) = ordered_parts(parts[::-1])
    assert together == parts
    assert read(*together) == (FILES, [])


def test_members_that_are_not_asked_for_are_not_kept_in_memory(tmp_path):
    (tmp_path / "a").write_bytes(tar(FILES))
    wanted = [
        member.read() for member in Archive([tmp_path / "a"]).members() if isinstance(member, Member) and member.name[-5] == "7"
    ]
    assert len(wanted) == 2


def test_how_far_an_archive_is_read_is_known(tmp_path):
    (tmp_path / "a").write_bytes(tar({str(number): bytes(300_000) for number in range(20)}))
    archive = Archive([tmp_path / "a"])
    seen = []
    for member in archive.members():
        assert isinstance(member, Member)
        member.read()
        seen.append(archive.consumed)
    assert seen == sorted(seen)
    assert 0 < seen[3] < archive.size == archive.consumed


def special_tar(**fields):
    """A tar of one plain file and one member with the given fields."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("plain.npz")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
        entry = tarfile.TarInfo(fields.pop("name", "odd.npz"))
        for name, value in fields.items():
            setattr(entry, name, value)
        archive.addfile(entry)
    return buffer.getvalue()


UNSAFE = {
    "absolute": (special_tar(name="/etc/passwd.npz"), "absolute path"),
    "parent": (special_tar(name="a/../../b.npz"), "'..'"),
    "backslash": (special_tar(name="a\\b.npz"), "backslash"),
    "drive": (special_tar(name="C:b.npz"), "absolute path or backslash"),
    "line break": (special_tar(name="a\nb.npz"), "control character"),
    "symbolic link": (special_tar(type=tarfile.SYMTYPE, linkname="/etc/passwd"), "link or device"),
    "hard link": (special_tar(type=tarfile.LNKTYPE, linkname="plain.npz"), "link or device"),
    "device": (special_tar(type=tarfile.CHRTYPE), "link or device"),
    "pipe": (special_tar(type=tarfile.FIFOTYPE), "link or device"),
    "zip absolute": (zipped({"plain.npz": b"abc", "/etc/passwd.npz": b""}), "absolute path"),
    "zip parent": (zipped({"plain.npz": b"abc", "../x.npz": b""}), "'..'"),
}


@pytest.mark.parametrize(("content", "what"), UNSAFE.values(), ids=UNSAFE)
def test_unsafe_members_are_refused_by_name(content, what, tmp_path):
    (tmp_path / "a").write_bytes(content)
    members, (fault,) = read(tmp_path / "a")
    assert members == {"plain.npz": b"abc"}
    assert fault.kind == "unsafe member"
    assert what in fault.what


def test_a_link_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        entry = zipfile.ZipInfo("link.npz")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    assert read(tmp_path / "a") == ({}, [Fault("unsafe member", "link.npz", "link or device")])


def test_an_absurd_size_is_refused_before_anything_is_read(tmp_path):
    entry = tarfile.TarInfo("vast.npz")
    entry.size = 1 << 45
    (tmp_path / "a").write_bytes(entry.tobuf())
    faults = []
    with pytest.raises(FaultError, match="cut short"):
        faults += [member for member in Archive([tmp_path / "a"]).members() if isinstance(member, Fault)]


def test_an_extended_header_of_gigabytes_is_not_read_into_memory(tmp_path):
    entry = tarfile.TarInfo("././@PaxHeader")
    entry.type, entry.size = tarfile.XHDTYPE, 1 << 33
    (tmp_path / "a").write_bytes(entry.tobuf(format=tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(FaultError, match="an extended header of 8589934592 bytes"):
        read(tmp_path / "a")


def damaged(content, at):
    return content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


PLAIN, PACKED, ZIPPED = tar(FILES), tar(FILES, "w:gz"), zipped(FILES, zipfile.ZIP_STORED)
BROKEN = {
    "empty": b"",
    "no archive": b"hello" * 1000,
    "half a tar": PLAIN[: len(PLAIN) // 2],
    "tar cut between two members": PLAIN[: PLAIN.index(b"deep/clip/v9.npz")],
    "tar with a broken header": damaged(PLAIN, PLAIN.index(b"deep/clip/v9.npz")),
    "tar with something behind": PLAIN + b"abc",
    "half a tar.gz": PACKED[: len(PACKED) // 2],
    "tar.gz without its last bytes": PACKED[:-4],
    "tar.gz with a flipped bit": damaged(PACKED, len(PACKED) - 6),
    "half a zip": ZIPPED[: len(ZIPPED) // 2],
    "tar.gz of nothing": gzip.compress(b""),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_archive_never_passes_for_a_shorter_one(content, tmp_path):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FaultError) as caught:
        read(tmp_path / "a")
    assert caught.value.kind == "archive"


def test_a_damaged_zip_member_is_a_fault_of_that_member(tmp_path):
    (tmp_path / "a").write_bytes(damaged(ZIPPED, ZIPPED.index(bytes([7]) * 500)))
    with pytest.raises(FaultError, match=r"cannot be unpacked .*v7\.npz") as caught:
        read(tmp_path / "a")
    assert caught.value.kind == "damaged"


def test_a_zip_member_that_claims_more_bytes_than_there_are_is_refused_before_they_are_asked_for(tmp_path):
    content = bytearray(zipped({"a.npy": b"rows"}))
    packed = content.rindex(b"PK\1\2") + 20
    content[packed : packed + 4] = (1 << 30).to_bytes(4, "little")
    (tmp_path / "a").write_bytes(content)
    members, (fault,) = read(tmp_path / "a")
    assert members == {}
    assert (fault.kind, fault.where) == ("damaged", "a.npy")


def test_parts_are_ordered_by_label_and_archives_stand_alone(tmp_path):
    names = [
        "x.part10",
        "x.part2",
        *(f"x.part{number}" for number in (1, 3, 4, 5, 6, 7, 8, 9)),
        "y.tar.gz.ab",
        "y.tar.gz.aa",
        "b.tar",
        "a.zip",
    ]
    in_folder(tmp_path, dict.fromkeys(names, b""))
    found = [[path.name for path in parts] for parts in ordered_parts([tmp_path / name for name in names])]
    assert found == [["a.zip"], ["b.tar"], [f"x.part{number}" for number in range(1, 11)], ["y.tar.gz.aa", "y.tar.gz.ab"]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["x.tar.gz.aa", "x.tar.gz.ac"], "a part is missing, there are aa, ac"),
        (["x.tar.gz.ab"], "a part is missing, there are ab"),
        (["x.part1", "x.part3"], "a part is missing"),
        (["x.npz"], "expected a folder, .zip"),
    ],
)
def test_gaps_between_parts_and_other_files_are_refused(names, message, tmp_path):
    with pytest.raises(FaultError, match=message):
        ordered_parts([tmp_path / name for name in names])
