"""The git mirror against real repositories on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stages.sources.errors import FetchError
from stages.sources.settings import Git, Mirror, SourceEntry
from tests.stages.sources.hub_files import contents


def git(folder: Path, *arguments: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    command = ["git", "-C", str(folder), "-c", "init.defaultBranch=main", "-c", "uploadpack.allowFilter=true", *arguments]
    return subprocess.run(command, env={**os.environ, **identity}, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    """A repository with two commits: data/train.jsonl holds "one", then "two"."""
    folder = tmp_path / "upstream"
    (folder / "data/sub").mkdir(parents=True)
    git(folder, "init", "--quiet")
    git(folder, "config", "uploadpack.allowFilter", "true")
    (folder / "data/sub/test file.jsonl").write_bytes(b"test")
    for content in (b"one", b"two"):
        (folder / "data/train.jsonl").write_bytes(content)
        git(folder, "add", "-A")
        git(folder, "commit", "--quiet", "-m", "data")
    return folder


def source(upstream: Path, commit: str, path: str, into: str = ".", **stated: Any) -> SourceEntry:
    mirror = Mirror(git=Git(repository=upstream.as_uri(), commit=commit, path=path))
    return SourceEntry(into=into, mirrors=(mirror,), **stated)


def test_file_is_taken_at_its_commit(upstream, fetched, out):
    fetched(source(upstream, git(upstream, "rev-parse", "HEAD~1"), "data/train.jsonl", "train.jsonl", bytes=3))
    assert contents(out) == {"train.jsonl": b"one"}
    assert not (out / ".fetch").exists()


def test_folder_is_taken_whole(upstream, fetched, out):
    entry = source(upstream, git(upstream, "rev-parse", "HEAD"), "data")
    fetched(entry)
    assert contents(out) == {"train.jsonl": b"two", "sub/test file.jsonl": b"test"}
    assert fetched(entry).fetched == 0


def test_another_commit_in_the_parameters_is_consent_to_its_content(upstream, fetched, out):
    for revision, content in (("HEAD~1", b"one"), ("HEAD", b"two")):
        fetched(source(upstream, git(upstream, "rev-parse", revision), "data/train.jsonl"))
        assert contents(out) == {"train.jsonl": content}


def test_unknown_commit_path_and_repository_are_told_apart(upstream, tmp_path, fetched):
    head = git(upstream, "rev-parse", "HEAD")
    with pytest.raises(FetchError, match=f"git: .*{'0' * 40}"):
        fetched(source(upstream, "0" * 40, "data"))
    with pytest.raises(FetchError, match=f"at {head[:12]}: there is no 'data/missing'"):
        fetched(source(upstream, head, "data/missing"))
    with pytest.raises(FetchError, match=r"git: .*does not appear to be a git repository"):
        fetched(source(tmp_path / "nowhere", head, "data"))


def test_link_in_the_repository_is_refused(upstream, fetched, out):
    (upstream / "data/link").symlink_to("/etc/passwd")
    git(upstream, "add", "-A")
    git(upstream, "commit", "--quiet", "-m", "link")
    with pytest.raises(FetchError, match="'data/link' is a link or a submodule"):
        fetched(source(upstream, git(upstream, "rev-parse", "HEAD"), "data"))
    assert contents(out) == {}


def test_pointer_of_git_lfs_is_not_taken_for_the_file(upstream, fetched, out):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    (upstream / "data/train.jsonl").write_text(pointer)
    git(upstream, "commit", "--quiet", "-am", "lfs")
    with pytest.raises(FetchError, match=r"data/train\.jsonl is kept in Git LFS"):
        fetched(source(upstream, git(upstream, "rev-parse", "HEAD"), "data/train.jsonl"))
    assert contents(out) == {}


def test_only_the_file_asked_for_is_transferred(upstream, fetched, out):
    (upstream / "data/large.bin").write_bytes(os.urandom(3_000_000))
    git(upstream, "add", "-A")
    git(upstream, "commit", "--quiet", "-m", "large")
    wanted = source(upstream, git(upstream, "rev-parse", "HEAD"), "data/train.jsonl")
    missing = source(upstream, "0" * 40, "data")
    with pytest.raises(FetchError):  # so that the clone is still there to be weighed
        fetched(wanted, missing)
    clones = list((out / ".fetch").glob("git-*"))
    assert clones
    assert sum(path.stat().st_size for clone in clones for path in clone.rglob("*") if path.is_file()) < 1_000_000
    fetched(wanted)
    assert contents(out) == {"train.jsonl": b"two"}


@contextmanager
def answering(status: int | None) -> Iterator[int]:
    """Port of a server on this machine that answers every request with a status, or, for None, hangs up before it says a word."""

    class Answer(BaseHTTPRequestHandler):
        def handle(self) -> None:
            if status is not None:
                super().handle()

        def do_GET(self) -> None:
            assert status is not None
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def refused(fetched: Any, repository: str) -> FetchError:
    mirror = Mirror(git=Git(repository=repository, commit="0" * 40, path="data"))
    with pytest.raises(FetchError) as caught:
        fetched(SourceEntry(into=".", mirrors=(mirror,)))
    return caught.value


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("language", ["C", "de_DE.UTF-8"])
@pytest.mark.parametrize("scheme", ["http", "https", "git"])
def test_a_server_that_is_not_there_may_be_there_later(scheme, language, fetched, monkeypatch):
    monkeypatch.setenv("LC_ALL", language)
    monkeypatch.setenv("LANGUAGE", language[:2])
    assert refused(fetched, f"{scheme}://127.0.0.1:{closed_port()}/r.git").passing


def test_a_name_that_does_not_resolve_may_resolve_later(fetched):
    error = refused(fetched, "https://no-such-host.invalid/r.git")
    assert "resolve" in str(error).lower()
    assert error.passing


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_too_busy_may_answer_later(status, fetched):
    with answering(status) as port:
        error = refused(fetched, f"http://127.0.0.1:{port}/r.git")
    assert str(status) in str(error)
    assert error.passing


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_is_cut_may_hold_later(scheme, fetched):
    with answering(None) as port:
        assert refused(fetched, f"{scheme}://127.0.0.1:{port}/r.git").passing


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_what_a_server_refuses_is_refused_later_too(status, fetched):
    with answering(status) as port:
        assert not refused(fetched, f"http://127.0.0.1:{port}/r.git").passing


def test_what_is_no_repository_or_has_no_such_commit_stays_so(upstream, fetched):
    assert not refused(fetched, (upstream / "data").as_uri()).passing
    assert not refused(fetched, upstream.as_uri()).passing


def test_a_name_in_a_message_does_not_decide(tmp_path, fetched):
    assert not refused(fetched, (tmp_path / "Connection timed out").as_uri()).passing
