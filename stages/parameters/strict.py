"""Plain values by type annotation, strictly: what is wrong is said with its place, the value and the nearest valid name."""

from __future__ import annotations

import dataclasses
import difflib
import math
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union

T = typing.TypeVar("T")


class ParamsError(ValueError):
    """One or more entries of params.yaml are wrong; the message lists all of them."""


def lookup(section: Mapping[str, T], name: str, what: str) -> T:
    """section[name], or a ParamsError that offers the nearest names. `what` is the section's name."""
    if name not in section:
        raise ParamsError(f"params.yaml: {what}: no entry {name!r}{alternatives(name, section)}")
    return section[name]


def parse(kind: type[Any], value: object, place: str) -> Any:
    """One value by type annotation. Raises ParamsError with all its errors."""
    errors: list[str] = []
    parsed = parse_value(kind, value, place, errors)
    if errors:
        raise ParamsError("\n".join(errors))
    return parsed


def parse_value(kind: Any, value: object, place: str, errors: list[str]) -> Any:
    """The value as `kind` says; what is wrong is added to `errors`, and the result is then of no use."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return _parse_optional(arguments, value, place, errors)
    if dataclasses.is_dataclass(kind):
        return _parse_dataclass(typing.cast("type[Any]", kind), value, place, errors)
    if origin is Literal:
        return value if value in arguments else wrong(f"one of {', '.join(map(repr, arguments))}", value, place, errors)
    if origin is tuple:
        return _parse_tuple(arguments, value, place, errors)
    if origin is dict:
        if not isinstance(value, dict):
            return wrong("a mapping", value, place, errors)
        named = not isinstance(arguments[1], type) or dataclasses.is_dataclass(arguments[1])  # entries, not numbers by name
        return {
            _key(key, place, errors, named): parse_value(arguments[1], item, _below(place, key), errors)
            for key, item in value.items()
        }
    return _parse_scalar(kind, value, place, errors)


def _parse_scalar(kind: Any, value: object, place: str, errors: list[str]) -> Any:
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        if kind is float and math.isnan(value):
            return wrong("a number", value, place, errors)
        return value
    hint = ""
    if kind is float and isinstance(value, str) and _is_number(value):
        hint = f" (YAML needs a point before the exponent: write {float(value):.1e} without quotes)"
    return wrong(kind.__name__, value, place, errors, hint)


def _parse_optional(arguments: tuple[Any, ...], value: object, place: str, errors: list[str]) -> Any:
    inner = [argument for argument in arguments if argument is not type(None)]
    if value is None and len(inner) < len(arguments):
        return None
    attempts: list[list[str]] = []
    for argument in inner:
        attempt: list[str] = []
        parsed = parse_value(argument, value, place, attempt)
        if not attempt:
            return parsed
        attempts.append(attempt)
    fewest: list[str] = min(attempts, key=len)
    errors += fewest
    return None


def _parse_tuple(arguments: tuple[Any, ...], value: object, place: str, errors: list[str]) -> Any:
    if not isinstance(value, list):
        return wrong("a list", value, place, errors)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(parse_value(arguments[0], item, f"{place}[{n}]", errors) for n, item in enumerate(value))
    if len(value) != len(arguments):
        return wrong(f"a list of {len(arguments)}", value, place, errors)
    return tuple(
        parse_value(kind, item, f"{place}[{n}]", errors) for n, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _parse_dataclass(kind: type[Any], value: object, place: str, errors: list[str]) -> Any:
    if not isinstance(value, dict):
        return wrong(f"a mapping with {', '.join(f.name for f in dataclasses.fields(kind))}", value, place, errors)
    hints = typing.get_type_hints(kind)
    known = {one.name: one for one in dataclasses.fields(kind)}
    before = len(errors)
    for key in value:
        if key not in known:
            errors.append(f"{place}: unknown key {key!r}{alternatives(key, known, 'Known keys')}")
    arguments: dict[str, Any] = {}
    for name, one in known.items():
        if name in value:
            arguments[name] = parse_value(hints[name], value[name], _below(place, name), errors)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            errors.append(f"{place}: missing key {name!r} ({_type_name(hints[name])})")
    if len(errors) > before:
        return None
    try:
        return kind(**arguments)
    except ValueError as error:
        errors.append(f"{place}: {error}")
        return None


def wrong(expected: str, value: object, place: str, errors: list[str], hint: str = "") -> None:
    """Add what was expected at a place, and what is there."""
    errors.append(f"{place}: expected {expected}, got {shown(value)}{hint}")


def shown(value: object) -> str:
    """A value and its type, short enough for a message."""
    text = repr(value)
    return f"{text if len(text) < 80 else text[:77] + '...'} ({type(value).__name__})"


def _below(place: str, key: object) -> str:
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}"


def _key(key: object, place: str, errors: list[str], becomes_name: bool) -> str:
    if not isinstance(key, str):
        errors.append(f"{place}: expected text as a key, got {shown(key)}; put it in quotes")
    elif not becomes_name:
        return key
    elif not key or any(character in key for character in "/\\@: ") or key.startswith((".", "-")):
        errors.append(
            f"{place}: {key!r} cannot be a name: it becomes part of file names and DVC targets; use letters, digits, - and _"
        )
    return str(key)


def nearest(key: object, known: Mapping[str, Any]) -> str:
    """The end of a message: the known name that is most like the key, if any is."""
    near = difflib.get_close_matches(str(key), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def alternatives(key: object, known: Mapping[str, Any], title: str = "Known") -> str:
    """The end of a message: the known name that is most like the key and how many there are, or else all of them."""
    end = nearest(key, known)
    return f"{end} ({title}: {len(known)})" if end != "." else f"{end} {title}: {', '.join(known) or 'none'}"


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
