"""Several stages one after the other in one process: the libraries, whose loading takes most of a short cell, are loaded once.

python -m stages.auditing.steps stages.train --name r --out o -- stages.evaluate --name r

The first step that fails ends it, with its exit code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence

BETWEEN = "--"


def chained_command(steps: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Arguments of Python that run these steps, each a module and its arguments."""
    words: list[str] = []
    for step in steps:
        words += [BETWEEN, *step] if words else step
    return ("-m", "stages.auditing.steps", *words)


def main(argv: Sequence[str]) -> int:
    """Run the steps; the exit code of the last, or of the first that failed."""
    words = list(argv)
    while words:
        end = words.index(BETWEEN) if BETWEEN in words else len(words)
        (module, *arguments), words = words[:end], words[end + 1 :]
        if failed := _run(module, arguments):
            return failed
    return 0


def _run(module: str, arguments: list[str]) -> int:
    """Exit code of one step; a step that raises SystemExit ends itself only, as if it were a process of its own."""
    try:
        return int(importlib.import_module(module).main(arguments) or 0)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return int(ended.code or 0)
        print(ended.code, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
