"""Every number of params.yaml as 0, and as -1: it is read, or refused as params are refused; no rule fails over it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from stages.params import ParamsError, load_params

WHOLE: dict[str, Any] = yaml.safe_load((Path(__file__).resolve().parents[2] / "params.yaml").read_text())


def numbers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all numbers below a value."""
    if isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from numbers(item, (*path, key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path


def kind(section: str, entry: Mapping[str, Any]) -> object:
    """Entries of one kind have the same rules."""
    return entry.get("method", sorted(entry) if section in ("worlds", "graphs") else None)


def places() -> list[tuple[str, str, tuple[Any, ...]]]:
    """Section, entry and path of every number, once for each kind of entry."""
    found = {}
    for section, entries in WHOLE.items():
        for name, entry in entries.items():
            for path in numbers(entry):
                found.setdefault((section, str(kind(section, entry)), path), (section, name, path))
    return list(found.values())


@pytest.mark.slow
def test_zero_and_less_are_read_or_refused(tmp_path):
    asked = places()
    refused = 0
    for section, name, path in asked:
        for replacement in (0, -1):
            entry = copy.deepcopy(WHOLE[section][name])
            *above, last = path
            place = entry
            for key in above:
                place = place[key]
            place[last] = type(place[last])(replacement)
            alone = {other: {} for other in WHOLE} | {section: {name: entry}}
            (tmp_path / "params.yaml").write_text(yaml.safe_dump(alone))
            with suppress(ParamsError):
                load_params(tmp_path / "params.yaml")
                continue
            refused += 1
    assert len(asked) > 300
    assert 50 < refused < 2 * len(asked)  # alone an entry is not refused for what it names in other sections
