"""Fetch a data set: every file of its sources, from the first mirror that delivers, verified, recorded in the manifest.

A file is complete when its size and digest are those that the mirror's list, params.yaml and the manifest of the last fetch (the
lock) say, as far as each says anything. Complete files are not fetched again; a file is written beside and renamed when verified.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stages.sources.digests import Digest, digest_file
from stages.sources.errors import FetchError, FetchStopped, MirrorError
from stages.sources.ledger import WORK, Ledger
from stages.sources.manifest import NAME, FileRecord
from stages.sources.mirrors import Mirrors, Place, open_mirror, undelivered
from stages.sources.offers import Offer, Snapshot
from stages.sources.settings import SourceEntry
from stages.sources.watch import Patience, Watch

RESERVE = 64 << 20  # bytes of the disk that are left free
SHOWN = 5  # examples in a message


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What a fetch did. `strange`: files of the folder that nobody listed and that are left alone."""

    files: int
    bytes: int
    fetched: int
    removed: int
    strange: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How to fetch; none of it changes the result.

    accept_changes  take what mirrors now hold even where the lock says otherwise, and branches where they now are
    """

    threads: int = 8
    accept_changes: bool = False
    quiet: bool = False
    patience: Patience = field(default_factory=Patience)


def fetch(dataset: str, sources: Sequence[SourceEntry], out: Path, *, built: Path | None = None, manner: Manner) -> Fetched:
    """Bring `out` to what `sources` say and write its manifest.

    built   path that DVC builds before this (a world): own copies below it may change without a word
    Raises FetchError with every mirror's reason; FetchStopped on Ctrl-C. Then there is no manifest, complete files stay, and the
    next call goes on from there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(out, dataset)
    except OSError as error:
        raise FetchError(_disk_trouble(error, out)) from None
    watch = Watch(f"fetch {dataset}", quiet=manner.quiet)
    work = _Fetch(ledger, sources, built, manner, watch)
    try:
        return work.run()
    except OSError as error:
        raise FetchError(_disk_trouble(error, out)) from None
    except KeyboardInterrupt:
        raise FetchStopped from None
    finally:
        watch.close()
        work.close()
        ledger.release()


