"""Which of the project's modules a command uses, read from the import statements of the files themselves."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

TOPS = ("models", "stages")


def digests(modules: Iterable[str], root: Path) -> dict[str, str]:
    """sha256 of the given modules and of all that they import, however deep, by name: "stages.train" -> stages/train.py.

    Raises FileNotFoundError for a given module that is none.
    """
    found: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        path = _file(name, root)
        if path is None:
            raise FileNotFoundError(f"{root}: no module {name}")
        content = path.read_bytes()
        found[name] = hashlib.sha256(content).hexdigest()
        waiting += _imports(content, root)
    return dict(sorted(found.items()))


def combined_digest(parts: Mapping[str, str]) -> str:
    """sha256 over digests and their names: one digest for all parts."""
    return hashlib.sha256("\n".join(f"{name} {value}" for name, value in sorted(parts.items())).encode()).hexdigest()


def _file(name: str, root: Path) -> Path | None:
    path = (root / Path(*name.split("."))).with_suffix(".py")
    return path if path.is_file() else None


@cache
def _imports(content: bytes, root: Path) -> tuple[str, ...]:
    """Modules of the project that a file imports, wherever in it the statement stands."""
    names: list[str] = []
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.split(".")[0] in TOPS and _file(name, root))
