"""What a feature store says about itself, and the error of everything that reads or writes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

SCHEMA_VERSION = 1
KINDS: dict[str, Any] = {
    **dict.fromkeys(("dataset", "feature", "kind", "dtype", "extractor", "normalisation", "recipe"), str),
    **dict.fromkeys(("width", "items", "rows"), int),
    **dict.fromkeys(("source", "quality"), dict),
    "fps": (int, float, type(None)),
}


class StoreError(ValueError):
    """A store that is missing, incomplete, damaged or misused. The message names store, place, expectation and way out."""


@dataclass(frozen=True, kw_only=True)
class StoreInfo:
    """The attributes of a store.

    fps             rows per second; None where rows are not spaced in time
    normalisation   "none": values are as published (their row norms lie beside them)
    concatenation   names of the parts along the channels, in order; () if there is one part
    source          repository, revision, manifest_digest (sha256 over the paths and sha256 of the files it was made from)
    quality         counts of what was repaired or left out: missing, extra, non_finite, ...
    grid            (frames, objects) of an item of kind object, whose rows are frame after frame; () for every other kind
    recipe          sha256 over everything the bytes depend on (source digest, settings, ids); equal recipe = equal store
    """

    schema_version: int = SCHEMA_VERSION
    dataset: str
    feature: str
    kind: str
    width: int = 0
    dtype: str = ""
    fps: float | None = None
    extractor: str = ""
    normalisation: str = "none"
    concatenation: tuple[str, ...] = ()
    source: Mapping[str, Any] = field(default_factory=dict)
    items: int = 0
    rows: int = 0
    quality: Mapping[str, int] = field(default_factory=dict)
    recipe: str = ""
    grid: tuple[int, ...] = ()

    @property
    def seconds_per_row(self) -> float | None:
        """Time base as a duration."""
        return None if self.fps is None else 1.0 / self.fps

    def attributes(self) -> dict[str, Any]:
        """The Zarr attributes, as JSON holds them."""
        plain: dict[str, Any] = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        plain["concatenation"] = list(self.concatenation)
        plain["source"], plain["quality"] = dict(self.source), dict(self.quality)
        plain |= {"grid": list(self.grid)} if plain.pop("grid") else {}
        return {**plain, "seconds_per_row": self.seconds_per_row}

    @classmethod
    def of_attributes(cls, attributes: Mapping[str, Any]) -> Self:
        """The inverse of `attributes`.

        Raises StoreError if a key is missing or the schema is of another version.
        """
        if not isinstance(attributes, dict):
            raise StoreError(f"attributes of type {type(attributes).__name__}; this is not a store of doflow")
        if (version := attributes.get("schema_version")) != SCHEMA_VERSION:
            raise StoreError(f"schema version {version!r}, this code reads {SCHEMA_VERSION}; run the consolidate stage again")
        names = [entry.name for entry in fields(cls) if entry.name != "grid"]
        if missing := [name for name in names if name not in attributes]:
            raise StoreError(f"attributes without {', '.join(missing)}; this is not a store of doflow")
        values = {name: attributes[name] for name in names}
        try:
            grid = tuple(int(size) for size in attributes.get("grid", ()))
            concatenation = tuple(map(str, values["concatenation"]))
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"attributes that make no sense ({error}); this is not a store of doflow") from None
        if wrong := [name for name, kinds in KINDS.items() if not isinstance(values[name], kinds)]:
            raise StoreError(f"{wrong[0]} is {values[wrong[0]]!r:.60}; this is not a store of doflow")
        return cls(**{**values, "concatenation": concatenation, "grid": grid})
