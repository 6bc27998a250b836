"""What becomes of a reference checkpoint, for every method.

A key file offers  settings(reference)     fields of the method's Config that a reference configuration tells
                   convert(state, given)   a reference state dict in our terms; `given`: fields of the Config that are known
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


class KeysDiffer(ValueError):  # noqa: N818  (what differs, not that it is an error)
    """A checkpoint with keys that the reference does not have, or without keys that it has; the message lists all of them."""

    def __init__(self, *, unknown: Iterable[str], missing: Iterable[str]) -> None:
        self.unknown, self.missing = sorted(unknown), sorted(missing)
        lists = [("unknown", self.unknown), ("missing", self.missing)]
        super().__init__("; ".join(f"{len(names)} {what} keys: {', '.join(names)}" for what, names in lists if names))


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A reference state dict in our terms.

    model           the method's Config as plain values
    widths          channels per stream
    confounders     shape of the dictionary per stream
    weights         tensors under our key names
    assumed         fields of `model` that neither shapes nor settings told: name -> value
    """

    model: dict[str, Any]
    widths: dict[str, int]
    confounders: dict[str, tuple[int, ...]]
    weights: dict[str, Tensor]
    assumed: dict[str, Any]


def find(settings: Mapping[str, Any], name: str) -> Iterator[Any]:
    """Every value under the key `name` in nested mappings and lists, outermost first."""
    if name in settings:
        yield settings[name]
    for value in settings.values():
        for inner in value if isinstance(value, list | tuple) else (value,):
            if isinstance(inner, Mapping):
                yield from find(inner, name)
