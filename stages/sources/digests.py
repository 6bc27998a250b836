"""Digests of files: sha256 for our manifest, git's blob id where a listing publishes only that. Constant memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1 << 20  # bytes read at once


@dataclass(frozen=True)
class Digest:
    """Of a whole file. `git_blob` is None unless it was asked for."""

    bytes: int
    sha256: str
    git_blob: str | None = None


class Hasher:
    """Digest of a stream of chunks.

    git_size   length of the whole file, which git's blob id needs before the first byte; None: no blob id
    """

    def __init__(self, git_size: int | None = None) -> None:
        self.bytes = 0
        self._sha256 = hashlib.sha256()
        # git's own format, not a protection: the manifest holds the sha256
        self._git = None if git_size is None else hashlib.sha1(b"blob %d\0" % git_size, usedforsecurity=False)

    def update(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.bytes += len(chunk)
        self._sha256.update(chunk)
        if self._git is not None:
            self._git.update(chunk)

    def digest(self) -> Digest:
        """Digest of everything so far."""
        return Digest(self.bytes, self._sha256.hexdigest(), self._git.hexdigest() if self._git else None)


def digest_file(path: Path, *, git: bool = False, advance: Callable[[int], None] | None = None) -> Digest:
    """Digest of a file on disk; `advance` is told the bytes read, and may raise to stop."""
    hasher = Hasher(path.stat().st_size if git else None)
    with path.open("rb", buffering=0) as stream:
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            if advance is not None:
                advance(len(chunk))
    return hasher.digest()
