"""What a parser of outside data is to the tests: valid files, how they are read, which errors are its own."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.mutations import Seed

ROWS = np.random.default_rng(0).standard_normal((7, 4)).astype(np.float32)
WORDS = ("dog", "runs")


@dataclass(frozen=True, kw_only=True)
class Parser:
    """read(path) reads the damaged file, which lies at `name` in a folder that also has the files of `beside`."""

    name: str
    seeds: Sequence[Seed]
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]
    beside: Mapping[str, bytes] = field(default_factory=dict)


def written(write: Callable[[Path], object], name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


def npz_of(**values: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **values)
    return buffer.getvalue()


def lines(*records: Any) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def table(*records: Mapping[str, str], delimiter: str = ",") -> bytes:
    return "".join(delimiter.join(row) + "\n" for row in (records[0], *(record.values() for record in records))).encode()
