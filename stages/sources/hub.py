"""Mirror `hub`: files of a Hugging Face repository at one commit, through the official client.

The revision is resolved to a commit first, and everything is taken at that commit. The commit's file list is read once; it
decides what has to be there in the end, with which size and digest. HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE and
HF_HUB_DOWNLOAD_TIMEOUT act as they do for the client.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import build_hf_headers, filter_repo_objects  # type: ignore[attr-defined]

from stages.sources.digests import Digest
from stages.sources.errors import MirrorError
from stages.sources.manifest import Manifest
from stages.sources.offers import Offer, offered_name
from stages.sources.settings import Hub, SourceEntry
from stages.sources.transfer import RETRY_STATUS, BrieflyUnavailableError, Request, network_fault, patiently, receive
from stages.sources.watch import Patience, Watch

T = TypeVar("T")
WILDCARDS = frozenset("*?[")


@dataclass(frozen=True)
class Listing:
    """All files of a repository at one commit, by path."""

    commit: str
    files: dict[str, RepoFile]


Listings = dict[tuple[str | None, str, str, str], Listing]  # by endpoint, type, repository, revision


def open_hub(
    hub: Hub, source: SourceEntry, lock: Manifest | None, listings: Listings, patience: Patience, watch: Watch
) -> HubSnapshot:
    """Resolve the revision, read the file list, choose by the patterns.

    lock       None: take the newest commit of a branch. Else a branch stays at the commit that the lock holds
    listings   what this fetch has read so far: several sources from one repository are taken at one commit
    Raises MirrorError: unreachable, unknown repository or revision, a pattern that matches nothing, unsafe names...
    """
    hub = replace(hub, endpoint=hub.endpoint.rstrip("/") if hub.endpoint else None)
    if "HF_HUB_DOWNLOAD_TIMEOUT" in os.environ:
        patience = replace(patience, timeout=float(constants.HF_HUB_DOWNLOAD_TIMEOUT))
    origin = {
        "kind": "hub", "repository": hub.repository, "type": hub.type, "revision": hub.revision,
        "patterns": list(hub.patterns), "strip": hub.strip, "into": source.into,
    }  # fmt: skip
    locked = lock.locked_commit(origin) if lock else None
    if constants.HF_HUB_OFFLINE:
        return _from_lock(hub, {**origin, "commit": locked}, lock, patience)
    key = (hub.endpoint, hub.type, hub.repository, hub.revision)
    if key not in listings:
        listings[key] = _read(hub, locked, patience, watch)
    commit = listings[key].commit
    offers = _chosen(hub, source, list(listings[key].files.values()), commit)
    return HubSnapshot(hub, {**origin, "commit": commit}, offers, patience)


def _read(hub: Hub, locked: str | None, patience: Patience, watch: Watch) -> Listing:
    """The repository at the commit that its revision names, or at the locked one."""
    api = HfApi(endpoint=hub.endpoint, library_name="doflow")
    asking = _Asking(hub, patience, watch)
    current, siblings = asking(lambda: _resolve(api, hub, hub.revision, patience))
    commit = current
    if locked and locked != current:
        watch.note(
            f"{hub.repository}: {hub.revision} has moved from {locked[:12]} to {current[:12]} since the manifest was written; "
            f"{locked[:12]} is taken as before (--accept-changes takes the new one)"
        )
        try:
            commit, siblings = asking(lambda: _resolve(api, hub, locked, patience))
        except MirrorError as problem:
            raise MirrorError(f"{problem}: the manifest has commit {locked}; --accept-changes takes {current}") from None
    files = asking(lambda: _listing(api, hub, commit, patience), attempts=1)  # the client itself tries each page several times
    _check_siblings(files, siblings, commit)
    return Listing(commit, files)


class HubSnapshot:
    """A Hugging Face repository at one commit."""

    frozen = True
    trusted = False
    linked = False

    def __init__(self, hub: Hub, origin: dict[str, Any], offers: list[Offer], patience: Patience, offline: bool = False) -> None:
        self.origin, self.offers = origin, offers
        self._hub, self._patience, self._offline = hub, patience, offline
        self._headers = build_hf_headers(library_name="doflow")

    def digest_of(self, offer: Offer, watch: Watch) -> Digest | None:  # noqa: ARG002
        """None: what the listing does not say, only a download tells."""
        return None

    def deliver(self, offer: Offer, partial: Path, watch: Watch) -> Digest:
        """Download the file at the commit."""
        if self._offline:
            raise MirrorError(f"HF_HUB_OFFLINE is set and {offer.target} is not there as the manifest has it")
        repository, commit = self._hub.repository, self.origin["commit"]
        url = hf_hub_url(repository, offer.name, repo_type=self._hub.type, revision=commit, endpoint=self._hub.endpoint)
        request = Request(
            url=url, headers=self._headers, open=_session, refuse=self._refuse, size=offer.bytes, pinned=True,
            git=offer.git_blob is not None,
        )  # fmt: skip
        try:
            return receive(request, partial, offer.name, self._patience, watch)
        except OfflineModeIsEnabled:
            raise MirrorError("HF_HUB_OFFLINE is set") from None

    def close(self) -> None:
        """Nothing to drop: the client keeps its session for itself."""

    def _refuse(self, response: httpx2.Response) -> NoReturn:
        try:
            hf_raise_for_status(response)
        except HfHubHTTPError as error:
            raise MirrorError(f"{explain(error, self._hub)}; asked for {response.request.url.path}") from None
        raise MirrorError(f"unexpected HTTP {response.status_code} for {response.request.url.path}")


def explain(error: HfHubHTTPError, hub: Hub) -> str:
    """What a refusal of the Hub means and what helps."""
    what = f"{hub.type} {hub.repository}"
    if isinstance(error, GatedRepoError):
        return f"{what} asks everyone to accept its terms: do so on its page, then set HF_TOKEN (or run `hf auth login`)"
    if isinstance(error, RepositoryNotFoundError):
        return f"there is no {what}, or it is private and HF_TOKEN does not open it; check the name and `type`"
    if isinstance(error, RevisionNotFoundError):
        return f"{what} has no revision of that name any more"
    if isinstance(error, RemoteEntryNotFoundError):
        return f"{what} lists a file that it does not have"
    status = error.response.status_code
    if status in (401, 403):
        return f"{what} refuses access (HTTP {status}); check HF_TOKEN"
    return f"HTTP {status}{': ' + error.server_message if error.server_message else ''}"


class _Asking:
    """Calls of the client's API with its errors turned into ours, and retried where that may help."""

    def __init__(self, hub: Hub, patience: Patience, watch: Watch) -> None:
        self._hub, self._patience, self._watch = hub, patience, watch
        self._what = f"{hub.endpoint or constants.ENDPOINT} {hub.repository}"

    def __call__(self, call: Callable[[], T], attempts: int | None = None) -> T:
        patience = replace(self._patience, attempts=attempts or self._patience.attempts)
        return patiently(lambda: self._once(call), self._what, patience, self._watch)

    def _once(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response.status_code in RETRY_STATUS:
                after = error.response.headers.get("Retry-After", "")
                raise BrieflyUnavailableError(explain(error, self._hub), float(after) if after.isdigit() else None) from None
            raise MirrorError(explain(error, self._hub)) from None
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise network_fault(error) from None
        except (KeyError, TypeError, ValueError) as error:  # an answer that is not the Hub's: JSON errors are ValueErrors
            endpoint = self._hub.endpoint or constants.ENDPOINT
            raise MirrorError(f"{endpoint} does not answer as a Hub does ({error!r}); check HF_ENDPOINT and the proxy") from None


def _resolve(api: HfApi, hub: Hub, revision: str, patience: Patience) -> tuple[str, list[str]]:
    """Commit of a revision, and the paths that the repository's page lists there."""
    info = api.repo_info(hub.repository, repo_type=hub.type, revision=revision, timeout=patience.timeout)
    if not info.sha:
        raise MirrorError(f"{hub.repository} does not say at which commit {revision} is")
    if len(revision) == len(info.sha) and hub.pinned and info.sha != revision:
        raise MirrorError(f"{hub.repository} answers with commit {info.sha} where {revision} is pinned")
    return info.sha, [sibling.rfilename for sibling in getattr(info, "siblings", None) or []]


def _listing(api: HfApi, hub: Hub, commit: str, patience: Patience) -> dict[str, RepoFile]:
    """All files of the repository at the commit, by path."""
    _bound_waiting(get_session(), patience)
    entries = api.list_repo_tree(hub.repository, recursive=True, revision=commit, repo_type=hub.type)
    files: dict[str, RepoFile] = {}
    for entry in entries:
        if isinstance(entry, RepoFile):
            if entry.path in files:
                raise MirrorError(f"lists {entry.path!r} twice")
            files[entry.path] = entry
    return files


def _bound_waiting(session: httpx2.Client, patience: Patience) -> None:
    """Give requests without a time limit one: the client's tree listing would wait for ever for a server that is silent."""

    def limit(request: httpx2.Request) -> None:
        timeouts = request.extensions.get("timeout") or {}
        if all(value is None for value in timeouts.values()):
            request.extensions["timeout"] = httpx2.Timeout(patience.timeout).as_dict()

    hooks = session.event_hooks
    session.event_hooks = {**hooks, "request": [hook for hook in hooks["request"] if hook.__name__ != limit.__name__] + [limit]}


def _check_siblings(files: dict[str, RepoFile], siblings: list[str], commit: str) -> None:
    """The two lists of one commit must agree: a listing that lost files would pass a partial snapshot for the whole."""
    missing = sorted(set(siblings) - set(files))
    if missing:
        raise MirrorError(
            f"the file list of commit {commit[:12]} lacks {len(missing)} file(s) that its page names, such as {missing[0]!r}; "
            "an incomplete listing is not taken. Try again later"
        )


def _chosen(hub: Hub, source: SourceEntry, files: list[RepoFile], commit: str) -> list[Offer]:
    """Offers for the files that the patterns choose. Raises MirrorError where a pattern chooses none."""
    what = f"{hub.repository} at {commit[:12]}"
    paths = [file.path for file in files]
    for pattern in hub.patterns:
        if not any(True for _ in filter_repo_objects(paths, allow_patterns=[pattern])):
            tops = sorted({path.split("/")[0] for path in paths})
            near = [path for path in paths if fnmatch.fnmatch(path.lower(), pattern.lower())][:3] or tops[:12]
            raise MirrorError(f"{what}: no file matches {pattern!r}; there are {', '.join(near) or 'no files'}")
    wanted = set(filter_repo_objects(paths, allow_patterns=list(hub.patterns) or None))
    if not wanted:
        raise MirrorError(f"{what} has no files")
    single = len(hub.patterns) == 1 and not WILDCARDS & set(hub.patterns[0]) and not hub.patterns[0].endswith("/")
    prefix = f"{hub.strip}/" if hub.strip else ""
    offers = []
    for file in files:
        if file.path not in wanted:
            continue
        path = offered_name(file.path, what)
        if not path.startswith(prefix):
            raise MirrorError(f"{what}: {path!r} is chosen by the patterns but not below strip: {hub.strip!r}")
        target = source.target(path.removeprefix(prefix), single=single)
        if file.lfs is not None:
            offers.append(Offer(target, path, bytes=file.lfs.size, sha256=file.lfs.sha256))
        else:
            offers.append(Offer(target, path, bytes=file.size, git_blob=file.blob_id))
    return offers


def _from_lock(hub: Hub, origin: dict[str, Any], lock: Manifest | None, patience: Patience) -> HubSnapshot:
    """Without a network, the manifest of an earlier fetch says what has to be there."""
    files = lock.of_origin(origin) if lock else {}
    if not files:
        raise MirrorError(
            f"HF_HUB_OFFLINE is set and no earlier fetch of {hub.repository} at {hub.revision} is recorded; unset it, or name "
            "your own copy as a `file` mirror"
        )
    offers = [Offer(path, path, bytes=record.bytes, sha256=record.sha256) for path, record in files.items()]
    return HubSnapshot(hub, origin, offers, patience, offline=True)


def _session() -> httpx2.Client:
    return get_session()
