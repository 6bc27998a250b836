"""One file over HTTP: streamed, hashed on the way, resumed by Range, retried at the pace the server asks for.

`huggingface_hub.hf_hub_download` is not used for the bytes: as of 2.4 it downloads into a file of a random name that it deletes
on any failure, so nothing is resumed in a second run; it asks HEAD for every file, which the listing already answered; and it
leaves a metadata and a lock file per file. Its session, addresses, token and errors are used (stages/sources/hub.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from stages.sources.digests import CHUNK, Digest, Hasher
from stages.sources.errors import MirrorError
from stages.sources.watch import Patience, Watch

T = TypeVar("T")
RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
PROGRESS = 1 << 20  # bytes that must have arrived for a broken connection not to count as a failed try
RATE_LIMIT = re.compile(r";\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d+)")


class BrieflyUnavailableError(Exception):
    """Worth another try: after `retry_after` seconds if the server said so; `progressed` if this try got somewhere."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        self.progressed = False


@dataclass(frozen=True)
class Request:
    """What to ask for.

    open      () -> client; called for every try, since clients get closed after connection errors
    refuse    response with a status that is not worth another try -> never returns
    size      bytes of the whole file, if known
    pinned    True if the caller knows a digest, so that a partial file may be continued without a validator of the server
    git       True if git's blob id is wanted
    """

    url: str
    headers: dict[str, str]
    open: Callable[[], httpx2.Client]
    refuse: Callable[[httpx2.Response], None]
    size: int | None
    pinned: bool
    git: bool


def patiently(attempt: Callable[[], T], what: str, patience: Patience, watch: Watch) -> T:
    """What `attempt` returns, tried again while it raises BrieflyUnavailableError, with waits in between.

    Raises MirrorError with the last reason after `patience.attempts` tries without progress.
    """
    failed = 0
    while True:
        watch.pace()
        try:
            return attempt()
        except BrieflyUnavailableError as problem:
            failed = 1 if problem.progressed else failed + 1
            if failed >= patience.attempts:
                tried = f" (tried {failed} times)" if failed > 1 else ""
                raise MirrorError(f"{what}: {problem}{tried}", passing=True) from None
            asked, own = problem.retry_after, patience.wait(failed)
            if asked is None:
                watch.pause(own)
            elif asked > patience.longest_retry_after:
                raise MirrorError(f"{what}: {problem}; the server asks to come back in {asked:.0f} s", passing=True) from None
            else:
                watch.hold(max(asked, own), f"{what}: {problem}")


def receive(request: Request, partial: Path, what: str, patience: Patience, watch: Watch) -> Digest:
    """Download the file of `request` to `partial`, going on from what is there; return the digest of the whole.

    Raises MirrorError if it cannot be had. A partial file is left behind, to be continued.
    """
    with _Partial(partial, request, watch) as partial_file:

        def attempt() -> Digest:
            before = partial_file.size
            try:
                _receive_rest(request, partial_file, patience, watch)
            except BrieflyUnavailableError as problem:
                problem.progressed = partial_file.size - before >= PROGRESS
                raise
            return partial_file.digest()

        return patiently(attempt, what, patience, watch)


def network_fault(error: Exception) -> Exception:
    """The error to raise for a transport error of the client: worth another try, or not."""
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return MirrorError(f"the server's certificate is not valid here ({text}); check the clock, the proxy and the CA bundle")
    if isinstance(error, httpx2.ReadTimeout | httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.WriteTimeout):
        return BrieflyUnavailableError(f"no answer in time ({type(error).__name__})")
    if isinstance(error, httpx2.NetworkError | httpx2.RemoteProtocolError | httpx2.ProxyError):
        return BrieflyUnavailableError(f"the connection failed ({text})")
    return MirrorError(f"cannot be asked for: {text}")


def check_status(response: httpx2.Response) -> None:
    """Raise BrieflyUnavailableError for the statuses that are worth another try."""
    if response.status_code in RETRY_STATUS:
        raise BrieflyUnavailableError(f"HTTP {response.status_code} {response.reason_phrase}", _asked_to_wait(response))


