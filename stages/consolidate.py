"""Stage `consolidate`: annotation files -> samples, and every published feature of a data set -> one Zarr store each.

reads   data/raw/<name>/                            what fetch left: annotations, feature files or archives, manifest.json
        params.yaml: datasets.<name>, features.<name>
writes  data/samples/<name>/<split>.parquet         one row per record
        data/samples/<name>/quality.json            every repair and oddity, of the annotations and of the features
        data/features/<name>/<feature>.zarr         one ragged array (rows, channels), offsets, ids, row norms; any Zarr v3 reader
        data/features/<name>/<feature>.archive.zarr with `archive: true`: the same, compressed and sharded, for sharing

Only annotated ids are stored unless the feature says `extra: store`. Archives are read as streams; nothing is unpacked to disk. A
complete store whose source and settings are unchanged is kept; otherwise the new one replaces it when it is complete. Killed at
any moment and repeated, the stage leaves the same bytes. Faults of all feature files are shown together; a feature with faults
gets no store, and what was there before stays as it was.

e.g.    python -m stages.consolidate --name planted --raw data/raw/planted --samples data/samples/planted \
            --features data/features/planted

exit code   0: all stores are there.  1: they are not; the message lists every fault.  2: wrong arguments or parameters.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stages.consolidation.agreement import quality_of_features
from stages.consolidation.build import build
from stages.consolidation.build_arrays import Annotations, build_arrays
from stages.consolidation.faults import ConsolidationError
from stages.consolidation.provenance import recipe_of, source_of
from stages.consolidation.relation_pairs import build_pairs
from stages.consolidation.sources import source_paths
from stages.consolidation.workers import worthwhile
from stages.datasets.samples import QUALITY, load_adapter, write_samples
from stages.datasets.schema import DatasetError, text_items
from stages.features.archive import archive_path, pack, unpack
from stages.features.store import Feature, FeatureStore, StoreError, StoreInfo
from stages.sources.errors import FetchError
from stages.sources.manifest import NAME as MANIFEST
from stages.sources.manifest import FileRecord, read_manifest

READ = ("sample_id", "video_id", "query_id", "duration", "options")  # columns of the samples, where their task has them


@dataclass(frozen=True)
class Annotated:
    """What the samples refer to.

    videos, queries   ids of videos and of texts, sorted
    durations         seconds of the videos, where known
    rows              split -> for every row of its file, the sample's id and the ids of its texts
    sizes             video -> (width, height) of its picture, where they are asked for
    """

    videos: list[str]
    queries: list[str]
    durations: dict[str, float]
    rows: dict[str, list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    sizes: dict[str, tuple[float, float]] = field(default_factory=dict)

    def ids(self, feature: Feature) -> list[str]:
        """The ids under which a feature is looked up."""
        if feature.aligned:
            return sorted(item for rows in self.texts(feature).values() for items in rows for item in items)
        return self.queries if feature.kind == "query" else self.videos

    def texts(self, feature: Feature) -> dict[str, list[tuple[str, ...]]]:
        """Split -> for every row of its table, the items of an aligned feature."""
        whole = feature.per == "question"
        return {split: [(sample,) if whole else items for sample, items in rows] for split, rows in self.rows.items()}

    def basis(self, feature: Feature) -> list[str]:
        """All that the bytes of a store depend on here: ids, and for some features their rows and sizes."""
        if feature.aligned:
            texts = self.texts(feature).items()
            return [f"{split} {row} {item}" for split, rows in texts for row, items in enumerate(rows) for item in items]
        if feature.relative_boxes:
            return [f"{video} {self.sizes.get(video)}" for video in self.videos]
        return self.ids(feature)


@dataclass
class Done:
    """What became of the stores."""

    stores: dict[str, FeatureStore] = field(default_factory=dict)
    built: list[str] = field(default_factory=list)
    bytes: int = 0
    faults: list[str] = field(default_factory=list)


def consolidate(
    name: str, features: Mapping[str, Feature], files: Mapping[str, FileRecord], raw: Path, samples: Path, out: Path, workers: int
) -> Done:
    """Bring every store below `out` up to date; see the module's text. `files` is the manifest of `raw`."""
    annotated = read_annotated(samples, sizes=any(feature.relative_boxes for feature in features.values()))
    out.mkdir(parents=True, exist_ok=True)
    remove_others(out, features)
    done = Done()
    listed = {file: record.bytes for file, record in files.items()}
    for feature_name, feature in features.items():
        source = source_of(feature, files)
        wanted = annotated.ids(feature)
        info = StoreInfo(
            dataset=name,
            feature=feature_name,
            kind=feature.kind,
            fps=feature.fps,
            extractor=feature.extractor,
            concatenation=feature.concatenation,
            source=source,
            recipe=recipe_of(name, feature_name, feature, source, annotated.basis(feature)),
        )
        path = out / f"{feature_name}.zarr"
        try:
            store = kept(path, info.recipe)
            if store is None:
                print(f"{name}/{feature_name}: {feature.files}", file=sys.stderr)
                size = sum(listed[file] for file in source_paths(listed, feature.pattern))
                if feature.format == "relation_h5":
                    build_pairs(path, feature, raw, wanted, info, listed=listed)
                elif feature.in_arrays:
                    build_arrays(
                        path, feature, raw, Annotations(wanted, annotated.texts(feature), annotated.sizes), info, listed=listed
                    )
                else:
                    build(path, feature, raw, wanted, info, listed=listed, workers=workers or worthwhile(size))
                store = FeatureStore.open(path)
                done.built.append(feature_name)
                done.bytes += store.info.rows * store.values.row_bytes
            if feature.archive:
                pack(store)
            done.stores[feature_name] = store
        except (ConsolidationError, StoreError) as error:
            done.faults.append(str(error))
    if not done.faults:
        wanted_ids = {feature_name: annotated.ids(feature) for feature_name, feature in features.items()}
        add_quality(samples / QUALITY, quality_of_features(done.stores, wanted_ids, annotated.durations))
    return done


