"""What a stage prints, line by line."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from typing import IO

SECONDS_BETWEEN_PROGRESS = 10.0


def lines(stream: IO[bytes]) -> Iterator[str]:
    """Lines as they come, empty ones left out.

    A progress bar rewrites its line with a carriage return many times a second: of such states only one in ten seconds is told.
    """
    rest, last = b"", 0.0
    while chunk := os.read(stream.fileno(), 65536):
        *whole, rest = re.split(rb"(?<=[\r\n])", rest + chunk)
        for piece in whole:
            text = piece.decode("utf-8", errors="replace").strip("\r\n")
            passing = piece.endswith(b"\r")
            if not text.strip() or (passing and time.monotonic() - last < SECONDS_BETWEEN_PROGRESS):
                continue
            if passing:
                last = time.monotonic()
            yield text
    if rest.strip():
        yield rest.decode("utf-8", errors="replace")
