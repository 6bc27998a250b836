"""A JSON array of records read one record at a time: STAR's question files hold half a gigabyte of situation graphs."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stages.datasets.json_records import shown, strict_decoder
from stages.datasets.schema import DatasetError

BLOCK = 1 << 22  # characters read at a time; more for a record that is longer
SPACE = " \t\r\n"


def stream_array(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, object) for every record of a file that is one JSON array of objects, plain or gzip.

    Raises DatasetError: damaged or no such file, NaN or Infinity, a key twice, something else than objects, no record at all.
    """
    text = _Text(path)
    decoder = strict_decoder(str(path))
    number = 0
    text.expect("[")
    if not text.follows("]"):
        while True:
            number += 1
            record = text.value(decoder, number)
            if not isinstance(record, dict):
                raise DatasetError(f"{path}: record {number}: expected a JSON object, got {shown(record)}; fetch the file again")
            yield number, record
            if text.follows("]"):
                break
            text.expect(",")
    if not number:
        raise DatasetError(f"{path}: no record in it; fetch the file again")
    if text.rest():
        raise DatasetError(f"{path}: more behind the end of the array; the file is damaged: fetch it again")


class _Text:
    """A window on the characters of a file, moved on as they are read."""

    def __init__(self, path: Path) -> None:
        self.path, self.window, self.at, self.ended = path, "", 0, False
        self._blocks = self._read()

    def _read(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        try:
            with gzip.open(self.path) if self.path.suffix == ".gz" else self.path.open("rb") as stream:
                while block := stream.read(BLOCK):
                    yield decoder.decode(block)
                yield decoder.decode(b"", final=True)
        except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
            raise DatasetError(f"{self.path}: damaged gzip file ({fault}); fetch it again") from fault
        except UnicodeDecodeError as fault:
            raise DatasetError(f"{self.path}: not UTF-8 ({fault.reason}); fetch the file again") from fault

    def more(self) -> None:
        """Read on, and forget what lies behind."""
        block = next(self._blocks, None)
        self.ended = block is None
        self.window, self.at = self.window[self.at :] + (block or ""), 0

    def skip_blanks(self) -> None:
        """Move to the next character that is no blank, or to the end of the file."""
        while True:
            while self.at < len(self.window) and self.window[self.at] in SPACE:
                self.at += 1
            if self.at < len(self.window) or self.ended:
                return
            self.more()

    def follows(self, mark: str) -> bool:
        """Whether the next character that is no blank is `mark`; it is passed if so."""
        self.skip_blanks()
        found = self.window[self.at : self.at + 1] == mark
        self.at += found
        return found

    def expect(self, mark: str) -> None:
        if not self.follows(mark):
            got = shown(self.window[self.at : self.at + 40])
            raise DatasetError(f"{self.path}: expected {mark!r} of a JSON array of records, got {got}; fetch the file again")

    def value(self, decoder: json.JSONDecoder, number: int) -> Any:
        """The next value; more is read as long as it is cut short."""
        self.skip_blanks()
        while True:
            try:
                value, end = decoder.raw_decode(self.window, self.at)
            except DatasetError:
                raise
            except (ValueError, RecursionError) as fault:
                if self.ended:
                    raise DatasetError(
                        f"{self.path}: record {number}: broken JSON ({fault}); the file is cut short or damaged: fetch it again"
                    ) from fault
            else:
                if end < len(self.window) or self.ended:  # at the very end a number may go on
                    self.at = end
                    return value
            self.more()

    def rest(self) -> bool:
        """Whether anything but blanks is left."""
        self.skip_blanks()
        return self.at < len(self.window)
