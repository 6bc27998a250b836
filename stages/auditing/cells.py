"""Cells of an audit: trainings and evaluations in folders of their own, each a pair of commands with a params file made for it.

    <cells>/<variant>/<seed>/params.yaml     the run alone, with the values of its variant
                            run/, results/, page.json     what stages.train and stages.evaluate write
                            log.txt          what they said, until the cell is complete: it tells times, and results are bytes
                            cell.json        the digest of everything that the cell was made from; written last

A cell whose cell.json has the digest that is wanted is kept. One that was interrupted goes on where its training can. A lock that
the commands inherit keeps a second audit away from a cell whose first one was killed alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

DONE, PLAN, LOG = "cell.json", "plan.json", "log.txt"
SHOWN = 15  # lines of a failed command


class AuditError(RuntimeError):
    """A cell that failed, or results that cannot be compared. The message names the cell and its log."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training and its evaluation.

    folder      its own
    params      text of its params file
    digest      of everything that decides its results
    commands    what is run one after the other: arguments of this Python
    passing     names in the folder that nothing reads once the commands are done: they are deleted
    """

    variant: str
    seed: int
    folder: Path
    params: str
    digest: str
    commands: tuple[tuple[str, ...], ...]
    passing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.variant}/{self.seed}"

    @property
    def is_complete(self) -> bool:
        """Whether its results are there and were made from the same."""
        return _digest(self.folder / DONE) == self.digest


def run_cells(cells: Sequence[Cell], *, jobs: int, label: str, cwd: Path | None = None) -> int:
    """Work on every cell that is not complete, `jobs` at a time; how many there were to do.

    The first failure stops what is under way; cells that are complete stay.

    Raises AuditError.
    """
    todo = [cell for cell in cells if not cell.is_complete]
    stop, running = threading.Event(), _Running()
    bar = tqdm(total=len(cells), initial=len(cells) - len(todo), desc=label, unit="cell", dynamic_ncols=True)
    with bar, ThreadPoolExecutor(jobs) as pool:
        pending: dict[Future[None], Cell] = {pool.submit(_work, cell, running, stop, cwd): cell for cell in todo}
        left = set(pending)
        try:
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    bar.set_postfix_str(f"last {pending[future].name}")
                    bar.update()
        except BaseException:
            stop.set()
            running.end()
            raise
    return len(todo)


def remove_others(folder: Path, cells: Sequence[Cell]) -> None:
    """Delete the cells below `folder` that are no longer wanted."""
    wanted = {cell.folder for cell in cells}
    for variant in folder.iterdir() if folder.is_dir() else ():
        if variant not in {cell.parent for cell in wanted}:
            shutil.rmtree(variant)
            continue
        for cell in variant.iterdir():
            if cell.is_dir() and cell not in wanted:
                shutil.rmtree(cell)
                (variant / f".{cell.name}.lock").unlink(missing_ok=True)


class _Running:
    """Processes under way, to be ended together."""

    def __init__(self) -> None:
        self._lock, self._processes = threading.Lock(), set[subprocess.Popen[bytes]]()

    @contextlib.contextmanager
    def holding(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._processes.add(process)
        try:
            yield
        finally:
            with self._lock:
                self._processes.discard(process)

    def end(self) -> None:
        """Terminate all: SIGINT may be ignored in them, where a shell started this in the background."""
        with self._lock:
            for process in self._processes:
                process.terminate()


def _work(cell: Cell, running: _Running, stop: threading.Event, cwd: Path | None) -> None:
    """Run the commands of a cell, unless the audit is being stopped.

    Raises AuditError with the end of the log.
    """
    if stop.is_set():
        return
    cell.folder.mkdir(parents=True, exist_ok=True)
    with (cell.folder.parent / f".{cell.folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # held by commands that outlived their audit, too: they inherit it
        if cell.is_complete:
            return
        if _digest(cell.folder / PLAN) != cell.digest:
            shutil.rmtree(cell.folder)
            cell.folder.mkdir()
            (cell.folder / "params.yaml").write_text(cell.params, encoding="utf-8")
            _write(cell.folder / PLAN, cell.digest)
        log = cell.folder / LOG
        for command in cell.commands:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    [sys.executable, *command],
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "TQDM_MININTERVAL": "10"},
                    pass_fds=(lock.fileno(),),
                )
                with running.holding(process):
                    code = process.wait()
            if stop.is_set():
                return
            if code:
                told = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN:])
                raise AuditError(f"cell {cell.name}: python {' '.join(command)} ended with {code}; {log} ends with\n{told}")
        log.unlink(missing_ok=True)
        for name in cell.passing:
            shutil.rmtree(cell.folder / name, ignore_errors=True)
        _write(cell.folder / DONE, cell.digest)


def _digest(path: Path) -> str | None:
    """What cell.json or plan.json says; None where there is none, or half of one."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["digest"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, digest: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({"digest": digest}) + "\n", encoding="utf-8")
    partial.replace(path)
