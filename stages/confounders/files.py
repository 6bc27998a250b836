"""Dictionary files (.npz): ours, and the published ones that are drop-in for them.

    mean_pool_c, max_pool_c   (K, D) float32: rows from mean- and from max-pooled items; methods read mean_pool_c
    centres                   (K, D) float32 of the mean-pooled clusters           (ours only, like the following)
    counts                    (K,) int64 items per cluster
    item_ids                  (K,) the item whose pooled features are row k of mean_pool_c; (K, S): S clustered apart
    provenance                JSON: how it was made

The same content gives the same bytes. Nothing in a dictionary is ever unpickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]

MEAN, MAXIMUM = "mean_pool_c", "max_pool_c"


class DictionaryError(ValueError):
    """A dictionary file that is missing or damaged, or does not fit. The message names the file and the way out."""


def write_dictionary(path: Path, arrays: Mapping[str, NDArray[Any]], provenance: Mapping[str, Any]) -> None:
    """Write beside and rename; keys in the given order, then the provenance."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays, provenance=np.array(json.dumps(provenance, sort_keys=True)))
    partial.replace(path)


def read_floats(path: Path, key: str, dimensions: tuple[str, ...], stage: str = "dictionary") -> Floats:
    """One array of a file of confounders as float32. `dimensions` names its axes, `stage` what writes such files.

    Raises DictionaryError: no such file, not an npz, no such key, not finite numbers of that many dimensions.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            if key not in content:
                has = ", ".join(content)
                raise DictionaryError(f"{path}: no key {key!r}, it has {has}; this is not a file of the stage {stage}")
            rows = content[key]
    except FileNotFoundError:
        raise DictionaryError(f"{path}: no such file; build it with the {stage} stage") from None
    except DictionaryError:
        raise
    except Exception as error:  # numpy, zipfile and tokenize each have their own ways to say "broken"
        raise DictionaryError(f"{path}: not a readable npz of plain arrays ({error}); fetch or build it again") from error
    if not isinstance(rows, np.ndarray):  # a member that is no array comes as its bytes
        raise DictionaryError(f"{path}: {key} is no array; fetch or build the file again")
    if rows.ndim != len(dimensions) or not np.issubdtype(rows.dtype, np.floating) or not len(rows):
        expected = ", ".join(dimensions)
        raise DictionaryError(f"{path}: {key} is {rows.dtype} of shape {rows.shape}, expected floats of shape ({expected})")
    finite = np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise DictionaryError(f"{path}: {key}: row {row} is not finite; build or fetch it again")
    result: Floats = rows.astype(np.float32)
    return result


def read_rows(path: Path, key: str = MEAN) -> Floats:
    """The rows (K, D) float32 of a dictionary, ours or published.

    Raises DictionaryError: no such file, not an npz, no such key, not a finite matrix of numbers.
    """
    return read_floats(path, key, ("K", "D"))


def join_by_row(files: Sequence[Path], key: str = MEAN) -> Floats:
    """Rows of several dictionaries side by side, (K, sum of widths): row k of each source is row k of the whole.

    Raises DictionaryError if they differ in the number of rows.
    """
    parts = [read_rows(file, key) for file in files]
    for file, part in zip(files, parts, strict=True):
        if len(part) != len(parts[0]):
            raise DictionaryError(
                f"{file}: {len(part)} rows, but {files[0]} has {len(parts[0])}; rows are joined by their number"
            )
    return np.concatenate(parts, axis=1)
