"""The user's own copy: files, folders, .gz, links, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from stages.sources.errors import FetchError
from stages.sources.ledger import Ledger
from stages.sources.settings import File, Mirror, SourceEntry, Url
from tests.shared import SHARED, needs
from tests.stages.sources.hub_files import BIG, contents

DATA = SHARED / "data"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own copy"
    (folder / "features/clip").mkdir(parents=True)
    (folder / "features/clip/a.npz").write_bytes(BIG)
    (folder / "features/clip/ü, with blank.npz").write_bytes(b"b")
    (folder / "train.jsonl").write_bytes(b"{}\n")
    return folder


def source(path: Path, into: str = ".", *, link: bool = False, **stated: Any) -> SourceEntry:
    return SourceEntry(into=into, mirrors=(Mirror(file=File(path=str(path), link=link)),), **stated)


def test_folder_is_copied_whole(own, fetched, out):
    fetched(source(own))
    assert contents(out) == {"features/clip/a.npz": BIG, "features/clip/ü, with blank.npz": b"b", "train.jsonl": b"{}\n"}
    assert (out / "train.jsonl").stat().st_nlink == 1


def test_second_fetch_copies_nothing(own, fetched, out):
    fetched(source(own))
    before = (out / "features/clip/a.npz").stat().st_mtime_ns
    assert fetched(source(own)).fetched == 0
    assert (out / "features/clip/a.npz").stat().st_mtime_ns == before


def test_compressed_file_is_taken_for_the_named_one(own, fetched, out):
    (own / "test.jsonl.gz").write_bytes(gzip.compress(BIG))
    digest = hashlib.sha256(BIG).hexdigest()
    fetched(source(own / "test.jsonl", "test.jsonl", sha256=digest, bytes=len(BIG)))
    assert contents(out) == {"test.jsonl": BIG}
    assert fetched(source(own / "test.jsonl", "test.jsonl", sha256=digest)).fetched == 0


def test_damaged_compressed_file_is_named(own, fetched, out):
    (own / "test.jsonl.gz").write_bytes(gzip.compress(BIG)[:-100])
    with pytest.raises(FetchError, match=r"test\.jsonl\.gz is not a whole gzip file"):
        fetched(source(own / "test.jsonl", "test.jsonl"))
    assert contents(out) == {}


def test_other_content_than_stated_is_refused(own, fetched, out):
    with pytest.raises(FetchError, match=rf"train\.jsonl has sha256 \w{{64}}, expected {'0' * 64}"):
        fetched(source(own / "train.jsonl", "train.jsonl", sha256="0" * 64))
    assert contents(out) == {}


def test_digest_of_a_folder_is_refused(own, fetched):
    with pytest.raises(FetchError, match=r"holds 3 files, but params\.yaml states sha256 or bytes of a single one"):
        fetched(source(own, sha256="0" * 64))


def test_links_share_the_disk_space(own, fetched, out):
    fetched(source(own, link=True))
    assert (out / "train.jsonl").samefile(own / "train.jsonl")
    assert contents(out)["features/clip/a.npz"] == BIG


def test_link_that_a_killed_fetch_left_is_never_written_to(own, fetched, out, hub):
    """Both mirrors state the same digest, so that their half-done files have the same name."""
    content, digest = b"{}\n", hashlib.sha256(b"{}\n").hexdigest()
    (hub.root / "files").mkdir(exist_ok=True)
    (hub.root / "files/train.jsonl").write_bytes(content)
    mirror = Mirror(url=Url(url=f"{hub.endpoint}/files/train.jsonl"))
    entry = SourceEntry(into="train.jsonl", sha256=digest, mirrors=(mirror,))
    ledger = Ledger(out, "demo")
    (own / "train.jsonl").write_bytes(b"{")  # the user's copy, by now another version
    os.link(own / "train.jsonl", ledger.partial("train.jsonl", digest))
    ledger.release()
    fetched(entry)
    assert contents(out) == {"train.jsonl": content}
    assert (own / "train.jsonl").read_bytes() == b"{"


def test_compressed_file_longer_than_stated_is_not_unpacked_to_its_end(own, fetched, out):
    (own / "bomb.json.gz").write_bytes(gzip.compress(bytes(20_000_000)))
    with pytest.raises(FetchError, match=r"bomb\.json\.gz holds more than the expected 1,000 bytes"):
        fetched(source(own / "bomb.json", "bomb.json", bytes=1000))
    assert max(path.stat().st_size for path in (out / ".fetch/partial").iterdir()) < 5_000_000


def test_missing_copy_says_where_it_was_looked_for(own, fetched):
    with pytest.raises(FetchError, match=r"missing\.jsonl is not there, nor missing\.jsonl\.gz \(relative paths start at "):
        fetched(source(own / "missing.jsonl", "missing.jsonl"))


def test_all_missing_copies_are_named_at_once_and_a_folder_is_not_asked_for_compressed(own, fetched):
    with pytest.raises(FetchError) as caught:
        fetched(source(own / "features/clip", "clip"), source(own / "train", "annotations"), source(own / "words", "words"))
    text = str(caught.value)
    assert text.count("could not be fetched") == 2
    assert f"{own / 'train'} is not there (relative paths start at " in text
    assert f"{own / 'words'} is not there (relative paths start at " in text


def test_empty_folder_is_refused(tmp_path, fetched):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FetchError, match="is an empty folder"):
        fetched(source(tmp_path / "empty"))


def test_pipe_in_the_folder_is_refused_without_reading_it(own, fetched, out):
    os.mkfifo(own / "pipe")
    with pytest.raises(FetchError, match="pipe is neither a file nor a folder"):
        fetched(source(own))
    assert contents(out) == {}


def test_linked_folders_are_followed_but_not_in_circles(own, fetched, out):
    (own / "more").symlink_to(own / "features/clip")
    fetched(source(own))
    assert contents(out)["more/a.npz"] == BIG
    (own / "features/circle").symlink_to(own)
    with pytest.raises(FetchError, match="circle is a link to a folder that contains it"):
        fetched(source(own))


def test_copy_that_contains_the_target_is_refused(fetched, out):
    out.mkdir(parents=True)
    (out.parent / "file").write_bytes(b"")
    with pytest.raises(FetchError, match="lie in each other"):
        fetched(source(out.parent))


def test_changed_copy_is_refused_with_both_digests(own, fetched, out):
    fetched(source(own))
    (own / "train.jsonl").write_bytes(b"[]\n")
    with pytest.raises(
        FetchError, match=r"train\.jsonl has changed: manifest\.json has sha256 \w{64} .* now gives \w{64} .*--accept-changes"
    ):
        fetched(source(own))
    assert contents(out)["train.jsonl"] == b"{}\n"
    fetched(source(own), accept_changes=True)
    assert contents(out)["train.jsonl"] == b"[]\n"


def test_folder_that_is_built_before_the_fetch_may_change(own, fetched, out):
    fetched(source(own / "features"), built=own)
    (own / "features/clip/a.npz").write_bytes(b"rebuilt")
    (own / "features/clip/ü, with blank.npz").unlink()
    done = fetched(source(own / "features"), built=own)
    assert contents(out) == {"clip/a.npz": b"rebuilt"}
    assert (done.fetched, done.removed) == (1, 1)


def test_name_that_is_not_utf8_is_refused(own, fetched, out):
    (own / os.fsdecode(b"caf\xe9.npz")).write_bytes(b"latin-1")
    with pytest.raises(
        FetchError, match=r"lists a file named 'caf\\udce9\.npz', which is not safe to write: it is not valid UTF-8"
    ):
        fetched(source(own))
    assert contents(out) == {}


@pytest.mark.shared
@needs(DATA)
def test_every_real_annotation_file_is_taken_from_its_gz_with_the_digest_of_the_uncompressed_one(fetched, out):
    files = json.loads((DATA / "MANIFEST.json").read_text())["files"]
    entries = []
    for known in files:
        name = known["file"].removesuffix(".gz")
        mirror = Mirror(file=File(path=str(DATA / name)))
        entries.append(SourceEntry(into=name, sha256=known["sha256"], bytes=known["bytes"], mirrors=(mirror,)))
    done = fetched(*entries)
    assert (done.files, done.bytes) == (len(files), sum(known["bytes"] for known in files))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_named(own, fetched):
    (own / "train.jsonl").chmod(0)
    with pytest.raises(FetchError, match=r"train\.jsonl cannot be read \(Permission denied\)"):
        fetched(source(own))
