"""Run a reader on a hostile file and see that it does nothing but read: no hang, no flood of memory, no writing, no program.

    with Guard(folder) as guard:
        guard.run(lambda: read(folder / "x"), allowed=(InputError,))

Python's audit hooks cannot be removed, so there is one, which listens while a guard is at work.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 20  # of processor time; what is tested needs milliseconds
MEMORY = 1 << 30  # bytes that a reader of a small file may ask for beyond what the process has

_FORBIDDEN = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn", "socket.connect")
_WRITING = ("os.rename", "os.remove", "os.symlink", "os.link", "os.mkdir", "os.truncate", "os.chmod", "shutil.rmtree")


class HangError(BaseException):
    """The reader took too long. Not an Exception: nothing may take it for a fault of the file."""


class TrespassError(AssertionError):
    """The reader did something else than reading."""


_watching: list[tuple[Path, list[str]]] = []


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    folder, seen = _watching[-1]
    if event in _FORBIDDEN:
        seen.append(f"{event} {arguments!r:.200}")
    elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
        mode, flags = arguments[1], arguments[2]
        writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (
            isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
        )
        if writes and not _inside(arguments[0], folder):
            seen.append(f"open {arguments[0]!r} for writing")
    elif event in _WRITING and not all(
        _inside(name, folder) for name in arguments if isinstance(name, str | bytes | os.PathLike)
    ):
        seen.append(f"{event} {arguments!r:.200}")


def _inside(name: Any, folder: Path) -> bool:
    path = os.path.realpath(os.fsdecode(name))
    return path.startswith(f"{folder}{os.sep}") or "__pycache__" in path or path == os.devnull


_installed: list[bool] = []


class Guard:
    """Watches readers; writing is allowed below `folder` only."""

    def __init__(self, folder: Path, memory: int = MEMORY) -> None:
        self.folder, self.memory = Path(os.path.realpath(folder)), memory
        if not _installed:
            sys.addaudithook(_listen)
            _installed.append(True)

    def run_for(self, read: Callable[[], Any]) -> Any:
        """Read; what was read. Whatever is raised comes through."""
        found: list[Any] = []
        self.run(lambda: found.append(read()), allowed=())
        return found[0]

    def run(self, read: Callable[[], object], allowed: tuple[type[BaseException], ...]) -> BaseException | None:
        """Read; what was raised if it is one of the `allowed` errors.

        Any other exception comes through. Raises HangError, TrespassError; a flood of memory is a MemoryError.
        """
        seen: list[str] = []
        raised: BaseException | None = None
        _watching.append((self.folder, seen))
        try:
            with _limited(self.memory), _timed():
                read()
        except allowed as error:
            raised = error
        finally:
            _watching.pop()
        if seen:
            raise TrespassError("; ".join(seen))
        return raised


@contextmanager
def _limited(memory: int) -> Iterator[None]:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def _timed() -> Iterator[None]:
    def stop(_signal: int, _frame: object) -> None:
        raise HangError(f"more than {SECONDS} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