class _Fetch:
    """One call of `fetch`."""

    def __init__(self, ledger: Ledger, sources: Sequence[SourceEntry], built: Path | None, manner: Manner, watch: Watch) -> None:
        self._ledger, self._sources, self._built, self._manner, self._watch = ledger, sources, built, manner, watch
        lock = None if manner.accept_changes else ledger.previous
        self._place = Place(out=ledger.out, work=ledger.work, built=built, lock=lock)
        self._records: dict[str, FileRecord] = {}
        self._owners: dict[str, int] = {}
        self._opened: list[Snapshot] = []

    def run(self) -> Fetched:
        attempts = [Mirrors(source) for source in self._sources]
        snapshots = self._open_all(attempts)
        self._check_space(snapshots)
        for number, (mirrors, snapshot) in enumerate(zip(attempts, snapshots, strict=True)):
            self._take(number, mirrors, snapshot)
        removed, strange = self._tidy()
        self._ledger.finish(self._records)
        size = sum(record.bytes for record in self._records.values())
        return Fetched(files=len(self._records), bytes=size, fetched=self._ledger.count, removed=removed, strange=strange)

    def close(self) -> None:
        for snapshot in self._opened:
            snapshot.close()

    def _open_all(self, attempts: Sequence[Mirrors]) -> list[Snapshot]:
        """A mirror of every source. Raises FetchError that names all sources without one, so that each is looked for once."""
        opened, failed = list[Snapshot](), list[Mirrors]()
        for number, mirrors in enumerate(attempts):
            if any(other.passing for other in failed):
                mirrors.keep_to_own_copies()
            snapshot = self._open_next(number, mirrors)
            if snapshot is None:
                failed.append(mirrors)
            else:
                opened.append(snapshot)
        if failed:
            raise undelivered(self._ledger.out, failed)
        return opened

    # ---- mirrors --------------------------------------------------------------------------------------------------------

    def _take(self, number: int, mirrors: Mirrors, snapshot: Snapshot | None) -> None:
        """All files of one source, from this mirror or else from the next ones."""
        while snapshot is not None:
            try:
                with self._watch.part(sum(offer.bytes or 0 for offer in snapshot.offers)):
                    work = functools.partial(self._ensure, mirrors.source, snapshot)
                    self._watch.each(work, snapshot.offers, self._manner.threads)
                return
            except MirrorError as problem:
                mirrors.failed(problem, self._watch)
                for offer in snapshot.offers:
                    self._records.pop(offer.target, None)
            snapshot = self._open_next(number, mirrors)
            self._check_space([snapshot] if snapshot else [])
        raise undelivered(self._ledger.out, [mirrors])

    def _open_next(self, number: int, mirrors: Mirrors) -> Snapshot | None:
        """The next mirror of the source that can be opened, with everything that can be checked before a byte is fetched."""
        while mirrors.left:
            mirror = mirrors.next()
            try:
                snapshot = open_mirror(mirror, mirrors.source, self._place, self._manner.patience, self._watch)
                self._opened.append(snapshot)
                snapshot.offers = [_stated(offer, mirrors.source, len(snapshot.offers)) for offer in snapshot.offers]
                self._check_lock_of_listing(mirrors.source, snapshot)
                self._claim(number, snapshot)
                return snapshot
            except MirrorError as problem:
                mirrors.failed(problem, self._watch)
        return None

    def _claim(self, number: int, snapshot: Snapshot) -> None:
        """No two sources may write one file, nor any of them our own."""
        for target in [target for target, owner in self._owners.items() if owner == number]:
            del self._owners[target]
        for offer in snapshot.offers:
            first = offer.target.split("/", 1)[0]
            if offer.target == NAME or first == WORK:
                raise MirrorError(f"holds {offer.target!r}, a name that fetch itself uses; choose another `into`")
            if offer.target in self._owners:
                raise FetchError(f"sources {self._owners[offer.target] + 1} and {number + 1} both give {offer.target!r}")
            self._owners[offer.target] = number
        for target in self._owners:
            for parent in Path(target).parents:
                if str(parent) in self._owners:
                    raise FetchError(f"{str(parent)!r} would be both a file and the folder of {target!r}; change an `into`")

    def _check_space(self, snapshots: Sequence[Snapshot]) -> None:
        """Before the first byte: is there room for all that is missing?"""
        needed = 0
        for snapshot in snapshots:
            for offer in () if snapshot.linked else snapshot.offers:
                target = self._ledger.out / offer.target
                if offer.bytes is not None and not (target.is_file() and target.stat().st_size == offer.bytes):
                    partial = self._partial(offer)
                    needed += max(0, offer.bytes - (partial.stat().st_size if partial.is_file() else 0))
        free = shutil.disk_usage(self._ledger.out).free
        if needed and needed + RESERVE > free:
            raise FetchError(
                f"{self._ledger.out}: {_size(needed)} are missing, but only {_size(free)} are free on that disk; make room, or "
                "make the folder a link to one on a larger disk"
            )

    # ---- files ----------------------------------------------------------------------------------------------------------

    def _ensure(self, source: SourceEntry, snapshot: Snapshot, offer: Offer) -> None:
        """One file is there, verified, and recorded."""
        digest = self._present(source, snapshot, offer) or self._deliver(source, snapshot, offer)
        self._records[offer.target] = FileRecord(digest.bytes, digest.sha256, snapshot.origin)

    def _present(self, source: SourceEntry, snapshot: Snapshot, offer: Offer) -> Digest | None:
        """Digest of the file that is there, if it is the offered one."""
        path = self._ledger.out / offer.target
        if not path.is_file() or (offer.bytes is not None and path.stat().st_size != offer.bytes):
            return None
        if offer.sha256 is None and offer.git_blob is None:
            told = snapshot.digest_of(offer, self._watch)
            known = told.sha256 if told else self._known(offer.target, snapshot)
            if known is None:
                return None
            offer = replace(offer, sha256=known)
        digest = digest_file(path, git=offer.git_blob is not None, advance=self._watch.advance)
        if offer.difference(digest) is not None:
            self._watch.advance(-digest.bytes)
            return None
        self._check_lock(source, snapshot, offer, digest)
        return digest

    def _deliver(self, source: SourceEntry, snapshot: Snapshot, offer: Offer) -> Digest:
        """Fetch the file beside, verify it, put it in place. Wrong bytes are fetched once more: a proxy may be to blame."""
        partial = self._partial(offer)
        for attempt in (1, 2):
            digest = snapshot.deliver(offer, partial, self._watch)
            difference = offer.difference(digest)
            if difference is None:
                break
            _discard(partial, digest, self._watch)
            if attempt == 2:
                raise MirrorError(f"{offer.name} {difference}; it was fetched twice and thrown away")
            self._watch.note(f"{offer.name} {difference}; fetching it once more")
        try:
            self._check_lock(source, snapshot, offer, digest)
        except MirrorError:
            _discard(partial, digest, self._watch)
            raise
        self._ledger.place(partial, offer.target, FileRecord(digest.bytes, digest.sha256, snapshot.origin))
        return digest

    def _partial(self, offer: Offer) -> Path:
        return self._ledger.partial(offer.target, offer.sha256 or offer.git_blob or offer.name)

    def _known(self, target: str, snapshot: Snapshot) -> str | None:
        """sha256 of what this very mirror gave before: where it publishes no digest, its address vouches for the content."""
        record = self._ledger.known(target)
        return record.sha256 if record and record.origin == snapshot.origin and not self._manner.accept_changes else None

    # ---- the lock -------------------------------------------------------------------------------------------------------

    def _check_lock_of_listing(self, source: SourceEntry, snapshot: Snapshot) -> None:
        """What the listing alone shows to differ from the lock, before anything is fetched."""
        lock = self._ledger.previous
        if lock is None or self._manner.accept_changes:
            return
        if snapshot.frozen:
            gone = sorted(set(lock.of_origin(snapshot.origin)) - {offer.target for offer in snapshot.offers})
            if gone:
                raise MirrorError(
                    f"lists {len(gone)} file(s) fewer than {NAME} has of the same commit, such as {gone[0]!r}; an incomplete "
                    "listing is not taken. Try again later"
                )
        for offer in snapshot.offers:
            if offer.sha256 is not None:
                self._check_lock(source, snapshot, offer, Digest(offer.bytes or 0, offer.sha256))

    def _check_lock(self, source: SourceEntry, snapshot: Snapshot, offer: Offer, digest: Digest) -> None:
        """Raise MirrorError if the last complete fetch had another content, unless params.yaml asks for another one by now."""
        lock = self._ledger.previous
        locked = lock.files.get(offer.target) if lock else None
        if locked is None or locked.sha256 == digest.sha256 or self._manner.accept_changes or snapshot.trusted:
            return
        if source.sha256 == digest.sha256 or _asks_anew(locked.origin, snapshot.origin):
            return
        raise MirrorError(
            f"{offer.target} has changed: {NAME} has sha256 {locked.sha256} ({locked.bytes:,} bytes), this mirror now gives "
            f"{digest.sha256} ({digest.bytes:,} bytes). If the new one is right, run this stage by hand with --accept-changes "
            "(what was computed from the old one is then out of date); if not, name a mirror or revision that has the old one"
        )

    # ---- what else is in the folder -------------------------------------------------------------------------------------

    def _tidy(self) -> tuple[int, tuple[str, ...]]:
        """Remove our own files that are no longer listed; name all others."""
        ours = {**(self._ledger.previous.files if self._ledger.previous else {}), **self._ledger.placed}
        removed, strange = 0, []
        for target in sorted(_files_below(self._ledger.out)):
            if target in self._records or target == NAME or target.split("/", 1)[0] == WORK:
                continue
            record, path = ours.get(target), self._ledger.out / target
            if record and path.is_file() and path.stat().st_size == record.bytes and digest_file(path).sha256 == record.sha256:
                self._watch.note(f"{path}: no longer listed, removed")
                self._ledger.remove(target)
                removed += 1
            else:
                strange.append(target)
        return removed, tuple(strange)


