"""What params.yaml says under `datasets.<name>.sources`: which files, from where, in order of preference.

A source is one file or one folder of files below data/raw/<dataset>/; its mirrors are tried in their order.
The checks here are those a reader of params.yaml can make without a network: form, not existence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import urlsplit

from stages.sources.names import UnsafeNameError, checked_name

COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.\-]*(/[A-Za-z0-9][\w.\-]*)?")
REVISION = re.compile(r"[A-Za-z0-9][\w.\-/]*")
GIT_PROTOCOLS = ("https", "http", "ssh", "git", "file")


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Files of a Hugging Face repository, taken at one commit.

    repository   "owner/name"
    revision     a commit of 40 hex digits (best), or a branch or tag: resolved at the first fetch, the lock keeps the commit
    patterns     shell patterns of paths in the repository, each must match; () = every file. As in the client, "*" matches "/"
    strip        leading folder that is cut from the paths before they are put below `into`
    endpoint     None: HF_ENDPOINT, or https://huggingface.co
    """

    repository: str
    type: Literal["dataset", "model"] = "dataset"
    revision: str = "main"
    patterns: tuple[str, ...] = ()
    strip: str = ""
    endpoint: str | None = None

    def __post_init__(self) -> None:
        if not REPOSITORY.fullmatch(self.repository):
            raise ValueError(f"repository: expected 'owner/name', got {self.repository!r}")
        if not REVISION.fullmatch(self.revision) or ".." in self.revision:
            raise ValueError(f"revision: expected a commit, branch or tag, got {self.revision!r}")
        if "" in self.patterns:
            raise ValueError("patterns: an empty pattern matches nothing; leave the list empty to take every file")
        if self.strip:
            _check_name("strip", self.strip)
        if self.endpoint is not None:
            _check_url("endpoint", self.endpoint)

    @property
    def pinned(self) -> bool:
        """True if the revision is a commit, which cannot move."""
        return COMMIT.fullmatch(self.revision) is not None


@dataclass(frozen=True, kw_only=True)
class Url:
    """One file behind an http(s) address."""

    url: str

    def __post_init__(self) -> None:
        _check_url("url", self.url)


@dataclass(frozen=True, kw_only=True)
class Git:
    """A file or folder of a git repository at one commit (40 hex digits)."""

    repository: str
    commit: str
    path: str

    def __post_init__(self) -> None:
        scheme, colon, _ = self.repository.partition("://")
        local_or_scp = not colon and "::" not in self.repository
        if colon and urlsplit(self.repository).password is not None:
            raise ValueError("repository: an address with a password would end in the manifest; use git's credential helpers")
        if self.repository.startswith("-") or not (local_or_scp or scheme in GIT_PROTOCOLS):
            raise ValueError(f"repository: expected a git address ({', '.join(GIT_PROTOCOLS)}), got {self.repository!r}")
        if not COMMIT.fullmatch(self.commit):
            raise ValueError(f"commit: expected 40 hex digits (a branch would not be pinned), got {self.commit!r}")
        _check_name("path", self.path)


@dataclass(frozen=True, kw_only=True)
class File:
    """The user's own copy: a file or a folder, relative to the repository root or absolute.

    For a single file, "<path>.gz" is taken, decompressed, where "<path>" is not there.
    link   True: hard links instead of copies where the file system allows (saves the space; the copy must then never be edited)
    """

    path: str
    link: bool = False

    def __post_init__(self) -> None:
        if not self.path or "\0" in self.path:
            raise ValueError(f"path: expected a file or folder, got {self.path!r}")


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """One place to take a source from: exactly one of the four kinds."""

    hub: Hub | None = None
    url: Url | None = None
    git: Git | None = None
    file: File | None = None

    def __post_init__(self) -> None:
        given = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        if len(given) != 1:
            raise ValueError(f"a mirror is exactly one of hub, url, git, file; got {' and '.join(given) or 'none'}")

    @property
    def settings(self) -> Hub | Url | Git | File:
        """The one kind that is given."""
        chosen = self.hub or self.url or self.git or self.file
        assert chosen is not None  # __post_init__
        return chosen


@dataclass(frozen=True, kw_only=True)
class SourceEntry:
    """One file or one folder of files below data/raw/<dataset>/.

    into            "." or a path below data/raw/<dataset>/. A mirror that holds one file (a url, a git or own file, one hub
                    pattern without wildcards) writes it under this very name, or, where `into` is "." or ends in "/", under
                    its own name in that folder; a mirror that holds a folder puts it below `into`
    sha256, bytes   of the uncompressed file, for single files, where known; None: recorded in the manifest at the first fetch
    mirrors         in order of preference
    """

    into: str
    sha256: str | None = None
    bytes: int | None = None
    mirrors: tuple[Mirror, ...]

    def __post_init__(self) -> None:
        if self.into.rstrip("/") != ".":
            _check_name("into", self.into.removesuffix("/"))
        if self.sha256 is not None and not SHA256.fullmatch(self.sha256):
            raise ValueError(f"sha256: expected 64 lower-case hex digits, got {self.sha256!r}")
        if self.bytes is not None and self.bytes < 0:
            raise ValueError(f"bytes: expected a size, got {self.bytes}")
        if not self.mirrors:
            raise ValueError("mirrors: at least one is needed")

    def target(self, name: str, *, single: bool) -> str:
        """Path below data/raw/<dataset>/ of the file that the mirror calls `name`."""
        if self.into.rstrip("/") == ".":
            return name
        if self.into.endswith("/"):
            return f"{self.into}{name}"
        return self.into if single else f"{self.into}/{name}"


def _check_name(field: str, value: str) -> None:
    try:
        checked_name(value)
    except UnsafeNameError as problem:
        raise ValueError(f"{field}: expected a plain relative path, got {value!r}: {problem}") from None


def _check_url(field: str, value: str) -> None:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{field}: expected an http(s) address, got {value!r}")
    if parts.username or parts.password:
        raise ValueError(f"{field}: an address with a password would end in the manifest; {parts.hostname} must go without")
    if PurePosixPath(parts.path).name == "" and field == "url":
        raise ValueError(f"{field}: expected the address of one file, got {value!r}")
