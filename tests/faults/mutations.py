"""Damaged and hostile versions of valid files: bytes anywhere, and values inside what stays well-formed.

    damaged(random.Random(7), [Seed(b'{"qid": 1}', "jsonl")])

The source of randomness is an argument: hypothesis hands in one whose choices it can shrink, the long form a seeded one.
"""

from __future__ import annotations

import copy
import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

DEEP = 30_000  # levels of nesting, beyond every parser's stack

# What parsers of text tend to stumble over. Sizes are moderate: a bound on memory is tested with what a file claims, not is.
TOKENS = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e999",
    b"-1e400",
    b"9" * 5000,
    b"-0",
    b"0x10",
    b"1_000",
    b"null",
    b"true",
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"\r",
    b"\n",
    b"\t",
    b'"',
    b"'",
    b",",
    b";",
    b"{}",
    b"[]",
    b"{",
    b"]",
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"- " * 3000,
    b"(" * DEEP,
    b"../../etc/passwd",
    b"/etc/passwd",
    b"&a",
    b"*a",
    b"!!python/none",
    b"\xe2\x80\xa8",
    b"A" * 70_000,
    b"",
    b" ",
    b"1\n",
    b"\x1f\x8b",
    b"PK\x05\x06",
    b"\x80\x04",
    b"1000000000",
    b"-1",
]
NUMBERS = [
    0,
    1,
    -1,
    127,
    128,
    255,
    2**15,
    2**16 - 1,
    10**9,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**53,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63),
]
VALUES: list[Any] = [
    None,
    True,
    False,
    "",
    " ",
    "\x00",
    "\ud800",
    "../../x",
    "NaN",
    "1",
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    0,
    -1,
    10**9,
    10**30,
    -(10**400),
    0.5,
    -0.0,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    "x" * 5000,
    [0] * 100,
    [[0, 1, 2]],
    [1, "a"],
    ["a", 1],
]


@dataclass(frozen=True)
class Seed:
    """A valid content; `form` says what its inside looks like: bytes, json, jsonl, csv or tsv. `wrap` packs the damaged bytes."""

    content: bytes
    form: str = "bytes"
    wrap: Callable[[bytes], bytes] = bytes


def damaged(rng: Random, seeds: Sequence[Seed]) -> bytes:
    """One of the seeds with one to five faults in it; sometimes something else entirely."""
    kind = rng.randint(0, 19)
    if kind == 0:
        return rng.randbytes(rng.randint(0, 300))
    seed = rng.choice(seeds)
    if seed.form != "bytes" and kind < 13:
        return seed.wrap(_STRUCTURED[seed.form](rng, seed.content))
    data = seed.content
    for _ in range(rng.randint(1, 5)):
        data = _one_fault(rng, data, seeds)
    return seed.wrap(data)


def _one_fault(rng: Random, data: bytes, seeds: Sequence[Seed]) -> bytes:
    at = rng.randint(0, max(0, len(data) - 1))
    length = rng.choice([1, 2, 4, 8, 16, 64, 512])
    match rng.choice(("cut", "drop", "flip", "number", "token", "over", "repeat", "splice", "noise")):
        case "cut":
            return data[:at]
        case "drop":
            return data[:at] + data[at + length :]
        case "flip":
            return data[:at] + bytes([data[at] ^ (1 << rng.randint(0, 7))]) + data[at + 1 :] if data else data
        case "number":
            width = rng.choice([1, 2, 4, 8])
            number = rng.choice(NUMBERS) % (1 << (8 * width))
            return data[:at] + number.to_bytes(width, rng.choice(["little", "big"])) + data[at + width :]
        case "token":
            return data[:at] + rng.choice(TOKENS) + data[at:]
        case "over":
            token = rng.choice(TOKENS)
            return data[:at] + token + data[at + length :]
        case "repeat":
            return data[:at] + data[at : at + length] * rng.choice([2, 3, 100]) + data[at + length :]
        case "splice":
            other = rng.choice(seeds).content
            start = rng.randint(0, len(other))
            return data[:at] + other[start:]
        case _:
            return data[:at] + rng.randbytes(rng.randint(1, 20)) + data[at + length :]


def _json(rng: Random, content: bytes) -> bytes:
    return _written(_changed(rng, json.loads(content)))


def _jsonl(rng: Random, content: bytes) -> bytes:
    lines = content.splitlines()
    at = rng.randint(0, len(lines) - 1)
    lines[at] = _written(_changed(rng, json.loads(lines[at])))
    if rng.randint(0, 5) == 0:
        lines.insert(rng.randint(0, len(lines)), rng.choice(lines))
    return b"\n".join(lines) + b"\n"


def _written(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


def _changed(rng: Random, value: Any) -> Any:
    """A JSON value with one to three places in it replaced, removed, renamed or doubled."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        value = _changed_once(rng, value)
    return value


def _changed_once(rng: Random, value: Any) -> Any:
    places = list(_places(value))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    match rng.randint(0, 6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(["", "x", "\ud800", "../x", "qid", "1", "a" * 300])] = holder.pop(key)
        case 1:
            holder.append(copy.deepcopy(holder[key]))
        case 2:
            other, name = rng.choice(places)
            if isinstance(other, dict) == (name in other if isinstance(other, dict) else False) or isinstance(other, list):
                holder[key] = copy.deepcopy(other[name] if not isinstance(other, list) or name < len(other) else None)
        case _:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    open_ = [value]
    while open_:
        one = open_.pop()
        keys: Any = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        found += [(one, key) for key in keys]
        open_ += [one[key] for key in keys]
    return found


def _table(delimiter: str) -> Callable[[Random, bytes], bytes]:
    def change(rng: Random, content: bytes) -> bytes:
        rows = list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter=delimiter))
        for _ in range(rng.randint(1, 3)):
            row = rng.choice(rows)
            if not row:
                continue
            at = rng.randint(0, len(row) - 1)
            match rng.randint(0, 4):
                case 0:
                    del row[at]
                case 1:
                    row.insert(at, row[at])
                case _:
                    token = rng.choice(TOKENS).decode("utf-8", "surrogateescape")
                    row[at] = token
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(rows)
        return text.getvalue().encode("utf-8", "surrogateescape")

    return change


_STRUCTURED: dict[str, Callable[[Random, bytes], bytes]] = {
    "json": _json,
    "jsonl": _jsonl,
    "csv": _table(","),
    "tsv": _table("\t"),
}
