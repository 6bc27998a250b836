"""What was wrong in published feature files: collected over a whole run, shown on one screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

EXAMPLES = 5  # shown per kind of fault
SHOWN = 100  # characters of an outside name


class ConsolidationError(ValueError):
    """Feature files that cannot become a store. The message lists every kind of fault with its count, first files and way out."""


@dataclass(frozen=True)
class Fault:
    """One fault of one file. `kind` is a key of WAYS_OUT; `where` a file, member or id; `what` the finding."""

    kind: str
    where: str
    what: str = ""


class FaultError(Exception):
    """Raised by readers on one file, caught where faults are collected."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(kind, what)
        self.kind, self.what = kind, what

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"

    def at(self, where: str) -> Fault:
        """The fault, with the place the reader did not know."""
        return Fault(self.kind, where, self.what)


WAYS_OUT = {
    "archive": "fetch the archive again; all its parts have to lie side by side under one name",
    "unsafe member": "such members are never read; repack the archive with plain files under relative names",
    "not listed": "files and manifest.json differ: run the fetch stage again",
    "unreadable": "fetch the file again; delete it to treat it as missing",
    "damaged": "its content does not match its own checksum: fetch the file again; delete it to treat it as missing",
    "too large": "no feature file is that large: check `files` and `format`",
    "key": "set `key` to the array you mean",
    "not an array": "only plain arrays and tensors are read, nothing is unpickled: convert the file to its bare array",
    "dimensions": "expected rows (T, D)",
    "shape": "check `key`, `boxes`, `grid`, `every` and `aligned` against what the file holds",
    "ids": "set `ids` to the data set that has one id for every entry of the array",
    "size": "the table of the annotations needs columns width and height for `relative_boxes`",
    "width": "check `width` and `key`",
    "dtype": "set `dtype: float16` or `dtype: float32` to convert all files to one type",
    "empty": "set `empty: drop` to leave these ids out",
    "non-finite": "set `non_finite: zero` to store 0 in their place",
    "twice": "one id, several files: remove all but one",
    "missing": "set `missing: drop` to leave these ids out, or fetch the files",
    "extra": "set `extra: ignore` to leave these files out, or `store` to take them in",
    "name": "such a name cannot be an id: rename the file",
    "nothing": "check `files`, `format` and `prefix`, and that the fetch stage has run",
}


@dataclass
class Faults:
    """All faults of one feature: every one counted, the first few of each kind kept."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Fault]] = field(default_factory=dict)

    def add(self, fault: Fault, count: int = 1) -> None:
        """Note a fault; `count` says for how many files it stands."""
        self.counts[fault.kind] += count
        kept = self.examples.setdefault(fault.kind, [])
        if len(kept) < EXAMPLES:
            kept.append(fault)

    def extend(self, faults: Iterable[Fault]) -> None:
        """Note several."""
        for fault in faults:
            self.add(fault)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def text(self, feature: str) -> str:
        """The screen: per kind of fault its count, the way out, the first files."""
        lines = [f"{feature}: {sum(self.counts.values())} faults in the published files; no store was written"]
        for kind, count in self.counts.items():
            lines.append(f"  {kind}: {count}. {WAYS_OUT[kind][0].upper()}{WAYS_OUT[kind][1:]}.")
            lines += [f"    {shown(fault.where)}{': ' if fault.what else ''}{fault.what}" for fault in self.examples[kind]]
            if count > len(self.examples[kind]):
                lines.append(f"    ... and {count - len(self.examples[kind])} more")
        return "\n".join(lines)


def shown(name: str) -> str:
    """An outside name as one printable line: escapes for control and non-UTF-8 characters, the middle of long names cut."""
    text = "".join(character if character.isprintable() else repr(character)[1:-1] for character in name)
    text = text if text and text == text.strip() else repr(text)
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]}...{text[-SHOWN // 3 :]}"
