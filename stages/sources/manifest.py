"""data/raw/<dataset>/manifest.json: what a fetch brought, and the lock that later fetches must match.

    {"schema_version": 1, "dataset": "...",
     "origins": [{"kind": "hub", "repository": ..., "type": ..., "revision": as asked for, "patterns": ..., "commit": ...}, ...],
     "files": {"features/clip/a.npz": {"bytes": ..., "sha256": ..., "origin": 0}, ...}}

`origin` is an index into `origins`: the mirror that the file was taken from. Sorted, without times and machine names: equal
content from equal places is an equal manifest. It exists only while every file of it is there and verified.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.sources.errors import FetchError

NAME = "manifest.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class FileRecord:
    """One fetched file; `origin` describes the mirror it came from."""

    bytes: int
    sha256: str
    origin: Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """All files of a data set, by path below its folder."""

    dataset: str
    files: dict[str, FileRecord] = field(default_factory=dict)

    def of_origin(self, origin: Mapping[str, Any]) -> dict[str, FileRecord]:
        """The files that were taken from exactly this origin."""
        return {path: record for path, record in self.files.items() if record.origin == origin}

    def locked_commit(self, origin: Mapping[str, Any]) -> str | None:
        """The commit at which the same repository was taken when the same revision was asked for."""
        asked = ("kind", "repository", "type", "revision")
        for record in self.files.values():
            if all(record.origin.get(key) == origin.get(key) for key in asked):
                commit = record.origin.get("commit")
                return str(commit) if commit else None
        return None

    def write(self, path: Path) -> None:
        """Write beside and rename; an equal file is left alone."""
        content = self._text().encode()
        if path.is_file() and path.read_bytes() == content:
            return
        beside = path.with_name(path.name + ".new")
        with beside.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)

    def _text(self) -> str:
        keys = sorted({json.dumps(record.origin, sort_keys=True) for record in self.files.values()})
        index = {key: position for position, key in enumerate(keys)}
        origins = ",\n  ".join(keys)
        lines = []
        for path in sorted(self.files):
            record = self.files[path]
            facts = {"bytes": record.bytes, "sha256": record.sha256, "origin": index[json.dumps(record.origin, sort_keys=True)]}
            lines.append(f"  {json.dumps(path)}: {json.dumps(facts)}")
        files = ",\n".join(lines)
        head = f'"schema_version": {SCHEMA_VERSION},\n "dataset": {json.dumps(self.dataset)}'
        return f'{{{head},\n "origins": [\n  {origins}\n ],\n "files": {{\n{files}\n }}}}\n'


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`.

    Raises FetchError if it is not one, FileNotFoundError if there is none.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["schema_version"] != SCHEMA_VERSION:
            raise FetchError(f"{path}: schema version {raw['schema_version']}, this code reads {SCHEMA_VERSION}; {_REPLACE}")
        origins = raw["origins"]
        files = {
            name: FileRecord(int(facts["bytes"]), str(facts["sha256"]), origins[facts["origin"]])
            for name, facts in raw["files"].items()
        }
        return Manifest(str(raw["dataset"]), files)
    except (
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:  # ValueError: JSON and UTF-8 errors too
        raise FetchError(f"{path}: not a manifest of fetch ({error!r}); {_REPLACE}") from None


_REPLACE = "delete it and fetch again: present files are compared with their mirrors and recorded anew"
