"""The front door: `doflow` lists every command with a line each, `doflow <command> ...` runs one, as python -m stages.<command>.

    doflow
    doflow describe data/runs/causalvtg-planted
    doflow score --help

`make setup` puts `doflow` beside `python` in the environment, where it finds the repository from any folder. Relative paths
start at the folder where it is called, and so do params.yaml and data/ of the stages that read them.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import re
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


def run_by_dvc() -> dict[str, str]:
    """Stage that DVC runs with all its arguments -> the section of params.yaml that has its entries."""
    graph = (HERE.parent / "dvc.yaml").read_text(encoding="utf-8")
    return dict(re.findall(r"^  (\w+):\n    foreach: \$\{(\w+)\}$", graph, re.MULTILINE))


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
    known = commands()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        offer = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
        print(f"doflow: no command {name!r}; {offer} `doflow` alone says what each does.", file=sys.stderr)
        return 2
    stage = importlib.import_module(f"stages.{name}")
    sys.argv = [f"doflow {name}", *rest]  # what usage lines begin with
    try:
        return int(stage.main() or 0)
    except SystemExit as end:  # of argparse: wrong arguments, or --help
        if name in (sections := run_by_dvc()) and end.code in (0, 2):
            shown = sys.stderr if end.code else sys.stdout
            print(f"\nDVC runs it with all these arguments: dvc repro {name}@NAME, an entry of {sections[name]}", file=shown)
        raise


if __name__ == "__main__":
    sys.exit(main())
