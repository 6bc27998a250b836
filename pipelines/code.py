"""The code of a workspace at a commit: what a run on another machine is to work with."""

from __future__ import annotations

import hashlib
import re
import subprocess
from pathlib import Path

from prefect import get_run_logger

LOCK = Path("requirements.lock")
READY = Path(".dvc/tmp/environment")  # digest of the lock file for which the environment was last set up, or is being set up


class CodeError(RuntimeError):
    """The workspace cannot be brought to the commit. The message says what is in the way."""


def at_commit(commit: str | None) -> None:
    """Check a commit out in the current folder, fetching it if need be; renew the environment if it is that of another lock file.

    Raises CodeError: no such commit anywhere, tracked files with changes, or an environment that cannot be set up.
    """
    if commit is None:
        return
    if not re.fullmatch(r"[0-9a-fA-F]{7,40}", commit):
        raise CodeError(f"commit: expected 7 to 40 hex digits (a branch may move under a run), got {commit!r}")
    # dvc.lock is written by every run. Another commit brings its own; DVC's run cache knows what this one said
    changed = [line[3:] for line in _git("status", "--porcelain", "--untracked-files=no").splitlines()]
    if foreign := [path for path in changed if path != "dvc.lock"]:
        raise CodeError(f"{', '.join(foreign[:5])} has changes that are not committed; commit or undo them in this workspace")
    if not READY.exists():
        _note(_digest(LOCK))
    if not _succeeds("cat-file", "-e", f"{commit}^{{commit}}"):
        _git("fetch", "--quiet", "--all")
        if not _succeeds("cat-file", "-e", f"{commit}^{{commit}}"):
            raise CodeError(f"no commit {commit} in this clone, nor at its remotes; push it first")
    if _git("rev-parse", "HEAD") != _git("rev-parse", f"{commit}^{{commit}}"):
        _git("checkout", "--quiet", "--force", "--detach", commit)
    get_run_logger().info("code at %s", _git("log", "-1", "--format=%h %s").strip())
    if (lock := _digest(LOCK)) != READY.read_text(encoding="ascii"):
        done = subprocess.run(["make", "setup"], capture_output=True, text=True, check=False)
        if done.returncode:
            raise CodeError(f"make setup failed after the lock file changed:\n{(done.stdout + done.stderr)[-2000:]}")
        _note(lock)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CodeError(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _succeeds(*arguments: str) -> bool:
    return subprocess.run(["git", *arguments], capture_output=True, check=False).returncode == 0


def _note(digest: str) -> None:
    READY.parent.mkdir(parents=True, exist_ok=True)
    READY.write_text(digest, encoding="ascii")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
