"""Consolidating small published files into one store: against np.load (torch.load) in a loop.

    python -m benchmarks.consolidate [--items 3000] [--rounds 5] [--sets text clip slowfast internvideo2] [--work FOLDER]

Files are synthetic, with lengths distributed as Charades-STA's and float16 rows of the real widths: CLIP text (512, 4 to 24
tokens), CLIP video (512), SlowFast (2304), InternVideo2 (768, `.pt`). Every candidate reads the same files from the page cache:

    load            np.load or torch.load of each file, the rows dropped: the reference. np.load tests checksums, torch does not
    load and write  the same, each array written behind the last into one file: the plain way to consolidate
    build           stages.consolidation: both passes, npz checksums tested, norms, crc32c, index, renamed into place; one process
    build, 2        the same with two worker processes, their start included
    read            build's own reading with its checksum test, rows into one reused block, nothing written
    limit: open     open, read into a reused block, close: no format, no test
    limit: write    as many bytes as the rows, from one block into a new file

Before timing, every row of the built store is compared with what np.load gives.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.rounds import interleave, save
from stages.consolidation.arrays import locate
from stages.consolidation.build import build, read_direct
from stages.consolidation.survey import OpenFile
from stages.features.store import Feature, FeatureStore, StoreInfo

ITEMS = 1000
ROUNDS = 5
BLOCK = 4_000_000


@dataclass(frozen=True)
class Kind:
    """One kind of published file."""

    feature: Feature
    lengths: Callable[[np.random.Generator, int], NDArray[np.int64]]


def clip_lengths(random: np.random.Generator, items: int) -> NDArray[np.int64]:
    """Clips per video at one per second, as Charades-STA has them: median 31, 5 % below 19 and above 43, at most 195."""
    return np.clip(np.exp(random.normal(np.log(31), 0.25, items)).round(), 6, 195).astype(np.int64)


def token_lengths(random: np.random.Generator, items: int) -> NDArray[np.int64]:
    """Tokens per query, begin and end marks included."""
    return random.integers(4, 25, items)


def feature(name: str, form: str, width: int, **more: Any) -> Feature:
    """Settings of a synthetic feature."""
    key = {"npz": "last_hidden_state" if name == "text" else "features"}.get(form)
    return Feature(files=name, format=form, key=key, width=width, extractor="random numbers", **more)  # type: ignore[arg-type]


KINDS = {
    "text": Kind(feature("text", "npz", 512, kind="query", prefix="qid"), token_lengths),
    "clip": Kind(feature("clip", "npz", 512, kind="clip", fps=1.0), clip_lengths),
    "slowfast": Kind(feature("slowfast", "npz", 2304, kind="clip", fps=1.0), clip_lengths),
    "internvideo2": Kind(feature("internvideo2", "pt", 768, kind="clip", fps=1.0), clip_lengths),
}


def publish(raw: Path, kind: Kind, items: int) -> list[str]:
    """Write the files of one kind; returns the ids."""
    random = np.random.default_rng(0)  # the same lengths for every kind of video feature
    settings, ids = kind.feature, [f"{number:05d}" for number in range(items)]
    folder = raw / settings.files
    folder.mkdir(parents=True)
    import torch  # not above: worker processes import this file again

    for item, length in zip(ids, kind.lengths(random, items), strict=True):
        rows = random.standard_normal((length, settings.width), np.float32).astype(np.float16)
        path = folder / f"{settings.prefix}{item}.{settings.format}"
        if settings.format == "pt":
            torch.save(torch.from_numpy(rows), path)
        else:
            np.savez(path, **{str(settings.key): rows})  # type: ignore[arg-type]
    return ids


def published_rows(raw: Path, settings: Feature, ids: list[str]) -> Iterator[NDArray[Any]]:
    """The rows of every file by the reader its publisher's code uses."""
    import torch

    for item in ids:
        path = raw / settings.files / f"{settings.prefix}{item}.{settings.format}"
        if settings.format == "pt":
            yield torch.load(path, weights_only=True).numpy()
        else:
            with np.load(path) as archive:
                yield archive[settings.key]


def load_and_write(raw: Path, settings: Feature, ids: list[str], out: Path) -> None:
    """Plain consolidation: every array behind the last."""
    with out.open("wb") as file:
        for rows in published_rows(raw, settings, ids):
            rows.tofile(file)


def read_checked(raw: Path, settings: Feature, ids: list[str]) -> None:
    """What the builder does to read, without the writing."""
    block = memoryview(bytearray(BLOCK))
    for item in ids:
        path = f"{raw}/{settings.files}/{settings.prefix}{item}.{settings.format}"
        descriptor = os.open(path, os.O_RDONLY)
        array = locate(OpenFile(descriptor), settings.format, settings.key)
        os.close(descriptor)
        read_direct(path, array, block[: array.rows * array.width * 2])


def open_and_read(raw: Path, settings: Feature, ids: list[str]) -> None:
    """The bare system calls."""
    block = memoryview(bytearray(BLOCK))
    for item in ids:
        descriptor = os.open(f"{raw}/{settings.files}/{settings.prefix}{item}.{settings.format}", os.O_RDONLY)
        os.preadv(descriptor, [block], 0)
        os.close(descriptor)


def write_only(out: Path, size: int) -> None:
    """A new file of `size` bytes."""
    block = memoryview(bytearray(BLOCK))
    with out.open("wb", buffering=0) as file:
        for start in range(0, size, BLOCK):
            file.write(block[: min(BLOCK, size - start)])


def measure(name: str, items: int, rounds: int, work: Path) -> dict[str, Any]:
    """The figures of one kind of file."""
    settings = KINDS[name].feature
    raw, out = work / "raw", work / "out"
    ids = publish(raw, KINDS[name], items)
    info = StoreInfo(dataset="benchmark", feature=name, kind=settings.kind)
    build(out / "x.zarr", settings, raw, ids, info)
    store = FeatureStore.open(out / "x.zarr")
    for item, rows in zip(ids, published_rows(raw, settings, ids), strict=True):
        np.testing.assert_array_equal(store.rows(item), rows)
    size = store.info.rows * store.values.row_bytes
    store.unmap()

    def clean(_: str) -> None:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()

    candidates: dict[str, Callable[[], object]] = {
        "load": lambda: sum(rows.nbytes for rows in published_rows(raw, settings, ids)),
        "load and write": partial(load_and_write, raw, settings, ids, out / "rows"),
        "build": partial(build, out / "x.zarr", settings, raw, ids, info),
        "build, 2": partial(build, out / "x.zarr", settings, raw, ids, info, workers=2),
        "read": partial(read_checked, raw, settings, ids),
        "limit: open": partial(open_and_read, raw, settings, ids),
        "limit: write": partial(write_only, out / "rows", size),
    }
    figures = interleave(candidates, reference="load", rounds=rounds, before_each=clean)
    for found in figures.values():
        found["mb_per_s"] = round(size / 1e6 / found["seconds_median"])
    shutil.rmtree(work)
    return {"files": items, "mb": round(size / 1e6), "kb_per_file": round(size / 1e3 / items), "candidates": figures}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS, help="files per set (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="timed rounds (default: %(default)s)")
    parser.add_argument("--sets", nargs="+", choices=list(KINDS), default=list(KINDS), metavar="SET", help=", ".join(KINDS))
    parser.add_argument("--work", type=Path, help="folder for the files, removed afterwards (default: a temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        figures = {name: measure(name, args.items, args.rounds, Path(folder) / name) for name in args.sets}
    save("consolidate", {"rounds": args.rounds, "cache": "warm", "reference": "load", "sets": figures})


if __name__ == "__main__":
    main()
