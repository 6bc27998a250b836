"""Strict reading of tables in text files, separated by commas or tabs, plain or gzip; cells are text, whatever they look like."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.datasets.json_records import BYTE_ORDER_MARK, byte_lines, decode, shown
from stages.datasets.schema import DatasetError, Quality

Row = dict[str, str]


def table_rows(path: Path, columns: Sequence[str], quality: Quality) -> Iterator[tuple[int, Row]]:
    """(number of the line on which the record ends, column -> cell) for every record, in constant memory.

    The separator is a tab where the header has one. Nothing is taken for a number or for a missing value.

    Raises DatasetError: no such column, a column twice, a record with more or fewer cells, broken quotes or text, no record.
    """
    reader = csv.reader(_lines(path, quality), delimiter="\t" if _has_tab(path) else ",", strict=True)
    header: list[str] = []
    empty = True
    try:
        for cells in reader:
            place = f"{path}: line {reader.line_num}"
            if not cells:
                quality.note("blank_line_skipped", f"line {reader.line_num}")
            elif not header:
                header = cells
                _check_header(header, columns, place)
            elif len(cells) != len(header):
                raise DatasetError(
                    f"{place}: {len(cells)} cells, the header has {len(header)}; the file is cut short or damaged: fetch it again"
                )
            else:
                empty = False
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except csv.Error as fault:
        raise DatasetError(f"{path}: line {reader.line_num}: {fault}; the file is damaged: fetch it again") from fault
    if empty:
        raise DatasetError(f"{path}: no record in it; fetch the file again")


def header_of(path: Path) -> list[str]:
    """The column names of a table. Raises DatasetError for broken quotes or text."""
    delimiter = "\t" if _has_tab(path) else ","
    try:
        return next(csv.reader(_lines(path, Quality()), delimiter=delimiter), [])
    except csv.Error as fault:
        raise DatasetError(f"{path}: line 1: {fault}; the file is damaged: fetch it again") from fault


def whole_number(row: Row, column: str, place: str) -> int:
    """A cell that is a whole number, 0 or more."""
    if not (row[column].isascii() and row[column].isdigit()):
        raise DatasetError(f"{place}: {column}: expected a whole number, got {shown(row[column])}; correct the record")
    return int(row[column])


def number(row: Row, column: str, place: str) -> float:
    """A cell that is a finite number."""
    try:
        value = float(row[column])
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise DatasetError(f"{place}: {column}: expected a number, got {shown(row[column])}; correct the record")
    return value


def _lines(path: Path, quality: Quality) -> Iterator[str]:
    for count, line in byte_lines(path):
        if count == 1 and line.startswith(BYTE_ORDER_MARK):
            quality.note("byte_order_mark_dropped", "line 1")
            line = line.removeprefix(BYTE_ORDER_MARK)
        yield decode(line, f"{path}: line {count}")


def _has_tab(path: Path) -> bool:
    _, header = next(byte_lines(path), (0, b""))
    return b"\t" in header


def _check_header(header: Sequence[str], columns: Sequence[str], place: str) -> None:
    if twice := [name for name in header if header.count(name) > 1]:
        raise DatasetError(f"{place}: column {twice[0]!r} occurs twice; correct the header")
    if missing := [name for name in columns if name not in header]:
        raise DatasetError(
            f"{place}: no column {', '.join(map(repr, missing))} (it has {', '.join(map(repr, header))}); "
            "is this the file of another data set?"
        )
