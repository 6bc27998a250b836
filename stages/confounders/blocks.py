"""The same work on blocks of items: here, in worker processes, or on the workers of a Dask cluster; one thread each.

A block is worked on as a whole, and blocks do not depend on who works on them, so neither do the results, to the last bit.

Dask (package `distributed`, the extra `dask`) is where several machines help: DASK_SCHEDULER_ADDRESS says where its scheduler is;
without one a cluster of local processes is started. Workers run in a clone at the same commit and read models from it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

SCHEDULER = "DASK_SCHEDULER_ADDRESS"

_tool: Any = None  # of this process: what `prepare` made
_tools: dict[Any, Any] = {}  # of a Dask worker, which may serve several stages
_alone = threading.Lock()  # its threads take turns: a tool is not made for two


class EngineError(LookupError):
    """What shall do the work is not installed or not there; the message says the way out."""


def in_blocks(
    work: Callable[[Any, Sequence[Item]], Result],
    items: Sequence[Item],
    *,
    size: int,
    processes: int,
    prepare: Callable[..., Any],
    arguments: tuple[Any, ...],
    engine: str = "processes",
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Yield (block, work(tool, block)) in order; tool = prepare(*arguments), made once per process.

    engine    processes: `processes` of them on this machine; dask: the workers of a cluster

    Raises EngineError.
    """
    blocks = [items[begin : begin + size] for begin in range(0, len(items), size)]
    if engine == "dask":
        if blocks:
            yield from _by_dask(work, blocks, processes, prepare, arguments)
        return
    if min(processes, len(blocks)) <= 1:
        if not blocks:
            return
        with one_thread():
            tool = prepare(*arguments)
            for block in blocks:
                yield block, work(tool, block)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
    with ProcessPoolExecutor(min(processes, len(blocks)), context, _begin, (prepare, arguments)) as pool:
        try:
            yield from zip(blocks, pool.map(_on_block, [work] * len(blocks), blocks), strict=True)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _by_dask(
    work: Callable[[Any, Any], Any],
    blocks: Sequence[Any],
    processes: int,
    prepare: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> Iterator[tuple[Any, Any]]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise EngineError("engine is dask, but Dask is not installed: pip install distributed, or engine: processes") from None
    address = os.environ.get(SCHEDULER)
    own = None if address else LocalCluster(n_workers=processes, threads_per_worker=1, dashboard_address=None)
    try:
        client = Client(address or own, timeout="30s")
    except OSError as error:
        raise EngineError(f"{SCHEDULER} is {address}, and no scheduler answers there ({error}); start it or unset it") from None
    try:
        futures = client.map(_on_worker, blocks, work=work, prepare=prepare, arguments=arguments, pure=False)
        for block, future in zip(blocks, futures, strict=True):
            yield block, future.result()
    finally:
        client.close()
        if own is not None:
            own.close()


def _on_worker(block: Any, *, work: Callable[[Any, Any], Any], prepare: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    key = (prepare, arguments)
    with _alone, one_thread():
        if key not in _tools:
            _tools[key] = prepare(*arguments)
        return work(_tools[key], block)


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: small recurrent layers are faster so, and sums always in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _begin(prepare: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _tool
    torch.set_num_threads(1)
    _tool = prepare(*arguments)


def _on_block(work: Callable[[Any, Any], Any], block: Any) -> Any:
    return work(_tool, block)
