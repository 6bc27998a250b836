"""The folder data/raw/<dataset>/ while it changes: what was there, what has been placed, what is half done.

All of it is in `.fetch/` below the folder, and goes when the fetch is complete:
    previous.json   the manifest of the last complete fetch: moved here before the first file changes, so that no manifest ever
                    describes a folder in change, and still the lock if this fetch is interrupted
    placed.jsonl    files that were verified and put in place since then
    partial/        files on the way
    busy            locked by the process at work
A process that is killed at any moment leaves a folder from which the next one goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import threading
from pathlib import Path

from stages.sources.errors import FetchError
from stages.sources.manifest import NAME, FileRecord, Manifest, read_manifest

WORK = ".fetch"


class Ledger:
    """State of one dataset's folder. Methods may be called from several threads."""

    def __init__(self, out: Path, dataset: str) -> None:
        self.out, self.dataset = out, dataset
        self.work = out / WORK
        (self.work / "partial").mkdir(parents=True, exist_ok=True)
        self._busy = (self.work / "busy").open("w")
        try:
            fcntl.flock(self._busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._busy.close()
            raise FetchError(f"{out}: another fetch is at work here; wait for it or stop it") from None
        self._previous, self._journal = self.work / "previous.json", self.work / "placed.jsonl"
        self.count = 0  # files placed by this process
        self._mutex = threading.Lock()
        self._parents: set[Path] = set()
        self.previous = self._read_previous()
        self.placed = self._read_journal()

    def known(self, target: str) -> FileRecord | None:
        """What this folder should have at `target`, from an interrupted fetch or else from the last complete one."""
        placed = self.placed.get(target)
        if placed is None and self.previous is not None:
            return self.previous.files.get(target)
        return placed

    def partial(self, target: str, version: str | None) -> Path:
        """Where the file grows. Another version of it grows elsewhere: the rest of one must never continue the other."""
        key = hashlib.sha256(f"{target}\n{version}".encode(errors="surrogateescape")).hexdigest()
        path = self.work / "partial" / key[:40]
        if path.is_file() and path.stat().st_nlink > 1:
            path.unlink()  # a link to the user's own copy, left by a killed process: writing on would write into that copy
        return path

    def place(self, partial: Path, target: str, record: FileRecord) -> None:
        """Rename a verified file into place."""
        path = self.out / target
        with self._mutex:
            self._disturb()
            self._make_parents(path)
            if path.is_dir():
                raise FetchError(f"{path} is a folder where a file has to go; move it away")
            partial.replace(path)
            self.count += 1
            self._note(target, record)

    def remove(self, target: str) -> None:
        """Remove one of our own files, and folders that it leaves empty."""
        with self._mutex:
            self._disturb()
            path = self.out / target
            path.unlink()
            for parent in path.parents:
                if parent == self.out or any(parent.iterdir()):
                    break
                parent.rmdir()

    def finish(self, files: dict[str, FileRecord]) -> None:
        """Everything is there: write the manifest and clear the work away."""
        Manifest(self.dataset, files).write(self.out / NAME)
        self._busy.close()
        shutil.rmtree(self.work)

    def release(self) -> None:
        """Let another process work here; what is half done stays."""
        self._busy.close()

    def _read_previous(self) -> Manifest | None:
        for path in (self.out / NAME, self._previous):
            if path.is_file():
                manifest = read_manifest(path)
                if manifest.dataset != self.dataset:
                    raise FetchError(
                        f"{path} belongs to the data set {manifest.dataset!r}, not {self.dataset!r}; choose another --out"
                    )
                return manifest
        return None

    def _read_journal(self) -> dict[str, FileRecord]:
        if (self.out / NAME).is_file() or not self._journal.is_file():
            return {}
        placed = {}
        for line in self._journal.read_text(encoding="utf-8").splitlines():
            try:
                target, size, sha256, origin = json.loads(line)
            except ValueError:
                break  # cut off when its process was killed: the file is simply compared anew
            placed[target] = FileRecord(size, sha256, origin)
        return placed

    def _disturb(self) -> None:
        manifest = self.out / NAME
        if manifest.is_file():
            manifest.replace(self._previous)
            self._journal.unlink(missing_ok=True)

    def _note(self, target: str, record: FileRecord) -> None:
        self.placed[target] = record
        with self._journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps([target, record.bytes, record.sha256, record.origin]) + "\n")

    def _make_parents(self, path: Path) -> None:
        """Folders down to `path`. A link among them could lead outside of our folder."""
        if path.parent in self._parents:
            return
        for parent in reversed(path.parents):
            if self.out not in parent.parents:
                continue
            if parent.is_symlink():
                raise FetchError(f"{parent} is a link; files are only written into real folders below {self.out}")
            if parent.exists() and not parent.is_dir():
                raise FetchError(f"{parent} is a file where a folder has to be; move it away")
            parent.mkdir(exist_ok=True)
        self._parents.add(path.parent)
