"""Strict reading of JSON lines and JSON files, plain or gzip: what Python's parser lets through is refused with its place."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from stages.datasets.schema import DatasetError, Quality

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def json_lines(path: Path, quality: Quality) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(line number from 1, the line as published, its object) for every record, in constant memory.

    Raises DatasetError: a damaged gzip file, text that is not UTF-8, broken JSON, NaN or Infinity, a key twice in one object,
    something else than an object, no record at all.
    """
    empty = True
    for number, line in byte_lines(path):
        if number == 1 and line.startswith(BYTE_ORDER_MARK):
            quality.note("byte_order_mark_dropped", "line 1")
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line.strip():
            quality.note("blank_line_skipped", f"line {number}")
            continue
        place = f"{path}: line {number}"
        text = decode(line, place).strip()
        record = parse(text, place)
        if not isinstance(record, dict):
            raise DatasetError(f"{place}: expected a JSON object, got {shown(record)}; fetch the file again")
        empty = False
        yield number, text, record
    if empty:
        raise DatasetError(f"{path}: no record in it; fetch the file again")


def json_object(path: Path) -> dict[str, Any]:
    """A file that is one JSON object, as strictly as `json_lines`."""
    content = _whole(path)
    if not isinstance(content, dict):
        raise DatasetError(f"{path}: expected a JSON object, got {shown(content)}; fetch the file again")
    return content


def json_array(path: Path) -> list[Any]:
    """A file that is one JSON array with something in it, as strictly as `json_lines`."""
    content = _whole(path)
    if not isinstance(content, list) or not content:
        raise DatasetError(f"{path}: expected a JSON array of records, got {shown(content)}; fetch the file again")
    return content


def _whole(path: Path) -> Any:
    text = decode(b"".join(line for _, line in byte_lines(path)).removeprefix(BYTE_ORDER_MARK), str(path))
    return parse(text, str(path))


def parse(text: str, place: str) -> Any:
    """One JSON value; no NaN, no Infinity, no key twice in one object."""
    try:
        return strict_decoder(place).decode(text)
    except (json.JSONDecodeError, RecursionError) as fault:
        raise DatasetError(f"{place}: broken JSON ({fault}); the file is cut short or damaged: fetch it again") from fault
    except DatasetError:
        raise
    except ValueError as fault:  # an integer of thousands of digits
        raise DatasetError(f"{place}: {fault}; correct the record") from fault


def strict_decoder(place: str) -> json.JSONDecoder:
    """Refuses NaN, Infinity and a key that occurs twice, with a DatasetError; everything else as Python's decoder does."""

    def refuse_constant(name: str) -> NoReturn:
        raise DatasetError(f"{place}: {name} is not a number that JSON allows; correct the record")

    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise DatasetError(f"{place}: key {twice!r} occurs twice in one object; correct the record")
        return content

    return json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, bytes) of the lines of a plain or gzip file, by line feed alone: text may hold others.

    Raises DatasetError for a damaged gzip file.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from enumerate(stream, start=1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise DatasetError(f"{path}: damaged gzip file ({fault}); fetch it again") from fault


def decode(line: bytes, place: str) -> str:
    """UTF-8 text. Raises DatasetError with the place for other bytes."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise DatasetError(f"{place}: not UTF-8 ({fault.reason} at byte {fault.start}); fetch the file again") from fault


def shown(value: Any) -> str:
    """A value as it may stand in a message: its type, and as much of it as is readable."""
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"
