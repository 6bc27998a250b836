"""Configuration files of reference repositories, read as data: JSON, or Python assignments that are never executed.

Understood in Python are assignments of literals, `dict(...)`, names assigned before, text joined by +, and `_base_`: other such
files, named relative to this one, whose mappings this one extends.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class ReferenceConfigError(ValueError):
    """A configuration that is more than data. The message names file and line."""


def read_reference_config(path: Path, _above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """All assignments of a file and of the files it is based on: name -> value.

    Raises ReferenceConfigError: a missing file, a syntax error, an expression that is not data, files based on each other.
    """
    path = path.resolve()
    if path in _above:
        raise ReferenceConfigError(f"{path}: is based on itself")
    try:
        names = _assignments(_parsed(path), path)
    except FileNotFoundError:
        based = f", on which {_above[-1]} is based" if _above else ""
        raise ReferenceConfigError(f"{path}: no such file{based}; put it there, or import without --config") from None
    except (RecursionError, MemoryError) as error:  # the latter from Python's parser: its stack has an end of its own
        raise ReferenceConfigError(f"{path}: not a Python file of assignments: nested too deeply") from error
    bases = names.pop("_base_", ())
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        file = path.parent / base
        merged = _extended(merged, read_reference_config(file if file.suffix else file.with_suffix(".py"), (*_above, path)))
    return _extended(merged, names)


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, ValueError) as error:  # the latter: no UTF-8, or null bytes
        raise ReferenceConfigError(f"{path}: not a Python file of assignments: {error}") from error


def read_json_config(path: Path) -> dict[str, Any]:
    """The one JSON object of a file.

    Raises ReferenceConfigError: a missing file, or anything else in it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ReferenceConfigError(f"{path}: no such file; put it there, or import without --config") from None
    except (ValueError, RecursionError) as error:
        raise ReferenceConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ReferenceConfigError(f"{path}: expected one JSON object, got a {type(content).__name__}")
    return content


def _assignments(tree: ast.Module, path: Path) -> dict[str, Any]:
    """name -> value of one file. Raises ReferenceConfigError for any other statement but a docstring."""
    names: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            names[statement.targets[0].id] = _value(statement.value, names, path)
        elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
            raise ReferenceConfigError(f"{path}:{statement.lineno}: expected an assignment of data, as in strides = (1, 2, 4)")
    return names


def _value(node: ast.expr, names: Mapping[str, Any], path: Path) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.Tuple() | ast.List():
            values = [_value(item, names, path) for item in node.elts]
            return tuple(values) if isinstance(node, ast.Tuple) else values
        case ast.Dict(keys=keys) if None not in keys:
            pairs = zip((key for key in keys if key is not None), node.values, strict=True)
            return {_value(key, names, path): _value(value, names, path) for key, value in pairs}
        case ast.Call(func=ast.Name(id="dict"), args=[]):
            words = [(word.arg, _value(word.value, names, path)) for word in node.keywords]
            if all(name is not None or isinstance(value, Mapping) for name, value in words):  # dict(**other, key=value)
                return {key: item for name, value in words for key, item in (value.items() if name is None else [(name, value)])}
        case ast.UnaryOp(op=ast.USub()):
            value = _value(node.operand, names, path)
            if isinstance(value, int | float):
                return -value
        case ast.BinOp(op=ast.Add()):
            left, right = _value(node.left, names, path), _value(node.right, names, path)
            if isinstance(left, str) and isinstance(right, str):
                return left + right
    raise ReferenceConfigError(f"{path}:{node.lineno}: {ast.unparse(node)!r} is not data; only literals and dict(...) are read")


def _extended(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the entries of `own` over it; mappings are extended, anything else is replaced."""
    both = {
        key: _extended(base[key], value) if isinstance(value, Mapping) and isinstance(base.get(key), Mapping) else value
        for key, value in own.items()
    }
    return {**base, **both}
