"""The mirrors of one source: opened in their order, and why those that failed did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from stages.sources.address import UrlSnapshot
from stages.sources.errors import FetchError, MirrorError
from stages.sources.git import GitSnapshot
from stages.sources.hub import Listings, open_hub
from stages.sources.local import FileSnapshot
from stages.sources.manifest import NAME, Manifest
from stages.sources.offers import Snapshot
from stages.sources.settings import File, Git, Hub, Mirror, SourceEntry, Url
from stages.sources.watch import Patience, Watch


@dataclass(frozen=True, kw_only=True)
class Place:
    """What opening a mirror needs to know about where its files go.

    out     data/raw/<dataset>
    work    folder for what is needed on the way; goes when the fetch is complete
    built   path that DVC builds before the fetch, whose files may change without a word; or None
    lock    the manifest of the last fetch, by which branches stay where they were; None: take the newest
    listings    of the Hub's repositories, read once for all sources
    """

    out: Path
    work: Path
    built: Path | None
    lock: Manifest | None
    listings: Listings = field(default_factory=dict)


def open_mirror(mirror: Mirror, source: SourceEntry, place: Place, patience: Patience, watch: Watch) -> Snapshot:
    """Read the mirror's file list. Raises MirrorError if that is not possible."""
    match mirror.settings:
        case Hub() as hub:
            return open_hub(hub, source, place.lock, place.listings, patience, watch)
        case Git() as git:
            return GitSnapshot(git, source, place.work, watch)
        case Url() as url:
            return UrlSnapshot(url, source, patience)
        case File() as file:
            return FileSnapshot(file, source, place.out, place.built)


class Mirrors:
    """The mirrors of one source that are still to try, and the reasons of the others."""

    def __init__(self, source: SourceEntry) -> None:
        self.source = source
        self.left = list(source.mirrors)
        self._current: Mirror | None = None
        self._reasons: list[str] = []
        self.passing = False  # one of them was only out of reach

    def next(self) -> Mirror:
        """The one to try now."""
        self._current = self.left.pop(0)
        return self._current

    def failed(self, problem: MirrorError, watch: Watch) -> None:
        """Note why the last one did not do; say so if another one is tried now."""
        assert self._current is not None  # next()
        self._reasons.append(f"{_address(self._current)}: {problem}")
        self.passing |= problem.passing
        if self.left:
            watch.note(f"{self._reasons[-1]}\n  trying {_address(self.left[0])}")

    def keep_to_own_copies(self) -> None:
        """Leave out the servers that are still to try: another one was out of reach, and each would be waited for."""
        for mirror in self.left:
            if mirror.file is None:
                self._reasons.append(f"{_address(mirror)}: not asked, since a server was out of reach")
        self.left = [mirror for mirror in self.left if mirror.file is not None]

    def report(self) -> str:
        """Why none did."""
        reasons = "".join(f"\n  {number}. {reason}" for number, reason in enumerate(self._reasons, 1))
        return f"the source into {self.source.into!r} could not be fetched; its mirrors said:{reasons}"


def undelivered(out: Path, failed: Sequence[Mirrors]) -> FetchError:
    """The error that says of every source of these why no mirror delivers it, and in what state `out` is."""
    reports = "\n".join(mirrors.report() for mirrors in failed)
    if (out / NAME).is_file():
        state = f"Nothing was changed: {NAME} still describes what is there."
    else:
        state = f"Complete files are kept, and the same command goes on from there; until then there is no {NAME}."
    passing, missing = any(mirrors.passing for mirrors in failed), tuple(mirrors.source for mirrors in failed)
    return FetchError(f"{out}: {reports}\n{state}", passing=passing, missing=missing)


def _address(mirror: Mirror) -> str:
    match mirror.settings:
        case Hub() as hub:
            return f"hub {hub.type} {hub.repository} at {hub.revision}"
        case Git() as git:
            return f"git {git.repository} at {git.commit[:12]}"
        case Url() as url:
            return f"url {url.url}"
        case File() as file:
            return f"file {file.path}"