def _receive_rest(request: Request, partial: _Partial, patience: Patience, watch: Watch) -> None:
    if request.size is not None and partial.size == request.size:
        return
    headers = {**request.headers, "Accept-Encoding": "identity", **partial.resume_headers()}
    try:
        with _stream(request, headers, patience) as response:
            check_status(response)
            if response.status_code == 416:  # the file is not as long as what is here: another version
                partial.restart()
                raise BrieflyUnavailableError("HTTP 416: what was left of an earlier try does not fit")
            if response.status_code not in (200, 206):
                request.refuse(response)
            if response.status_code == 200 or not partial.continues(response):
                partial.restart()
            total = _check_body(request, response, partial.size)
            partial.note_validator(response)
            partial.announce(total)
            for chunk in response.iter_raw():
                partial.append(chunk)
                watch.advance(len(chunk))
                if total is not None and partial.size > total:
                    raise MirrorError(f"sends more than the {total:,} bytes it announces")
            if total is not None and partial.size < total:
                raise BrieflyUnavailableError(f"the connection ended after {partial.size:,} of {total:,} bytes")
    except (httpx2.TransportError, httpx2.TooManyRedirects, httpx2.InvalidURL, httpx2.DecodingError) as error:
        raise network_fault(error) from None


def _stream(request: Request, headers: dict[str, str], patience: Patience) -> AbstractContextManager[httpx2.Response]:
    timeout = httpx2.Timeout(patience.timeout, connect=min(patience.timeout, 20.0))
    return request.open().stream("GET", request.url, headers=headers, timeout=timeout, follow_redirects=True)


def _check_body(request: Request, response: httpx2.Response, position: int) -> int | None:
    """Length of the whole file, as far as it is known. Raises MirrorError for a body that cannot be the file."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", ""):
        raise MirrorError(f"sends the file with Content-Encoding {encoding} though asked not to, so that its size is unknown")
    path = response.request.url.path.lower()
    if response.headers.get("Content-Type", "").startswith("text/html") and not path.endswith((".html", ".htm")):
        raise MirrorError("answers with a web page instead of the file: a login page, or a link meant for browsers?")
    announced = response.headers.get("Content-Length", "")
    total = position + int(announced) if announced.isdigit() else None
    if request.size is not None and total is not None and total > request.size:
        raise MirrorError(f"sends {total:,} bytes where {request.size:,} are expected")
    return request.size if request.size is not None else total


def _asked_to_wait(response: httpx2.Response) -> float | None:
    """Seconds from Retry-After, or from the rate limit header of the Hub (`"resolvers";r=0;t=55`)."""
    after = response.headers.get("Retry-After", "").strip()
    if after.isdigit():
        return float(after)
    limit = RATE_LIMIT.search(response.headers.get("RateLimit", ""))
    return float(limit[1]) + 1 if response.status_code == 429 and limit else None


class _Partial:
    """The file that grows: what an earlier try or run left is hashed and continued, where that is safe."""

    def __init__(self, path: Path, request: Request, watch: Watch) -> None:
        self._path, self._request, self._watch = path, request, watch
        self._validator = path.with_name(path.name + ".validator")
        self._stream = path.open("a+b")
        self._hasher = self._new_hasher()
        self.size = 0
        self._announced = False
        self._take_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stream.close()
        if kind is None:
            self._validator.unlink(missing_ok=True)

    def resume_headers(self) -> dict[str, str]:
        """Range for the rest, on the condition that the file is still the same."""
        if self.size == 0:
            return {}
        if not self._request.pinned and not self._validator.is_file():
            self.restart()
            return {}
        condition = {"If-Range": self._validator.read_text()} if self._validator.is_file() else {}
        return {"Range": f"bytes={self.size}-", **condition}

    def continues(self, response: httpx2.Response) -> bool:
        """True if a 206 answer starts where this file ends."""
        return response.headers.get("Content-Range", "").startswith(f"bytes {self.size}-")

    def note_validator(self, response: httpx2.Response) -> None:
        """Remember by what the server names this version of the file."""
        tag = response.headers.get("ETag", "")
        if not self._request.pinned and tag and not tag.startswith("W/"):
            self._validator.write_text(tag)

    def announce(self, total: int | None) -> None:
        """Tell the progress bar of a size that only the answer told."""
        if self._request.size is None and total is not None and not self._announced:
            self._watch.expect(total)
            self._announced = True

    def append(self, chunk: bytes) -> None:
        self._stream.write(chunk)
        self._hasher.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Throw away what is here."""
        if self.size:
            self._watch.advance(-self.size)
        self._stream.truncate(0)
        self._validator.unlink(missing_ok=True)
        self._hasher, self.size = self._new_hasher(), 0

    def digest(self) -> Digest:
        return self._hasher.digest()

    def _take_up(self) -> None:
        self._stream.seek(0)
        while chunk := self._stream.read(CHUNK):
            self._hasher.update(chunk)
            self.size += len(chunk)
            self._watch.advance(len(chunk))
        if self._request.size is not None and self.size > self._request.size:
            self.restart()

    def _new_hasher(self) -> Hasher:
        return Hasher(self._request.size if self._request.git else None)
