"""Work split over processes, or done here: the same calls, the same results, in the same order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Self, TypeVar

PARALLEL_BYTES = 4_000_000_000
MOST_WORKERS = 8

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """`count` processes, started at the first call of `run`; none at all for 1. Tasks, results and functions must be picklable.

    Processes are spawned, not forked: the parent may have threads (progress bar, torch) that a fork would tear.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ProcessPoolExecutor | None = None

    def run(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """The results in the order of the tasks. Few tasks are in flight at a time, so that memory stays constant."""
        if self.count == 1:
            yield from map(function, tasks)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self.count, multiprocessing.get_context("spawn"))
        pending: deque[Future[Result]] = deque()
        for task in tasks:
            pending.append(self._pool.submit(function, task))
            if len(pending) > 2 * self.count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worthwhile(size: int) -> int:
    """How many processes pay for reading `size` bytes of files: starting them costs about a second."""
    return min(available_cores(), MOST_WORKERS) if size >= PARALLEL_BYTES else 1
