"""What a stage prints, line by line."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import IO

SECONDS_BETWEEN_PROGRESS = 10.0
# behind a line feed, and behind a carriage return that no line feed follows: where the data end with one, that is not known yet
END = re.compile(rb"(?<=\n)|(?<=\r)(?=[^\n])")


def lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines as they come, whether a line feed ends them or a carriage return and one; empty ones are left out.

    A progress bar rewrites its line with a carriage return many times a second: of such states one in ten seconds is told, and
    the one in which it stopped.
    """
    rest, last = b"", 0.0
    while chunk := os.read(stream.fileno(), 65536):
        *whole, rest = END.split(rest + chunk)
        for line in whole:
            text = _text(line)
            passing = line.endswith(b"\r")
            if not text.strip() or (passing and time.monotonic() - last < SECONDS_BETWEEN_PROGRESS):
                continue
            if passing:
                last = time.monotonic()
            yield text
    if rest.strip():
        yield _text(rest)


def _text(line: bytes) -> str:
    return line.decode("utf-8", errors="replace").strip("\r\n")
