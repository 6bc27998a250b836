r"""Stage `dictionary`: the confounder dictionary of a stream, by k-means over its items or from published files.

reads   data/samples/<dataset>/                   which items are trained on
        data/features/<dataset>/<feature>.zarr    their features
        data/raw/<dataset>/                       published dictionaries, if the entry names any
writes  data/dictionaries/<name>.npz              mean_pool_c, max_pool_c (K, D) and more (stages/confounders/files.py)

    python -m stages.dictionary --name planted-video --samples data/samples/planted --features data/features/planted \
        --out data/dictionaries/planted-video.npz
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from tqdm import tqdm

from stages.confounders.files import MAXIMUM, MEAN, DictionaryError, join_by_row, write_dictionary
from stages.confounders.kmeans import ClusteringError, Clusters, Floats, corrected, pool, released
from stages.confounders.minibatch import clusters
from stages.confounders.settings import Dictionary
from stages.datasets.samples import sample_type, training_split
from stages.datasets.schema import DatasetError
from stages.features.resident import Fused
from stages.features.store import FeatureStore, StoreError
from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup

ITEMS_AT_A_TIME = 64


def clustered(stores: Sequence[FeatureStore], ids: Sequence[str], settings: Dictionary) -> dict[str, NDArray[Any]]:
    """The arrays of a corrected dictionary over `ids`: rows as a model is fed them, all stores of an item in one row."""
    fused = Fused(stores, normalise=True, budget_bytes=0, ids=ids)
    mean, maximum = _pooled(_fed_rows(fused), len(ids), fused.width)
    form = {"k": settings.k, "seed": settings.seed, "iterations": settings.iterations, "seeding_rows": settings.seeding_rows}
    of_max = corrected(maximum, **form)
    of_mean = corrected(mean, **form)
    rows = mean[of_mean.members] if settings.row == "member" else of_mean.centres
    of_max_rows = maximum[of_max.members] if settings.row == "member" else of_max.centres
    return _arrays(rows, of_max_rows, of_mean, np.array(ids)[of_mean.members])


def clustered_frames(stores: Sequence[FeatureStore], ids: Sequence[str], settings: Dictionary) -> dict[str, NDArray[Any]]:
    """The arrays of a dictionary over all frames of `ids`, as published; counts: frames of each cluster."""
    fused = Fused(stores, normalise=False, budget_bytes=0, ids=ids)
    found = clusters(np.concatenate([rows.copy() for rows in _fed_rows(fused)]), k=settings.k, seed=settings.seed)
    counts = np.bincount(found.labels, minlength=settings.k)
    return {MEAN: found.centres, MAXIMUM: found.centres, "centres": found.centres, "counts": counts}


def clustered_as_released(stores: Sequence[FeatureStore], settings: Dictionary) -> dict[str, NDArray[Any]]:
    """The arrays of a released dictionary: every item of each store, each store on its own, then joined row by row."""
    parts = []
    for store in stores:
        rows = (store.rows(item) for item in store.ids)
        mean, maximum = _pooled(rows, len(store), store.info.width)
        found = released(mean, maximum, k=settings.k, seed=settings.seed, iterations=settings.iterations)
        of_mean = found["mean"]
        ids = np.array(store.ids)[of_mean.members]
        parts.append(_arrays(mean[of_mean.members], maximum[found["max"].members], of_mean, ids))
    if len(parts) == 1:
        return parts[0]
    if len({(len(part[MEAN]), len(part[MAXIMUM])) for part in parts}) > 1:
        raise ClusteringError(
            f"the sources give {[len(part[MEAN]) for part in parts]} rows and cannot be joined; set a smaller k"
        )
    joined = {name: np.concatenate([part[name] for part in parts], axis=1) for name in (MEAN, MAXIMUM, "centres")}
    return joined | {name: np.stack([part[name] for part in parts], axis=1) for name in ("counts", "item_ids")}


def training_items(samples: Path, kind: str) -> list[str]:
    """Ids of the items that training sees, sorted: queries for stores of kind "query", else videos."""
    chosen, _ = training_split(samples, sample_type(samples))
    items = (sample.text_items if kind == "query" else (sample.video_id,) for sample in chosen)
    return sorted({item for of_sample in items for item in of_sample})


def build(settings: Dictionary, *, samples: Path, features: Path, raw: Path | None, out: Path) -> None:
    """Write the dictionary `out` that `settings` describe.

    Raises DictionaryError, ClusteringError, StoreError or DatasetError: what is missing or does not fit.
    """
    told = {name: value for name, value in dataclasses.asdict(settings).items() if (name, value) != ("over", "items")}
    about = told | {"schema_version": 1, "sklearn": sklearn.__version__, "numpy": np.__version__}
    if settings.published:
        if raw is None:
            raise DictionaryError(f"published files {', '.join(settings.published)} are looked for in the folder --raw: give it")
        files = [raw / name for name in settings.published]
        arrays: Mapping[str, NDArray[Any]] = {key: join_by_row(files, key) for key in (MEAN, MAXIMUM)}
        if len(arrays[MEAN]) != settings.k:
            raise DictionaryError(f"{files[0]}: {len(arrays[MEAN])} rows, but k is {settings.k}; set k to the number of rows")
    else:
        stores = [FeatureStore.open(features / f"{name}.zarr") for name in settings.features]
        if len(kinds := {store.info.kind == "query" for store in stores}) > 1:
            raise DictionaryError(f"features {', '.join(settings.features)}: videos and queries cannot share a dictionary")
        about["stores"] = {store.info.feature: store.info.recipe for store in stores}
        if settings.numerics == "released" and settings.over == "items":
            arrays = clustered_as_released(stores, settings)
        else:
            ids = training_items(samples, "query" if kinds.pop() else "video")
            if any(store.info.quality.get(rule) for store in stores for rule in ("missing", "empty")):
                ids = [item for item in ids if all(item in store for store in stores)]  # the consolidation was told to drop them
            arrays = (clustered_frames if settings.over == "frames" else clustered)(stores, ids, settings)
    write_dictionary(out, arrays, about)


def _fed_rows(fused: Fused) -> Iterable[Floats]:
    for begin in range(0, len(fused.ids), ITEMS_AT_A_TIME):
        some = fused.ids[begin : begin + ITEMS_AT_A_TIME]
        values = fused.batch(some)[0].numpy()
        yield from (item[:length] for item, length in zip(values, fused.lengths(some), strict=True))


def _pooled(items: Iterable[NDArray[Any]], count: int, width: int) -> tuple[Floats, Floats]:
    """Mean and maximum over time of every item, each (V, D)."""
    mean, maximum = np.empty((count, width), dtype=np.float32), np.empty((count, width), dtype=np.float32)
    for place, rows in enumerate(tqdm(items, total=count, desc="pool items", unit="item", mininterval=1.0)):
        mean[place], maximum[place] = pool(rows)
    return mean, maximum


def _arrays(mean: Floats, maximum: Floats, of_mean: Clusters, ids: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {MEAN: mean, MAXIMUM: maximum, "centres": of_mean.centres, "counts": of_mean.counts, "item_ids": ids}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="entry of params.yaml: dictionaries")
    parser.add_argument("--samples", type=Path, required=True, help="folder of the data set's samples")
    parser.add_argument("--features", type=Path, required=True, help="folder of the data set's stores")
    parser.add_argument("--raw", type=Path, help="folder of the data set's files as fetched, for published dictionaries")
    parser.add_argument("--out", type=Path, required=True, help="dictionary file to write (.npz)")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE, help="default: %(default)s")
    args = parser.parse_args(argv)
    try:
        settings = lookup(load_params(args.params, methods=False).dictionaries, args.name, "dictionaries")
        build(settings, samples=args.samples, features=args.features, raw=args.raw, out=args.out)
    except (ParamsError, DictionaryError, ClusteringError, StoreError, DatasetError, OSError) as error:
        parser.exit(2, f"{type(error).__name__}: {error}\n")


if __name__ == "__main__":
    main()
