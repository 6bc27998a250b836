"""The front door: `doflow` lists every command with a line each, `doflow <command> ...` runs one, as python -m stages.<command>.

    doflow
    doflow describe data/runs/causalvtg-planted
    doflow score --help

From the root of the repository; `make setup` puts `doflow` beside `python` in the environment.
"""

from __future__ import annotations

import ast
import difflib
import re
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NO_COMMANDS = ("params", "commands")
OTHERS = {
    "dvc repro [target]": "bring a result, or everything, up to date",
    "dvc metrics diff": "numbers that changed since the last commit",
    "dvc exp run -S runs.<run>.optim.lr=1e-3": "try a variant without editing",
    "prefect deployment run 'experiment/gpu' ...": "have a worker do it (README, Orchestration)",
}


def commands() -> dict[str, str]:
    """Name -> what it does, from the first line of each stage's own description; nothing is imported for it."""
    found = {}
    for path in sorted(HERE.glob("*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n", 1)[0]
        if path.stem not in NO_COMMANDS:
            found[path.stem] = re.sub(r"^Stage `\w+`: |: `python -m .*|[.:]$", "", first)
    return found


def targets() -> dict[str, str]:
    """Target of the Makefile -> what it does."""
    makefile = HERE.parent / "Makefile"
    return dict(re.findall(r"^([a-z-]+):.*?##\s*(.+)$", makefile.read_text(encoding="utf-8"), re.MULTILINE))


def listing() -> str:
    """All of them, one line each."""
    lines = [
        "usage: doflow <command> [arguments]      doflow <command> --help says what it reads and writes, with an example",
        "",
    ]
    for title, entries in (
        ("commands", commands()),
        ("make", {f"make {name}": meaning for name, meaning in targets().items()}),
        ("and", OTHERS),
    ):
        width = max(map(len, entries))
        lines += [f"{title}:", *(f"  {name:<{width}}  {meaning}" for name, meaning in entries.items()), ""]
    return "\n".join(lines).rstrip()


def main(argv: list[str] | None = None) -> int:
    """List, or run a stage in this process; the exit code is returned."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(listing())
        return 0
    name, *rest = arguments
    if name not in commands():
        near = difflib.get_close_matches(name, commands(), n=1)
        print(f"doflow: no command {name!r}{f'; did you mean {near[0]!r}?' if near else ''} `doflow` lists them", file=sys.stderr)
        return 2
    sys.argv = [f"doflow {name}", *rest]
    runpy.run_module(f"stages.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
