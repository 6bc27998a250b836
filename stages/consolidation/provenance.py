"""Where a store comes from, and what its bytes depend on: the `source` and `recipe` of its attributes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from stages.consolidation.sources import source_paths
from stages.features.store import SCHEMA_VERSION, Feature

ARRAY_SETTINGS = frozenset(("ids", "aligned", "per", "boxes", "every", "grid", "relative_boxes", "names"))
FORM = 1  # raised when this code starts to make other bytes of the same files


class FetchedFile(Protocol):
    """What the manifest of the fetch stage says about one file."""

    @property
    def bytes(self) -> int:
        """Size."""

    @property
    def sha256(self) -> str:
        """Digest."""

    @property
    def origin(self) -> Mapping[str, Any]:
        """The mirror: kind (hub, git, url, file), repository and commit, or address."""


def source_of(feature: Feature, files: Mapping[str, FetchedFile]) -> dict[str, Any]:
    """repository, revision, number of files, and one digest over path and sha256 of every file that the feature covers."""
    covered = {path: files[path] for path in source_paths(files.keys(), feature.pattern)}
    places = sorted({_place(record.origin) for record in covered.values()})
    digest = hashlib.sha256()
    for path, record in covered.items():
        digest.update(json.dumps([path, record.sha256]).encode() + b"\n")
    return {
        "repository": " + ".join(dict.fromkeys(repository for repository, _ in places)),
        "revision": " + ".join(dict.fromkeys(revision for _, revision in places if revision)),
        "files": len(covered),
        "manifest_digest": digest.hexdigest(),
    }


def _place(origin: Mapping[str, Any]) -> tuple[str, str]:
    """(repository, revision). The path of the user's own copy is left out: it differs by machine."""
    match origin.get("kind"):
        case "hub":
            return f"hub:{origin['repository']}", str(origin.get("commit") or origin.get("revision") or "")
        case "git":
            return str(origin["repository"]), str(origin.get("commit", ""))
        case "url":
            return str(origin["url"]), ""
        case _:
            return "own copy", ""


def recipe_of(dataset: str, name: str, feature: Feature, source: Mapping[str, Any], ids: Iterable[str]) -> str:
    """sha256 over everything that the bytes of a store depend on: equal recipe, equal store."""
    settings = asdict(feature)
    del settings["archive"]  # a second copy; the store itself is the same
    if not feature.in_arrays:  # settings that this feature has no use for
        settings = {name: value for name, value in settings.items() if name not in ARRAY_SETTINGS}
    parts = [FORM, SCHEMA_VERSION, dataset, name, settings, source, _digest(sorted(ids))]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(ids).encode()).hexdigest()
