"""Reading what somebody else wrote: JSON lines, JSON or CSV, plain or gzip, with errors that name file, line, id and field.

A file counts as gzip by its first two bytes, as JSON or JSON lines by what it holds: the names of prediction files are not to be
trusted. Booleans are not numbers here, and neither NaN nor an infinity is a value.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class InputError(ValueError):
    """A file that cannot be scored. The message names file, line, id, field, what was expected and what is there."""


class IdsDifferError(InputError):
    """The two sides do not speak about the same records, and strict mode was asked for."""

    def __init__(self, place: str, missing: Sequence[Any], unknown: Sequence[Any]) -> None:
        self.missing, self.unknown = list(missing), list(unknown)
        listed = [json.dumps(ids, ensure_ascii=False) for ids in (self.missing, self.unknown)]
        alike = {str(one) for one in missing} & {str(one) for one in unknown}
        hint = '7 and "7" are two ids to the references. ' if alike else ""
        super().__init__(
            f"{place}: ids differ from the ground truth. Missing ({len(missing)}): {listed[0]}. Unknown ({len(unknown)}): "
            f"{listed[1]}. {hint}--ids intersection scores what both have"
        )


class NotApplicableError(InputError):
    """The input is fine, but the reference of this profile fails on it, so the profile has no value."""


@dataclass(frozen=True)
class Records:
    """Records of one file in file order, with the line (or, in a JSON array, the index) each came from."""

    path: str
    rows: list[dict[str, Any]]
    lines: Sequence[int]
    unit: str = "line"
    key: str = "qid"

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int, field: str | None = None) -> str:
        """Where record `index` is: "file: line 3: qid 7: pred_relevant_windows"."""
        parts = [self.path, f"{self.unit} {self.lines[index]}"]
        if (key := self.rows[index].get(self.key)) is not None:
            parts.append(f"{self.key} {shown(key)}")
        return ": ".join([*parts, *([field] if field else [])])

    def column(self, field: str, allowed: tuple[type, ...], expected: str) -> list[Any]:
        """`field` of every record; each value must be exactly of one of the types in `allowed`.

        Raises InputError for the first record without the field, or with another type under it.
        """
        values = [row.get(field, _ABSENT) for row in self.rows]
        if not set(map(type, values)) <= set(allowed):
            self.reject(values, lambda value: type(value) in allowed, field, expected)
        return values

    def reject(self, values: Iterable[Any], good: Callable[[Any], bool], field: str, expected: str) -> None:
        """Raise InputError for the first value that is not good; return if all are."""
        for index, value in enumerate(values):
            if value is _ABSENT:
                raise InputError(f"{self.place(index, field)}: missing; expected {expected}")
            if not good(value):
                raise InputError(f"{self.place(index, field)}: expected {expected}, got {shown(value)}")


class _Absent:
    """Stands for a key that a record does not have (None is a value of JSON)."""

    def __repr__(self) -> str:
        return "nothing"


_ABSENT = _Absent()


def shown(value: Any) -> str:
    """A value as it stands in the file, cut to a readable length, with the type where it is easily mistaken."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else text[:57] + "..."


def is_number(value: Any) -> bool:
    """A finite JSON number; true and false are none."""
    return type(value) in (int, float) and _finite(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the doubles
        return False


def read_text(path: Path) -> str:
    """The text of a file, plain or gzip.

    Raises InputError if it is not there, cut short, or not utf-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path}: broken gzip data ({error}); fetch or write the file again") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"{path}: line {line}: not utf-8 text ({error.reason} at byte {error.start})") from error


def read_records(path: Path, key: str = "qid") -> Records:
    """Records of a JSON-lines file or of a file that holds one JSON array of objects.

    Raises InputError for an empty file, a broken line, or a record that is not an object.
    """
    return _records(read_text(path), path, key)


def _records(text: str, path: Path, key: str) -> Records:
    if text.lstrip()[:1] == "[":
        rows = _parsed(text, path)
        records = Records(str(path), rows, range(len(rows)), "record", key)
    else:
        numbered = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line and not line.isspace()]
        records = Records(str(path), _parsed_lines(path, numbered), [number for number, _ in numbered], "line", key)
    for index, row in enumerate(records.rows):
        if type(row) is not dict:
            raise InputError(f"{path}: {records.unit} {records.lines[index]}: expected one JSON object, got {shown(row)}")
    if not records.rows:
        raise InputError(f"{path}: no records; expected one JSON object per line")
    return records


def _parsed_lines(path: Path, numbered: list[tuple[int, str]]) -> list[Any]:
    decode = json.JSONDecoder().decode
    rows: list[Any] = []
    try:
        for _, line in numbered:
            rows.append(decode(line))
    except (ValueError, RecursionError) as error:
        number, line = numbered[len(rows)]
        raise InputError(f"{path}: line {number}: not JSON ({error}): {shown(line)}") from error
    return rows


def _parsed(text: str, path: Path, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error


def read_json(path: Path) -> Any:
    """The one JSON value of a file."""
    return _parsed(read_text(path), path)


def read_object(path: Path, line_key: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The one JSON object of a file, and the keys that stand in it more than once (the last one counts, as in the references).

    line_key    the file may be JSON lines instead, one object each: the key of a line is the text that it has there
    """
    text, repeated = read_text(path), list[str]()
    if line_key is not None and _starts_with_record(text, line_key):
        records = _records(text, path, line_key)
        keys: list[str] = records.column(line_key, (str,), "a text")
        return dict(zip(keys, records.rows, strict=True)), [key for key, count in Counter(keys).items() if count > 1]

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(items)
        if len(content) < len(items):
            seen: set[str] = set()
            repeated.extend(name for name, _ in items if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        return content

    value = _parsed(text, path, pairs)
    if type(value) is not dict:
        raise InputError(f"{path}: expected one JSON object, got {shown(value)}")
    if not value:
        raise InputError(f"{path}: empty; expected at least one entry")
    return value, repeated


def _starts_with_record(text: str, key: str) -> bool:
    """Whether the first line is an object with a text under `key`."""
    line = text.lstrip().partition("\n")[0]
    if json.dumps(key) not in line:
        return False
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return False  # no record; whoever reads the whole file says what is wrong
    return type(first) is dict and type(first.get(key)) is str


def read_table(path: Path, columns: Sequence[str], delimiter: str = ",", key: str = "qid") -> Records:
    """Rows of a CSV file with a header, all cells as text.

    Raises InputError if one of `columns` is not in the header or a row has another number of cells.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    try:
        header = next(reader, [])
        if absent := [name for name in columns if name not in header]:
            raise InputError(f"{path}: line 1: no column {', '.join(absent)}; the header has {', '.join(header)}")
        rows: list[dict[str, Any]] = []
        lines: list[int] = []
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise InputError(f"{path}: line {reader.line_num}: {len(cells)} cells; the header has {len(header)}")
            rows.append(dict(zip(header, cells, strict=True)))
            lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: not CSV ({error})") from error
    if not rows:
        raise InputError(f"{path}: no rows below the header")
    return Records(str(path), rows, lines, "line", key)


def id_column(records: Records) -> list[Hashable]:
    """The ids of all records under `records.key`: whole numbers or text; 7 and "7" are two ids, as in the references."""
    return records.column(records.key, (int, str), "an id (a whole number or text)")


def sorted_ids(ids: Iterable[Any]) -> list[Any]:
    """Ids of mixed types in a stable order: numbers first."""
    return sorted(
        ids,
        key=lambda value: (
            isinstance(value, str),
            value if isinstance(value, str) else "",
            0 if isinstance(value, str) else value,
        ),
    )
