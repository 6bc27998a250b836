"""Cells of an audit: trainings and evaluations in folders of their own, each run by commands with a params file made for it.

    <cells>/<variant>/<seed>/params.yaml     the run alone, with the values of its variant
                            run/, results/, page.json     what stages.train and stages.evaluate write
                            plan.json        the digest of everything that the cell is made from; written before commands start
                            log.txt          output of the commands; deleted on completion, because it contains timings and
                                             finished cells must be byte-identical
                            cell.json        the same digest, written last: the cell is complete

A complete cell with the wanted digest is not run again. An incomplete one with the wanted digest runs its commands again, and an
interrupted training resumes. A cell with another digest is deleted and started anew. Commands inherit a lock, so that a second
audit waits while commands of a killed one still run in the cell.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
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

log = logging.getLogger(__name__)


class AuditError(RuntimeError):
    """A cell that failed, or results that cannot be compared. The message names the cell and the file."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training and its evaluation, or the data that trainings of a sweep read.

    folder       where the commands write
    params       content of <folder>/params.yaml
    digest       of everything that decides the results
    commands     arguments of this Python, run one after the other
    results      files below the folder that the commands write; the cell is complete only if each is there and readable
    temporary    names in the folder that nothing reads once the commands have ended: they are deleted
    """

    variant: str
    seed: int
    folder: Path
    params: str
    digest: str
    commands: tuple[tuple[str, ...], ...]
    results: tuple[str, ...] = ()
    temporary: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.variant}/{self.seed}"

    @property
    def is_complete(self) -> bool:
        """Whether its results were made from what is wanted now, and are there and readable."""
        return _digest(self.folder / DONE) == self.digest and not self.unreadable()

    def unreadable(self) -> list[Path]:
        """The result files that are missing, empty or, of those that end with .json, cut short."""
        return [path for name in self.results if not _is_readable(path := self.folder / name)]


def run_cells(cells: Sequence[Cell], *, jobs: int, label: str, cwd: Path | None = None) -> int:
    """Run the commands of every cell that is not complete, `jobs` cells at a time; returns how many cells were run.

    The first failure terminates the cells that are running; complete cells stay.

    Raises AuditError.
    """
    todo = [cell for cell in cells if not cell.is_complete]
    running = Running()
    bar = tqdm(total=len(cells), initial=len(cells) - len(todo), desc=label, unit="cell", dynamic_ncols=True)
    with bar, ThreadPoolExecutor(jobs) as pool:
        pending: dict[Future[None], Cell] = {pool.submit(_work, cell, running, cwd): cell for cell in todo}
        left = set(pending)
        try:
            while left:
                done, left = wait(left, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    bar.set_postfix_str(f"last {pending[future].name}")
                    bar.update()
        except BaseException:
            running.end()
            raise
    return len(todo)


def other_cells(folder: Path, cells: Sequence[Cell]) -> list[Path]:
    """Folders of cells below `folder`, <variant>/<seed>, that are none of `cells`, in order."""
    asked = {cell.folder for cell in cells}
    return sorted(path for path in folder.glob("*/*") if path.is_dir() and path not in asked)


def keep_or_remove_others(place: str, folder: Path, cells: Sequence[Cell], *, removing: bool) -> None:
    """Log which cells below `folder` are none of `cells`, and delete them if told to; place: the entry of params.yaml."""
    others = other_cells(folder, cells)
    if removing:
        for path in others:
            remove(path)
            log.info("removed %s", path)
    elif others:
        names = ", ".join(str(path.relative_to(folder)) for path in others)
        log.info("%d cells that %s does not ask for are kept, %s; --remove-others deletes them", len(others), place, names)


def remove(folder: Path) -> None:
    """Delete the folder of a cell with its lock, and the folder of its variant if that was the last cell in it."""
    shutil.rmtree(folder)
    (folder.parent / f".{folder.name}.lock").unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty
        folder.parent.rmdir()


class Running:
    """The processes that are running; after `end` every one that is added is terminated as well."""

    def __init__(self) -> None:
        self._lock, self._processes = threading.Lock(), set[subprocess.Popen[bytes]]()
        self.ended = False

    @contextlib.contextmanager
    def holding(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Have the process terminated by `end`, at once if that was called between its start and now."""
        with self._lock:
            self._processes.add(process)
            if self.ended:
                process.terminate()
        try:
            yield
        finally:
            with self._lock:
                self._processes.discard(process)

    def end(self) -> None:
        """Terminate all, by SIGTERM: SIGINT may be ignored in them, where a shell started this in the background."""
        with self._lock:
            self.ended = True
            for process in self._processes:
                process.terminate()


def _work(cell: Cell, running: Running, cwd: Path | None) -> None:
    """Run the commands of a cell, unless the audit is being stopped.

    Raises AuditError with the end of the log.
    """
    if running.ended:
        return
    cell.folder.mkdir(parents=True, exist_ok=True)
    with (cell.folder.parent / f".{cell.folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the commands inherit it and hold it when the audit is killed alone
        if cell.is_complete:
            return
        if _digest(cell.folder / PLAN) != cell.digest:
            shutil.rmtree(cell.folder)
            cell.folder.mkdir()
            (cell.folder / "params.yaml").write_text(cell.params, encoding="utf-8")
            _write(cell.folder / PLAN, cell.digest)
        (cell.folder / DONE).unlink(missing_ok=True)
        for command in cell.commands:
            code = _run(command, cell, running, lock.fileno(), cwd)
            if running.ended:
                return
            if code:
                raise AuditError(f"cell {cell.name}: python {' '.join(command)} ended with {code}; {_end_of_log(cell)}")
        if bad := cell.unreadable():
            raise AuditError(
                f"cell {cell.name}: its commands ended with 0, but {bad[0]} is missing or cut short; {_end_of_log(cell)}"
            )
        (cell.folder / LOG).unlink(missing_ok=True)
        for name in cell.temporary:
            shutil.rmtree(cell.folder / name, ignore_errors=True)
        _write(cell.folder / DONE, cell.digest)


def _run(command: Sequence[str], cell: Cell, running: Running, lock: int, cwd: Path | None) -> int:
    """The exit code of a command, whose output is added to the log of the cell; lock: file descriptor that it inherits."""
    with (cell.folder / LOG).open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "TQDM_MININTERVAL": "10"},
            pass_fds=(lock,),
        )
        with running.holding(process):
            return process.wait()


def _end_of_log(cell: Cell) -> str:
    file = cell.folder / LOG
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()[-SHOWN:]
    return "\n".join([f"{file} ends with", *lines])


def _is_readable(path: Path) -> bool:
    try:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        return path.stat().st_size > 0
    except (OSError, ValueError):
        return False


def _digest(path: Path) -> str | None:
    """The digest in cell.json or plan.json; None where the file is missing or cut short."""
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["digest"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write(path: Path, digest: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({"digest": digest}) + "\n", encoding="utf-8")
    partial.replace(path)
