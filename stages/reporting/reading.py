"""JSON objects of page files, read strictly: every complaint names the file, the place in it, the expectation and the way out.

A number that is null, or NaN as JSON of other hands may have it, was not measured and becomes None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Number = float | None
Window = tuple[float, ...]


class ReportError(ValueError):
    """A page file is missing, unreadable or not what it should be. The message names file, place, expectation and way out."""


def read_object(file: Path, again: str) -> Reader:
    """The object of one file; `again` says how the file is made anew.

    Raises ReportError if it is not one JSON object.
    """
    try:
        raw = json.loads(file.read_text(encoding="utf-8"), parse_int=_whole)
    except (ValueError, OSError, RecursionError, OverflowError) as error:
        raise ReportError(f"{file}: not readable as JSON ({error}); {again}") from None
    return Reader(raw, str(file), again)


def _whole(text: str) -> int:
    """A whole number that a float can hold. Raises OverflowError."""
    number = int(text)
    float(number)
    return number


def finite(value: float) -> Number:
    """None for NaN and infinities."""
    return value if math.isfinite(value) else None


class Reader:
    """A JSON object together with its place in the file, so that every complaint can name it. All methods raise ReportError."""

    def __init__(self, raw: object, place: str, again: str) -> None:
        if not isinstance(raw, dict):
            raise ReportError(f"{place}: expected a JSON object, got {type(raw).__name__}; {again}")
        self.raw: dict[str, Any] = raw
        self.place = place
        self.again = again

    def inner(self, raw: object, name: str) -> Reader:
        """A reader of a part, whose complaints begin with this one's place."""
        return Reader(raw, f"{self.place}: {name}", self.again)

    def wrong(self, key: str, expected: str, value: object) -> ReportError:
        """The complaint about one value."""
        shown = repr(value)
        shown = shown if len(shown) < 80 else shown[:77] + "..."
        return ReportError(f"{self.place}: {key}: expected {expected}, got {shown}; {self.again}")

    def has(self, key: str) -> bool:
        """Whether an optional value is given; null means that it is not."""
        return self.raw.get(key) is not None

    def take(self, key: str, kind: type | tuple[type, ...], expected: str) -> Any:
        """A value of one of these types; true and false are no numbers."""
        if key not in self.raw:
            raise ReportError(f"{self.place}: {key} is missing; {self.again}")
        value = self.raw[key]
        if isinstance(value, bool) or not isinstance(value, kind):
            raise self.wrong(key, expected, value)
        return value

    def text(self, key: str) -> str:
        """One text."""
        value: str = self.take(key, str, "text")
        return value

    def text_or_none(self, key: str) -> str | None:
        """One text; None where it is null or absent."""
        return self.text(key) if self.has(key) else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        values: list[str] = self.take(key, list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "a list of texts", values)
        return tuple(values)

    def number(self, key: str) -> float:
        """A finite number."""
        value = float(self.take(key, (int, float), "a number"))
        if not math.isfinite(value):
            raise self.wrong(key, "a finite number", value)
        return value

    def number_or_none(self, key: str) -> Number:
        """A number; None where it is null, absent or NaN."""
        return finite(float(self.take(key, (int, float), "a number or null"))) if self.has(key) else None

    def flag_or_none(self, key: str) -> bool | None:
        """True or false; None where it is null or absent."""
        value = self.raw.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, "true, false or null", value)
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """An object, unread."""
        value: dict[str, Any] = self.take(key, dict, "a JSON object")
        return value

    def numbers(self, key: str) -> dict[str, Number]:
        """An object of numbers."""
        return self.as_numbers(self.mapping(key), f"{self.place}: {key}")

    def as_numbers(self, raw: Mapping[str, Any], place: str) -> dict[str, Number]:
        """Values that are numbers or null."""
        for key, value in raw.items():
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise ReportError(f"{place}: {key}: expected a number or null, got {value!r}; {self.again}")
        return {key: None if value is None else finite(float(value)) for key, value in raw.items()}

    def series(self, key: str) -> tuple[Number, ...]:
        """A list of numbers."""
        values = self.take(key, list, "a list of numbers")
        for n, value in enumerate(values):
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise self.wrong(f"{key}[{n}]", "a number or null", value)
        return tuple(None if value is None else finite(float(value)) for value in values)

    def places(self, key: str) -> tuple[int, ...]:
        """A list of places, counted from 0."""
        values = self.take(key, list, "a list of places")
        for n, value in enumerate(values):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise self.wrong(f"{key}[{n}]", "a whole number from 0", value)
        return tuple(values)

    def rows(self, key: str, width: int) -> tuple[Window, ...]:
        """A list of lists of `width` numbers."""
        rows = []
        for n, row in enumerate(self.take(key, list, f"a list of lists of {width} numbers")):
            place = f"{self.place}: {key}[{n}]"
            numbers = self.as_numbers({str(m): value for m, value in enumerate(row)}, place) if isinstance(row, list) else {}
            values = tuple(value for value in numbers.values() if value is not None)
            if len(values) != width or len(numbers) != width:
                raise self.wrong(f"{key}[{n}]", f"{width} numbers", row)
            rows.append(values)
        return tuple(rows)

    def span(self, key: str) -> Window:
        """Start and end."""
        value = self.take(key, list, "2 numbers")
        if len(value) != 2 or not all(isinstance(one, (int, float)) and math.isfinite(one) for one in value):
            raise self.wrong(key, "2 numbers", value)
        return float(value[0]), float(value[1])

    def items(self, key: str) -> list[Reader]:
        """A list of objects."""
        return [self.inner(item, f"{key}[{n}]") for n, item in enumerate(self.take(key, list, "a list of objects"))]

    def parts(self, key: str) -> list[tuple[str, Reader]]:
        """An object of objects."""
        return [(name, self.inner(part, f"{key}.{name}")) for name, part in self.mapping(key).items()]

    def objects(self) -> list[tuple[str, Reader]]:
        """This object as an object of objects."""
        return [(name, self.inner(part, name)) for name, part in self.raw.items()]
