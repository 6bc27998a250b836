"""What the user sees and says while files are fetched: progress, notes, the wish to stop; and the pace that servers ask for."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tqdm import tqdm

from stages.sources.errors import FetchStopped

T = TypeVar("T")
LAST_WORDS = 5.0  # seconds that workers are given to end after a stop; what they leave behind is safe at any moment


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long network faults are borne.

    attempts             tries of one request without any progress in between
    first_wait           seconds before the second try; doubled each time up to longest_wait
    longest_retry_after  a server that asks for more than this is given up
    timeout              seconds without a byte before a connection counts as dead
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_retry_after: float = 900.0
    timeout: float = 60.0

    def wait(self, attempt: int) -> float:
        """Seconds before the try after the `attempt`-th failed one."""
        return min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1))


class Watch:
    """Progress of one fetch, shared by its threads: once one has failed, or on Ctrl-C, the others get FetchStopped from it."""

    def __init__(self, description: str, *, quiet: bool = False) -> None:
        self._description, self._quiet = description, quiet
        self._bar: tqdm | None = None  # shown once there is something to fetch
        self._lock = threading.Lock()
        self._halt = threading.Event()  # set: every thread ends at its next chunk
        self._stopped = False
        self._resume_at = 0.0

    def expect(self, count: int) -> None:
        """So many more bytes belong to the whole."""
        with self._lock:
            self._shown().total += count

    @contextmanager
    def part(self, count: int) -> Iterator[None]:
        """A part of so many bytes: what a failure leaves of it does not count."""
        bar = self._shown()
        done, total = bar.n, bar.total
        self.expect(count)
        try:
            yield
        except Exception:
            with self._lock:
                bar.n, bar.total = done, total
            raise

    def advance(self, count: int) -> None:
        """So many bytes are done; negative where work is thrown away."""
        self.check()
        with self._lock:
            self._shown().update(count)

    def note(self, text: str) -> None:
        """A line for the user, beside the progress bar."""
        with self._lock:
            tqdm.write(text, file=sys.stderr)

    def check(self) -> None:
        """Raise FetchStopped if there is no use in going on."""
        if self._halt.is_set():
            raise FetchStopped

    def stop(self) -> None:
        """The user wants to stop: ask all threads to end at their next chunk."""
        self._stopped = True
        self._halt.set()

    def hold(self, seconds: float, why: str) -> None:
        """Let every thread wait for so long: a server asked for it."""
        until = time.monotonic() + seconds
        with self._lock:
            longer = until > self._resume_at + 0.5
            self._resume_at = max(self._resume_at, until)
        if longer:
            self.note(f"{why}; waiting {seconds:.0f} s")

    def pace(self) -> None:
        """Return when no server asks us to wait any more."""
        while (left := self._resume_at - time.monotonic()) > 0:
            self.pause(left)
        self.check()

    def pause(self, seconds: float) -> None:
        """Sleep, unless the user wants to stop."""
        self._halt.wait(seconds)
        self.check()

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _shown(self) -> tqdm:
        if self._bar is None:
            terminal = sys.stderr.isatty()
            self._bar = tqdm(
                total=0, desc=self._description, unit="B", unit_scale=True, disable=self._quiet, file=sys.stderr,
                mininterval=0.2 if terminal else 30.0, dynamic_ncols=terminal,
            )  # fmt: skip
        return self._bar

    def each(self, work: Callable[[T], None], items: Iterable[T], threads: int) -> None:
        """work(item) for every item, in `threads` threads.

        The first failure stops the rest and is raised here. Ctrl-C becomes FetchStopped, even where a worker waits for a server.
        """
        source, failures = _Handing(items), list[BaseException]()

        def worker() -> None:
            try:
                for item in source:
                    self.check()
                    work(item)
            except BaseException as failure:  # whatever it is, it is raised in the calling thread
                failures.append(failure)
                source.close()
                self._halt.set()

        workers = [threading.Thread(target=worker, daemon=True) for _ in range(threads)]
        for thread in workers:
            thread.start()
        try:
            for thread in workers:
                while thread.is_alive():
                    thread.join(0.2)  # a plain join would not let Ctrl-C through
        except KeyboardInterrupt:
            self.stop()
            source.close()
            deadline = time.monotonic() + LAST_WORDS
            for thread in workers:
                thread.join(max(0.0, deadline - time.monotonic()))
            raise FetchStopped from None
        if not self._stopped:
            self._halt.clear()
        if failures:
            # the failure itself rather than a stop or an interruption that it caused elsewhere
            raise next((failure for failure in failures if not isinstance(failure, FetchStopped)), failures[0])


class _Handing(Iterator[T]):
    """Hands the items of one iterable to several threads, until closed."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._lock = threading.Lock()
        self._closed = False

    def __next__(self) -> T:
        with self._lock:
            if self._closed:
                raise StopIteration
            return next(self._items)

    def close(self) -> None:
        self._closed = True
