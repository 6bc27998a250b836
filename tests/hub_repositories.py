"""Folders as repositories of the test Hub: snapshots with commit, blob ids, LFS digests.

`<root>/datasets/<owner>/<name>/` is the branch main of the dataset owner/name, `<root>/datasets/<owner>/<name>@<branch>/` another
branch or tag; models likewise under `<root>/models/`. A commit is a digest of all paths and contents, so equal folders have equal
commits. A commit that was once seen stays known while one of the folders still holds its files.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path

LFS_SUFFIXES = (".npz", ".npy", ".pt", ".pth", ".ckpt", ".safetensors", ".gz", ".tar", ".zip", ".h5", ".hdf5", ".bin")
LFS_BYTES = 1 << 20
CHUNK = 1 << 20


@dataclass(frozen=True)
class Blob:
    """One file of a snapshot; `sha256` is set for LFS files only, `blob_id` is the git id (of the pointer for LFS files)."""

    path: str
    file: Path
    size: int
    stamp: tuple[int, int, int]
    blob_id: str
    sha256: str | None

    @property
    def etag(self) -> str:
        return self.sha256 or self.blob_id

    def unchanged(self) -> bool:
        return self.file.is_file() and _stamp(self.file) == self.stamp


@dataclass(frozen=True)
class Snapshot:
    commit: str
    blobs: dict[str, Blob]


@dataclass
class Repositories:
    root: Path
    _digests: dict[tuple[Path, tuple[int, int, int]], tuple[str, str]] = field(default_factory=dict)
    _commits: dict[tuple[str, str], Snapshot] = field(default_factory=dict)
    _by_digest: dict[str, Blob] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def exists(self, kind: str, repository: str) -> bool:
        return self._folder(kind, repository, "main").is_dir()

    def snapshot(self, kind: str, repository: str, revision: str, *, verify: bool = False) -> Snapshot | None:
        """The snapshot of a branch (read anew from its folder) or of a commit.

        verify   look whether all files of a commit are still there as they were, in this folder or another of the repository
        """
        with self._lock:
            known = self._commits.get((f"{kind}/{repository}", revision))
            if known is not None and not (verify and any(not blob.unchanged() for blob in known.blobs.values())):
                return known
            folder = self._folder(kind, repository, revision)
            if folder.is_dir():
                return self._read(kind, repository, folder)
            main = self._folder(kind, repository, "main")
            for other in [main, *sorted(main.parent.glob(f"{main.name}@*"))]:
                if other.is_dir() and (found := self._read(kind, repository, other)).commit == revision:
                    return found
            return None

    def stored(self, sha256: str) -> Blob | None:
        """The LFS file of this digest."""
        return self._by_digest.get(sha256)

    def _folder(self, kind: str, repository: str, revision: str) -> Path:
        return self.root / kind / (repository if revision == "main" else f"{repository}@{revision}")

    def _read(self, kind: str, repository: str, folder: Path) -> Snapshot:
        blobs = {}
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            path = file.relative_to(folder).as_posix()
            blobs[path] = self._blob(path, file)
        commit = hashlib.sha1("\n".join(f"{path} {blob.blob_id}" for path, blob in blobs.items()).encode()).hexdigest()
        snapshot = Snapshot(commit, blobs)
        self._commits[(f"{kind}/{repository}", commit)] = snapshot
        return snapshot

    def _blob(self, path: str, file: Path) -> Blob:
        stamp = _stamp(file)
        key = (file, stamp)
        if key not in self._digests:
            self._digests[key] = _digests(file, stamp[0])
        blob_id, sha256 = self._digests[key]
        size = stamp[0]
        if path.endswith(LFS_SUFFIXES) or size >= LFS_BYTES:
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
            blob = Blob(path, file, size, stamp, _git_id(pointer), sha256)
            self._by_digest[sha256] = blob
            return blob
        return Blob(path, file, size, stamp, blob_id, None)


def _stamp(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _digests(file: Path, size: int) -> tuple[str, str]:
    git, sha256 = hashlib.sha1(b"blob %d\0" % size), hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            git.update(chunk)
            sha256.update(chunk)
    return git.hexdigest(), sha256.hexdigest()
