"""The same work on blocks of items, here or in worker processes, one thread each.

A block is worked on as a whole, and blocks do not depend on the number of processes, so neither do the results, to the last bit.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

_tool: Any = None  # of this process: what `prepare` made


def in_blocks(
    work: Callable[[Any, Sequence[Item]], Result],
    items: Sequence[Item],
    *,
    size: int,
    processes: int,
    prepare: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Yield (block, work(tool, block)) in order; tool = prepare(*arguments), made once per process."""
    blocks = [items[begin : begin + size] for begin in range(0, len(items), size)]
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
