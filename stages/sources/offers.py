"""What a mirror offers: a list of files, and how to get each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from stages.sources.digests import Digest
from stages.sources.errors import MirrorError
from stages.sources.names import UnsafeNameError, checked_name
from stages.sources.watch import Watch


@dataclass(frozen=True)
class Offer:
    """One file of a mirror.

    target     where it goes, below data/raw/<dataset>/
    name       what the mirror calls it
    bytes, sha256, git_blob    as published by the mirror or stated in params.yaml; None where nobody says
    """

    target: str
    name: str
    bytes: int | None = None
    sha256: str | None = None
    git_blob: str | None = None

    def difference(self, digest: Digest) -> str | None:
        """What `digest` contradicts of the known facts, in words; None if nothing."""
        if self.bytes is not None and digest.bytes != self.bytes:
            return f"has {digest.bytes:,} bytes, expected {self.bytes:,}"
        if self.sha256 is not None and digest.sha256 != self.sha256:
            return f"has sha256 {digest.sha256}, expected {self.sha256}"
        if self.git_blob is not None and digest.git_blob != self.git_blob:
            return f"has git blob id {digest.git_blob}, expected {self.git_blob}"
        return None


class Snapshot(Protocol):
    """A mirror whose list of files is known and fixed.

    origin   what the manifest records: kind and address, at what commit. No times, no machine names
    frozen   True where the origin names its content for good (a commit)
    trusted  True where DVC itself builds the content, so that a change is a rebuild and no surprise
    linked   True where files are linked instead of copied, so that they take no room
    """

    origin: dict[str, Any]
    offers: list[Offer]
    frozen: bool
    trusted: bool
    linked: bool

    def digest_of(self, offer: Offer, watch: Watch) -> Digest | None:
        """Digest of the offered file if the mirror can tell it without delivering the file; else None. Raises MirrorError."""

    def deliver(self, offer: Offer, partial: Path, watch: Watch) -> Digest:
        """Write the whole file at `partial`, going on from what is there, and return its digest. Raises MirrorError."""

    def close(self) -> None:
        """Drop what was needed on the way."""


def offered_name(name: str, of: str) -> str:
    """`name`, if it may become a path of ours. Raises MirrorError naming the mirror."""
    try:
        return checked_name(name)
    except UnsafeNameError as problem:
        raise MirrorError(f"{of} lists a file named {name!r}, which is not safe to write: {problem}") from None
