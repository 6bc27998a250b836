"""The state of a folder in change: what a process finds that was left by a killed one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.sources.errors import FetchError
from stages.sources.ledger import Ledger
from stages.sources.manifest import FileRecord

ORIGIN = {"kind": "file", "path": "copy"}
OLD, NEW = FileRecord(3, "0" * 64, ORIGIN), FileRecord(3, "1" * 64, ORIGIN)


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """A folder with one file and its manifest."""
    ledger = Ledger(tmp_path, "demo")
    put(ledger, "sub/a.json", b"old", OLD)
    ledger.finish({"sub/a.json": OLD})
    return tmp_path


def put(ledger: Ledger, target: str, content: bytes, record: FileRecord) -> None:
    partial = ledger.partial(target, record.sha256)
    partial.write_bytes(content)
    ledger.place(partial, target, record)


def test_finished_folder_holds_the_files_and_the_manifest_only(complete):
    assert sorted(path.relative_to(complete).as_posix() for path in complete.rglob("*") if path.is_file()) == [
        "manifest.json",
        "sub/a.json",
    ]


def test_manifest_steps_aside_before_the_first_change_and_stays_the_lock(complete):
    ledger = Ledger(complete, "demo")
    assert (complete / "manifest.json").exists()
    put(ledger, "sub/a.json", b"new", NEW)
    assert not (complete / "manifest.json").exists()
    ledger.release()  # as if killed here
    after = Ledger(complete, "demo")
    assert after.previous is not None
    assert after.previous.files == {"sub/a.json": OLD}
    assert after.known("sub/a.json") == NEW


def test_journal_that_was_cut_off_in_its_last_line_is_read_up_to_there(complete):
    ledger = Ledger(complete, "demo")
    put(ledger, "sub/a.json", b"new", NEW)
    put(ledger, "b.json", b"new", NEW)
    ledger.release()
    journal = complete / ".fetch/placed.jsonl"
    journal.write_text(journal.read_text()[:-20])
    assert set(Ledger(complete, "demo").placed) == {"sub/a.json"}


def test_versions_of_one_file_grow_apart(tmp_path):
    ledger = Ledger(tmp_path, "demo")
    assert ledger.partial("a", "1") == ledger.partial("a", "1")
    assert len({ledger.partial("a", "1"), ledger.partial("a", "2"), ledger.partial("b", "1"), ledger.partial("a", None)}) == 4


def test_removal_takes_empty_folders_with_it_and_no_others(complete):
    ledger = Ledger(complete, "demo")
    put(ledger, "sub/deep/b.json", b"new", NEW)
    ledger.remove("sub/deep/b.json")
    assert not (complete / "sub/deep").exists()
    assert (complete / "sub/a.json").exists()


def test_two_processes_do_not_share_a_folder(tmp_path):
    first = Ledger(tmp_path, "demo")
    with pytest.raises(FetchError, match="another fetch is at work here"):
        Ledger(tmp_path, "demo")
    first.release()
    Ledger(tmp_path, "demo").release()
