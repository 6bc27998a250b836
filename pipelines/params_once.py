"""DVC reads params.yaml once per command instead of once per stage, dvc.yaml and dvc.lock once instead of twice.

DVC parses the whole of params.yaml, and walks the whole of it for every key, for each stage that it looks at: with the hundreds
of entries of this project that is two thirds of a `dvc repro` that has nothing to do. With every stage in it dvc.lock is a file
of more than a megabyte, whose parsing is half of what is left. `make setup` copies this file into the virtual
environment, where Python imports it at every start (a `.pth` file). It changes no result: a file is read again as soon as its
time, size or inode differs, and every caller gets a copy of its own. Without it everything works, slower.

It imports nothing but the standard library, for it runs before anything else. A DVC that is built differently is left as it is;
tests/pipelines/test_params_once.py says so for the pinned one.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

GLOBS = frozenset("*?[]!")  # keys with these are patterns to DVC: left to it


class Hook:
    """Meta path finder: lets the module be found as usual, and changes it once it is loaded."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """The usual spec of DVC's module, with its change behind the loader; None for every other module."""
        change = CHANGES.get(name)
        if change is None or (spec := PathFinder.find_spec(name, path, target)) is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_change(module: Any) -> None:
            load(module)
            change(module)

        spec.loader.exec_module = load_and_change  # type: ignore[method-assign]
        return spec


def remember(module: Any) -> None:
    """Make the module's `read_param_file` keep what it parsed."""
    read, load = getattr(module, "read_param_file", None), getattr(module, "load_path", None)
    if read is None or load is None:
        return
    import copy
    from pathlib import Path

    parsed: dict[tuple[str, int, int, int], Any] = {}

    def load_once(path: Any, fs: Any, **options: Any) -> Any:
        if getattr(fs, "protocol", "") != "local" or options:
            return load(path, fs, **options)
        stat = Path(path).stat()
        key = (str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino)
        if key not in parsed:
            parsed[key] = load(path, fs)
        return parsed[key]

    def read_once(fs: Any, path: Any, key_paths: Any = None, flatten: bool = False, **options: Any) -> Any:
        if not key_paths or not flatten or GLOBS.intersection("".join(key_paths)):
            return copy.deepcopy(read(fs, path, key_paths, flatten, **options))
        found = {}
        for key in key_paths:
            value = load_once(path, fs, **options)
            try:
                for part in key.split("."):
                    value = value[part]
            except (KeyError, TypeError):  # not there, or inside a list or a number: as DVC has it
                found.update(read(fs, path, [key], flatten, **options))
                continue
            found[key] = copy.deepcopy(value)
        return found

    module.load_path, module.read_param_file = load_once, read_once


def parse_once(module: Any) -> None:
    """Make the module's `parse_yaml` keep what it parsed, as JSON text, from which every caller gets a copy of its own."""
    parse = getattr(module, "parse_yaml", None)
    if parse is None:
        return
    import json
    from pathlib import Path

    parsed: dict[str, tuple[str, str]] = {}  # file -> its newest text, and what that says: a flow's process sees many a dvc.lock

    def parse_kept(text: str, path: Any, typ: str = "safe") -> Any:
        if typ != "safe":  # with comments and places, to be written again
            return parse(text, path, typ)
        file = str(Path(path).absolute())
        if file not in parsed or parsed[file][0] != text:
            value = parse(text, path, typ)
            try:
                kept = json.dumps(value)
            except (TypeError, ValueError):  # dates, say: what JSON does not have
                return value
            if json.loads(kept) != value:  # keys that are no texts
                return value
            parsed[file] = text, kept
        return json.loads(parsed[file][1])

    module.parse_yaml = parse_kept


# where DVC 3 reads parameters, and where dvc.yaml and dvc.lock
CHANGES = {"dvc.dependency.param": remember, "dvc.utils.strictyaml": parse_once}
sys.meta_path.insert(0, Hook)
