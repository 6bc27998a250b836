"""Mirror `url`: one file behind an http(s) address."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import httpx2

from stages.sources.digests import Digest
from stages.sources.errors import MirrorError
from stages.sources.offers import Offer, offered_name
from stages.sources.settings import SourceEntry, Url
from stages.sources.transfer import Request, receive
from stages.sources.watch import Patience, Watch


class UrlSnapshot:
    """One file behind an address. What it holds shows only when it has been read."""

    frozen = False
    trusted = False
    linked = False

    def __init__(self, url: Url, source: SourceEntry, patience: Patience) -> None:
        self.origin = {"kind": "url", "url": url.url, "into": source.into}
        name = offered_name(unquote(urlsplit(url.url).path.rsplit("/", 1)[-1]), url.url)
        target = source.target(name, single=True)
        self.offers = [Offer(target, url.url)]
        self._patience = patience
        self._client = httpx2.Client(headers={"User-Agent": "doflow"}, follow_redirects=True)

    def digest_of(self, offer: Offer, watch: Watch) -> Digest | None:  # noqa: ARG002
        """None: only a download tells."""
        return None

    def deliver(self, offer: Offer, partial: Path, watch: Watch) -> Digest:
        """Download the file."""
        pinned = offer.sha256 is not None
        request = Request(
            url=offer.name, headers={}, open=lambda: self._client, refuse=_refuse, size=offer.bytes, pinned=pinned, git=False,
        )  # fmt: skip
        return receive(request, partial, offer.name, self._patience, watch)

    def close(self) -> None:
        """End the connections."""
        self._client.close()


def _refuse(response: httpx2.Response) -> NoReturn:
    raise MirrorError(f"HTTP {response.status_code} {response.reason_phrase}")
