"""Mirror `git`: a file or folder of a git repository at one commit, by the git program.

Only the commit asked for is fetched, without history, and only the files asked for where the server can select (partial clone).
Git checks what it receives against the commit's own digests.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from stages.sources.digests import CHUNK, Digest, Hasher
from stages.sources.errors import MirrorError
from stages.sources.offers import Offer, offered_name
from stages.sources.settings import GIT_PROTOCOLS, Git, SourceEntry
from stages.sources.watch import Watch

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
FILE_MODES = ("100644", "100755")
DEAD_AFTER_A_MINUTE = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60")
# What git, curl, its TLS libraries and ssh say, in English, of a server that is out of reach or too busy.
PASSING = re.compile(
    r"could not resolve|unable to look up|couldn't connect|failed to connect|connection (?:refused|reset|timed out|closed)"
    r"|timed out|timeout|network is unreachable|no route to host|empty reply|operation too slow|early eof|hung up unexpectedly"
    r"|recv failure|rpc failed|unexpected disconnect|ssl_error_syscall|ssl_connect|handshake\(\) failed"
    r"|tls connection was non-properly|unexpected eof|returned error: (?:408|425|429|5\d\d)",
    re.IGNORECASE,
)
LASTING = re.compile(r"certificate|authentication failed|permission denied|terminal prompts disabled", re.IGNORECASE)


class GitSnapshot:
    """A repository at a commit, held in a bare clone below `work`; one that an interrupted run left there is used again."""

    frozen = True
    trusted = False
    linked = False

    def __init__(self, git: Git, source: SourceEntry, work: Path, watch: Watch) -> None:
        if shutil.which("git") is None:
            raise MirrorError("the program git is not installed")
        self.origin = {
            "kind": "git", "repository": git.repository, "commit": git.commit, "path": git.path, "into": source.into,
        }  # fmt: skip
        self._git, self._watch = git, watch
        key = hashlib.sha256(f"{git.repository} {git.commit}".encode()).hexdigest()[:16]
        self._clone = work / f"git-{key}"
        self._fetch_commit()
        self.offers = self._listing(source)
        self._fetch_blobs()

    def digest_of(self, offer: Offer, watch: Watch) -> Digest | None:  # noqa: ARG002
        """None: git's blob id is in the offer."""
        return None

    def deliver(self, offer: Offer, partial: Path, watch: Watch) -> Digest:
        """Write the file's content at the commit."""
        assert offer.git_blob is not None  # _listing
        size = int(self._run("cat-file", "-s", offer.git_blob))
        hasher = Hasher(size)
        command = self._command("cat-file", "blob", offer.git_blob)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=_environment())
        assert process.stdout is not None  # PIPE
        try:
            with process.stdout, partial.open("wb") as stream:
                while chunk := process.stdout.read(CHUNK):
                    if hasher.bytes == 0 and chunk.startswith(LFS_POINTER):
                        raise MirrorError(f"{offer.name} is kept in Git LFS, which this mirror does not read; name a url or hub")
                    stream.write(chunk)
                    hasher.update(chunk)
                    watch.advance(len(chunk))
        finally:
            process.kill()
            process.wait()
        return hasher.digest()

    def close(self) -> None:
        """The clone goes with `work`."""

    def _fetch_commit(self) -> None:
        if self._clone.is_dir() and self._succeeds("cat-file", "-e", f"{self._git.commit}^{{tree}}"):
            return  # left by an interrupted run
        shutil.rmtree(self._clone, ignore_errors=True)
        self._clone.parent.mkdir(parents=True, exist_ok=True)
        _call(["git", "init", "--quiet", "--bare", str(self._clone)])
        self._run("remote", "add", "origin", "--", self._git.repository)
        self._run("config", "remote.origin.promisor", "true")
        self._run("config", "remote.origin.partialclonefilter", "blob:none")
        self._run("fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "origin", self._git.commit)

    def _listing(self, source: SourceEntry) -> list[Offer]:
        what = f"{self._git.repository} at {self._git.commit[:12]}"
        output = self._run("ls-tree", "-r", "-z", self._git.commit, "--", f":(literal){self._git.path}")
        offers = []
        for line in filter(None, output.split("\0")):
            facts, _, path = line.partition("\t")
            mode, _, blob = facts.split(" ")
            if mode not in FILE_MODES:
                raise MirrorError(f"{what}: {path!r} is a link or a submodule, which this mirror does not take")
            single = path == self._git.path
            below = path.rsplit("/", 1)[-1] if single else path.removeprefix(f"{self._git.path}/")
            offers.append(Offer(source.target(offered_name(below, what), single=single), path, git_blob=blob))
        if not offers:
            raise MirrorError(f"{what}: there is no {self._git.path!r}")
        return offers

    def _fetch_blobs(self) -> None:
        """All contents in one request; one by one, as git would do by itself, takes a connection per file."""
        wanted = sorted({offer.git_blob for offer in self.offers if offer.git_blob})
        check = self._run("rev-list", "--objects", "--missing=print", self._git.commit)
        missing = {line[1:] for line in check.splitlines() if line.startswith("?")}
        needed = [blob for blob in wanted if blob in missing]
        if needed:
            options = ("-c", "fetch.negotiationAlgorithm=noop")
            fetch = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--filter=blob:none", "--stdin", "origin")
            self._run(*options, *fetch, text="\n".join(needed) + "\n")

    def _run(self, *arguments: str, text: str = "") -> str:
        self._watch.check()
        return _call(self._command(*arguments), text)

    def _succeeds(self, *arguments: str) -> bool:
        return subprocess.run(self._command(*arguments), capture_output=True, env=_environment(), check=False).returncode == 0

    def _command(self, *arguments: str) -> list[str]:
        return ["git", "--git-dir", str(self._clone), *DEAD_AFTER_A_MINUTE, *arguments]


def _environment() -> dict[str, str]:
    """Never ask on the terminal; no protocol that runs programs; no fetching behind our back."""
    ours = {"GIT_TERMINAL_PROMPT": "0", "GIT_ALLOW_PROTOCOL": ":".join(GIT_PROTOCOLS), "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    return {**os.environ, **ours}


def _call(command: list[str], text: str = "") -> str:
    """What a git command prints. Raises MirrorError with what it says of its failure."""
    result = subprocess.run(command, input=text.encode(), capture_output=True, env=_environment(), check=False)
    if result.returncode != 0:
        output = result.stderr.decode(errors="replace")
        lines = [line for line in output.splitlines() if line]
        said = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "ssh:"))] or lines[-1:]
        raise MirrorError(f"git: {'; '.join(said[:3]) or f'exit code {result.returncode}'}", passing=_may_pass(output))
    return result.stdout.decode(errors="surrogateescape")


def _may_pass(output: str) -> bool:
    """True if the same command may do later; addresses and paths, which git quotes, decide nothing."""
    unquoted = re.sub(r"'[^'\n]*'", "", output)
    return PASSING.search(unquoted) is not None and LASTING.search(unquoted) is None
