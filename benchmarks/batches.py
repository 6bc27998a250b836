"""Feeding batches: the store, resident or mapped, against the published loaders' one file per item.

    python -m benchmarks.batches [--items 3000] [--rounds 5] [--sets charades internvideo2] [--work FOLDER]

One epoch over all items in random order, 64 per batch, each source cast to float32, divided by its row norms, cut to the
shortest, concatenated, padded with zeros. `charades`: CLIP 512 + SlowFast 2304 from npz. `internvideo2`: 768 from `.pt`.

    files         np.load (torch.load) per item, NumPy normalisation, concatenation, a padded batch: the reference
    resident      fused float32 rows in memory, one gather per batch
    published     rows resident as stored (float16), normalised batch by batch
    mapped        nothing resident
    limit: memcpy as many bytes, batch by batch, from a source as large as the resident rows (so not out of a cache)

warm: everything is in the page cache. cold: before each candidate the pages of the files under test are dropped (maps are closed
first, and the share of pages that stayed is reported); `mapped, verified` also opens the stores anew and reads all checksums, as
the first epoch of a process does. Batches are compared with the reference before timing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.consolidate import KINDS, publish, published_rows
from benchmarks.rounds import interleave, save
from stages.consolidation.build import build
from stages.features import store as store_module
from stages.features.resident import Fused
from stages.features.settings import Feature
from stages.features.store import FeatureStore, StoreInfo

ITEMS = 1000
ROUNDS = 5
BATCH = 64
SETS = {"charades": ("clip", "slowfast"), "internvideo2": ("internvideo2",)}
PAGE = 4096


class Published:
    """The files of one set, their stores, and the order of the epoch."""

    def __init__(self, work: Path, names: tuple[str, ...], items: int) -> None:
        self.raw, self.out = work / "raw", work / "out"
        self.features: list[Feature] = [KINDS[name].feature for name in names]
        for name, feature in zip(names, self.features, strict=True):
            self.ids = publish(self.raw, KINDS[name], items)
            info = StoreInfo(dataset="benchmark", feature=name, kind=feature.kind)
            build(self.out / f"{name}.zarr", feature, self.raw, self.ids, info)
        order = np.random.default_rng(1).permutation(self.ids).tolist()
        self.batches: list[list[str]] = [order[start : start + BATCH] for start in range(0, items, BATCH)]

    def stores(self, *, verify: bool = False) -> list[FeatureStore]:
        """Opened anew."""
        return [FeatureStore.open(path, verify=verify) for path in sorted(self.out.glob("*.zarr"))]

    def fused(self, budget: int) -> Fused:
        """Fused anew."""
        return Fused(self.stores(), normalise=True, budget_bytes=budget, ids=self.ids)

    def from_files(self) -> Iterator[torch.Tensor]:
        """The epoch as the published loaders read it."""
        for batch in self.batches:
            items = [torch.from_numpy(self._item(item)) for item in batch]
            yield torch.nn.utils.rnn.pad_sequence(items, batch_first=True)

    def _item(self, item: str) -> NDArray[np.float32]:
        parts = []
        for feature in self.features:
            (rows,) = published_rows(self.raw, feature, [item])
            wide = rows.astype(np.float32)
            parts.append(wide / (np.linalg.norm(wide, axis=-1, keepdims=True) + 1e-5))
        shortest = min(map(len, parts))
        return np.concatenate([part[:shortest] for part in parts], axis=1)

    def files(self) -> list[Path]:
        """Every file that a cold candidate may read."""
        return [path for folder in (self.raw, self.out) for path in folder.rglob("*") if path.is_file()]


def epoch(batches: Iterator[torch.Tensor]) -> int:
    """Run through; returns the bytes seen."""
    return sum(values.nbytes for values in batches)


def feed(fused: Fused, published: Published) -> int:
    """One epoch of a fused feed."""
    return epoch(fused.batch(batch)[0] for batch in published.batches)


def copies(published: Published, lengths: NDArray[np.int64], width: int, source: NDArray[np.float32]) -> int:
    """memcpy of batches of the same sizes: from one place after another of a large source into a buffer that is there already."""
    position = {item: number for number, item in enumerate(published.ids)}
    sizes = [len(batch) * int(max(lengths[position[item]] for item in batch)) * width for batch in published.batches]
    target, at = np.ones(max(sizes), np.float32), 0
    for size in sizes:
        at = at if at + size <= len(source) else 0
        np.copyto(target[:size], source[at : at + size])
        at += size
    return 4 * sum(sizes)


def compare(published: Published) -> None:
    """Every home gives what the published loader gives."""
    homes = [published.fused(budget) for budget in (1 << 40, 0)]
    for batch, expected in zip(published.batches[:3], published.from_files(), strict=False):
        for fused in homes:
            torch.testing.assert_close(fused.batch(batch)[0], expected, rtol=1e-5, atol=1e-7)


def drop(files: list[Path]) -> None:
    """Ask the system to forget these files; they were written long enough ago to be clean, and are synced to be sure."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def still_cached(files: list[Path]) -> float:
    """Share of sampled pages that a read without waiting still finds."""
    found, pages = 0, 0
    for path in files[:: max(1, len(files) // 200)]:
        descriptor = os.open(path, os.O_RDONLY)
        size = os.fstat(descriptor).st_size
        for start in range(0, size, max(PAGE, size // 20)):
            pages += 1
            with contextlib.suppress(BlockingIOError):
                found += os.preadv(descriptor, [bytearray(1)], start, os.RWF_NOWAIT) > 0
        os.close(descriptor)
    return found / max(1, pages)


def warm(published: Published, rounds: int) -> dict[str, Any]:
    """Figures with everything in the page cache."""
    resident, half, mapped = (published.fused(budget) for budget in (1 << 40, _published_bytes(published), 0))
    assert [resident.residence, half.residence, mapped.residence] == ["fused", "published", "mapped"]
    lengths = resident.lengths(published.ids)
    source = np.ones(resident.rows * resident.width, np.float32)
    candidates: dict[str, Callable[[], object]] = {
        "files": lambda: epoch(published.from_files()),
        "resident": partial(feed, resident, published),
        "published": partial(feed, half, published),
        "mapped": partial(feed, mapped, published),
        "limit: memcpy": partial(copies, published, lengths, resident.width, source),
    }
    figures = interleave(candidates, reference="files", rounds=rounds)
    size = feed(mapped, published)
    for found in figures.values():
        found["gb_per_s"] = round(size / 1e9 / found["seconds_median"], 2)
    return {"mb_per_epoch": round(size / 1e6), "resident_mb": round(resident.resident_bytes / 1e6), "candidates": figures}


def _published_bytes(published: Published) -> int:
    stores = published.stores()
    return sum((store.info.rows + 1) * store.values.row_bytes for store in stores)


def cold(published: Published, rounds: int) -> dict[str, Any]:
    """Figures of a first epoch whose files are not in the page cache."""
    files = published.files()
    stayed: list[float] = []

    def mapped(*, verify: bool = False) -> int:
        store_module._verified.clear()  # so that checksums are read again
        fused = Fused(published.stores(verify=verify), normalise=True, budget_bytes=0, ids=published.ids)
        return feed(fused, published)  # the maps are closed when it is forgotten

    def resident() -> int:
        return feed(published.fused(1 << 40), published)

    def before(_: str) -> None:
        drop(files)
        stayed.append(still_cached(files))

    candidates: dict[str, Callable[[], object]] = {
        "files": lambda: epoch(published.from_files()),
        "mapped": mapped,
        "mapped, verified": partial(mapped, verify=True),
        "resident, built": resident,
    }
    figures = interleave(candidates, reference="files", rounds=rounds, before_each=before)
    return {"pages_still_cached": round(float(np.mean(stayed)), 3), "candidates": figures}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=ITEMS, help="videos per set (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="timed rounds (default: %(default)s)")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS), metavar="SET", help=", ".join(SETS))
    parser.add_argument("--work", type=Path, help="folder for the files, removed afterwards (default: a temporary one)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    figures = {}
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        for name in args.sets:
            published = Published(Path(folder) / name, SETS[name], args.items)
            compare(published)
            figures[name] = {"items": args.items, "warm": warm(published, args.rounds), "cold": cold(published, args.rounds)}
            shutil.rmtree(Path(folder) / name)
    save("batches", {"rounds": args.rounds, "batch": BATCH, "reference": "files", "sets": figures})


if __name__ == "__main__":
    main()