def _stated(offer: Offer, source: SourceEntry, count: int) -> Offer:
    """The offer with what params.yaml states about it. Raises MirrorError where the two contradict each other."""
    if source.sha256 is None and source.bytes is None:
        return offer
    if count != 1:
        raise MirrorError(f"holds {count} files, but params.yaml states sha256 or bytes of a single one")
    if None not in (offer.sha256, source.sha256) and offer.sha256 != source.sha256:
        raise MirrorError(f"{offer.name} is listed with sha256 {offer.sha256}, params.yaml states {source.sha256}")
    if None not in (offer.bytes, source.bytes) and offer.bytes != source.bytes:
        raise MirrorError(f"{offer.name} is listed with {offer.bytes:,} bytes, params.yaml states {source.bytes:,}")
    return replace(offer, sha256=offer.sha256 or source.sha256, bytes=source.bytes if offer.bytes is None else offer.bytes)


def _asks_anew(locked: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """True if params.yaml now names another revision or commit of the same repository than when the lock was written."""
    pin = {"hub": "revision", "git": "commit"}.get(str(asked.get("kind")))
    if pin is None or any(locked.get(key) != asked.get(key) for key in ("kind", "repository", "type")):
        return False
    return locked.get(pin) != asked.get(pin)


def _discard(partial: Path, digest: Digest, watch: Watch) -> None:
    partial.unlink(missing_ok=True)
    watch.advance(-digest.bytes)


def _files_below(folder: Path) -> list[str]:
    found = []
    for parent, _, files in os.walk(folder):
        found += [(Path(parent) / name).relative_to(folder).as_posix() for name in files]
    return found


def _disk_trouble(error: OSError, out: Path) -> str:
    place = f"{error.filename or out}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}. Make room and run the same command again: complete files are kept"
    return f"{place}. Complete files are kept; run the same command again once this is mended"


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.1f} {unit}"
