"""Mirror `file`: the user's own copy, a file or a folder; copied (or linked) and hashed in one pass."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import BinaryIO

from stages.sources.digests import CHUNK, Digest, Hasher, digest_file
from stages.sources.errors import MirrorError
from stages.sources.offers import Offer, offered_name
from stages.sources.settings import File, SourceEntry
from stages.sources.watch import Watch


class FileSnapshot:
    """A file or folder of this machine, as it is now.

    out    folder that is being filled: an own copy that contains it or lies in it is refused
    built  path that DVC builds before the fetch: what lies in it is `trusted` to change
    """

    frozen = False

    def __init__(self, settings: File, source: SourceEntry, out: Path, built: Path | None) -> None:
        self.origin = {"kind": "file", "path": settings.path, "into": source.into}
        self.linked, self._decompress = settings.link, False
        path = Path(settings.path)
        self.trusted = built is not None and (_plain(built) == _plain(path) or _plain(built) in _plain(path).parents)
        if path.is_dir():
            _check_apart(path, out)
            self.offers = [self._offer(path, name, source) for name in sorted(_files_below(path))]
            if not self.offers:
                raise MirrorError(f"{path} is an empty folder")
            return
        found = _file_or_gz(path, source)
        name = offered_name(path.name, str(path))
        self._decompress = found.name != path.name
        self.linked = self.linked and not self._decompress
        size = None if self._decompress else found.stat().st_size
        self.offers = [Offer(source.target(name, single=True), str(found), bytes=size)]

    def digest_of(self, offer: Offer, watch: Watch) -> Digest:
        """Digest of the own copy (uncompressed)."""
        hasher = Hasher()
        for chunk in self._chunks(Path(offer.name)):
            hasher.update(chunk)
            watch.check()
        return hasher.digest()

    def deliver(self, offer: Offer, partial: Path, watch: Watch) -> Digest:
        """Copy or link; a copy starts from the beginning, since nothing says that the rest still fits."""
        own = Path(offer.name)
        partial.unlink(missing_ok=True)
        if self.linked:
            try:
                os.link(own.resolve(), partial)
            except OSError as error:
                raise MirrorError(f"{own} cannot be linked ({error.strerror}); set link: false to copy it") from None
            return digest_file(partial, advance=watch.advance)
        hasher = Hasher()
        with partial.open("wb") as stream:
            for chunk in self._chunks(own):
                stream.write(chunk)
                hasher.update(chunk)
                watch.advance(len(chunk))
                if offer.bytes is not None and hasher.bytes > offer.bytes:
                    raise MirrorError(f"{own} holds more than the expected {offer.bytes:,} bytes")
        return hasher.digest()

    def close(self) -> None:
        """Nothing is held open."""

    def _offer(self, folder: Path, name: str, source: SourceEntry) -> Offer:
        own = folder / name
        if not own.is_file():
            raise MirrorError(f"{own} is neither a file nor a folder (a broken link, a pipe?)")
        target = source.target(offered_name(name, str(folder)), single=False)
        return Offer(target, str(own), bytes=own.stat().st_size)

    def _chunks(self, own: Path) -> Iterator[bytes]:
        try:
            with self._open(own) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise MirrorError(f"{own} is not a whole gzip file ({error})") from None
        except OSError as error:
            raise MirrorError(f"{own} cannot be read ({error.strerror or error})") from None

    def _open(self, own: Path) -> BinaryIO:
        return gzip.open(own, "rb") if self._decompress else own.open("rb")  # type: ignore[return-value]


def _file_or_gz(path: Path, source: SourceEntry) -> Path:
    """The file that is there. Raises MirrorError; a name that looks like a folder's is not asked for as `.gz`."""
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
        if candidate.exists():
            raise MirrorError(f"{candidate} is neither a file nor a folder")
    single = path.suffix or source.sha256 is not None or source.bytes is not None
    other = f", nor {path.name}.gz" if single else ""
    raise MirrorError(f"{path} is not there{other} (relative paths start at {Path.cwd()})")


def _files_below(folder: Path) -> Iterator[str]:
    """Names of all files. Links to folders are followed, unless they lead back to where they are."""
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=_cannot_list):
        here = Path(parent)
        for name in folders:
            real = (here / name).resolve()
            if (here / name).is_symlink() and (real == here.resolve() or real in here.resolve().parents):
                raise MirrorError(f"{here / name} is a link to a folder that contains it")
        folders.sort()
        for name in files:
            yield (here / name).relative_to(folder).as_posix()


def _cannot_list(error: OSError) -> None:
    raise MirrorError(f"{error.filename} cannot be listed ({error.strerror})")


def _check_apart(path: Path, out: Path) -> None:
    own, target = path.resolve(), out.resolve()
    if own == target or own in target.parents or target in own.parents:
        raise MirrorError(f"{path} and {out} lie in each other; an own copy has to be elsewhere")


def _plain(path: Path) -> PurePath:
    return PurePath(os.path.normpath(path))