def kept(path: Path, recipe: str) -> FeatureStore | None:
    """The complete and undamaged store at `path` (or in its archive copy), if it was made by this very recipe."""
    if not path.exists():
        unpack(path, recipe)
    try:
        store = FeatureStore.open(path)
    except StoreError as error:
        if path.exists():
            print(f"{error}; it is made anew", file=sys.stderr)
        return None
    return store if store.info.recipe == recipe else None


def read_annotated(samples: Path, *, sizes: bool = False) -> Annotated:
    """The ids of all splits; with `sizes` the width and height of the videos, from the columns of their published records."""
    durations: dict[str, float] = {}
    videos: set[str] = set()
    queries: set[str] = set()
    rows: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    found: dict[str, tuple[float, float]] = {}
    for path in sorted(samples.glob("*.parquet")):
        named = set(pq.read_schema(path).names)
        columns = pq.read_table(path, columns=[name for name in READ if name in named]).to_pydict()
        videos.update(columns["video_id"])
        if "duration" in named:
            known = zip(columns["video_id"], columns["duration"], strict=True)
            durations.update((video, seconds) for video, seconds in known if seconds is not None)
        queries.update(columns.get("query_id", ()))
        if "options" in named:
            pairs = zip(columns["sample_id"], columns["options"], strict=True)
            rows[path.stem] = [(sample, text_items(sample, len(options))) for sample, options in pairs]
            queries.update(item for _, items in rows[path.stem] for item in items)
        if sizes:
            found |= _sizes(path)
    return Annotated(sorted(videos), sorted(queries), durations, rows, found)


def _sizes(path: Path) -> dict[str, tuple[float, float]]:
    """(width, height) by video, of the records that state both."""
    table = pq.read_table(path, columns=["video_id", "published"])
    records = zip(table["video_id"].to_pylist(), map(json.loads, table["published"].to_pylist()), strict=True)
    return {
        video: (float(record["width"]), float(record["height"]))
        for video, record in records
        if record.get("width") and record.get("height")
    }


