"""Several stages one after the other in one process, which loads the libraries once: most of the time of a short cell.

python -m stages.auditing.steps stages.train --name r --out o -- stages.evaluate --name r

The first that fails ends it, with its exit code.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence

BETWEEN = "--"


def joined(steps: Iterable[Sequence[str]]) -> tuple[str, ...]:
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
        if failed := importlib.import_module(module).main(arguments):
            return int(failed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