def remove_others(out: Path, features: Mapping[str, Feature]) -> None:
    """Remove what is not one of these stores: stores of features that params.yaml no longer has, remains of killed runs.

    The folder is a DVC output that persists, so whatever stayed here would become part of it.
    """
    expected = {f"{name}.zarr" for name in features}
    expected |= {archive_path(out / f"{name}.zarr").name for name, feature in features.items() if feature.archive}
    for path in sorted(out.iterdir()):
        if path.name not in expected and path.name.endswith((".zarr", ".partial")):
            print(f"{path}: removed, params.yaml has no such feature", file=sys.stderr)
            shutil.rmtree(path)


def add_quality(path: Path, features: dict[str, Any]) -> None:
    """Add the section `features` to quality.json, beside and then in place."""
    report = json.loads(path.read_text(encoding="utf-8")) | {"features": features}
    beside = path.with_name(f".{path.name}.partial")
    beside.write_text(json.dumps(report, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    beside.replace(path)


def main(argv: list[str] | None = None) -> int:
    """Read the parameters, write samples and stores, say what was done. Returns the exit code."""
    # Imported here: spawned worker processes import this file again, and the parameters bring torch with them.
    from stages.params import DEFAULT_FILE, ParamsError, load_params, lookup

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="entry of params.yaml: datasets and features")
    parser.add_argument("--raw", type=Path, required=True, help="folder that the fetch stage filled")
    parser.add_argument("--samples", type=Path, required=True, help="folder for samples")
    parser.add_argument("--features", type=Path, required=True, help="folder for feature stores")
    parser.add_argument("--params", type=Path, default=DEFAULT_FILE)
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that read files (default 0: as many as pay); never changes bytes"
    )
    args = parser.parse_args(argv)
    if args.workers < 0:
        parser.error(f"--workers: 0 or more, got {args.workers}")
    began = time.monotonic()
    try:
        params = load_params(args.params, methods=False)
        dataset = lookup(params.datasets, args.name, "datasets")
        features = lookup(params.features, args.name, "features")
        adapter = load_adapter(dataset.adapter)
    except (ParamsError, LookupError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if not (args.raw / MANIFEST).is_file():
        fetch = f"python -m stages.fetch --name {args.name} --out {args.raw}"
        print(f"{args.raw}: no {MANIFEST}; run the fetch stage: {fetch}", file=sys.stderr)
        return 1
    try:
        files = read_manifest(args.raw / MANIFEST).files
        report = write_samples(adapter, args.raw, args.samples, dataset=args.name)
        done = consolidate(args.name, features, files, args.raw, args.samples, args.features, args.workers)
    except (DatasetError, FetchError, OSError) as error:  # OSError: no room left, no right to write
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    if done.faults:
        print("\n".join(done.faults), file=sys.stderr)
        return 1
    print(summary(args.name, report, done, time.monotonic() - began))
    return 0


def summary(name: str, report: Mapping[str, Any], done: Done, seconds: float) -> str:
    """The last line: samples, stores, bytes, speed, memory."""
    samples = sum(split["samples"] for split in report["splits"].values())
    total = sum(store.info.rows * store.values.row_bytes for store in done.stores.values())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if sys.platform != "darwin" else 1)
    rate = f", {done.bytes / 1e6 / seconds:.0f} MB/s" if done.built else ""
    return (
        f"{name}: {samples} samples in {len(report['splits'])} splits; {len(done.stores)} stores, {total / 1e6:.0f} MB "
        f"({len(done.built)} made, {len(done.stores) - len(done.built)} kept) in {seconds:.1f} s{rate}; "
        f"memory at most {memory / 1e6:.0f} MB"
    )


if __name__ == "__main__":
    sys.exit(main())
