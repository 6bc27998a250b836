"""What an artefact is: `python -m stages.describe PATH`.

reads   a feature store (*.zarr), run, world, dictionary or graphs (*.npz), or a folder of samples, fetched files, results,
        stores
prints  shapes, types, units, source, revision, digests; nothing is computed from the data themselves

    python -m stages.describe data/features/planted/clip.zarr
    python -m stages.describe data/runs/causalvtg-planted data/dictionaries/planted-video.npz

exit code   0: described.  2: not an artefact of this project, or an incomplete or damaged one; the message says why.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors import safe_open

from stages.features.store import FeatureStore, StoreError

Line = tuple[str, object]
WIDEST = 40  # column of names
SHOWN = 8  # entries of a long list


class DescribeError(ValueError):
    """A path that is none of the artefacts. The message names what was looked for."""


def describe(path: Path, *, verify: bool = False) -> str:
    """The text for one artefact. `verify` reads the checksums of stores.

    Raises DescribeError or StoreError.
    """
    if not path.exists():
        raise DescribeError(f"{path}: no such file or folder")
    try:
        lines = list(_lines(path, verify))
    except (DescribeError, StoreError):
        raise
    except Exception as error:  # every reader has its own ways to say "broken"
        raise DescribeError(f"{path}: damaged or not of this project ({type(error).__name__}: {error})") from None
    width = min(WIDEST, max(len(name) for name, _ in lines) + 2)
    return "\n".join(f"{name:<{width - 1}} {value}".rstrip() for name, value in lines)


def _lines(path: Path, verify: bool) -> Iterator[Line]:
    if path.suffix == ".npz":
        return _dictionary(path)
    if (path / "zarr.json").is_file():
        return _store(path, verify)
    folders = {
        "world.json": _world,
        "manifest.json": _raw,
        "quality.json": _samples,
        "metrics.json": _results,
        "config.json": _run,
    }
    for name, described in folders.items():
        if (path / name).is_file():
            return described(path)
    if stores := sorted(path.glob("*.zarr")):
        return (line for store in stores for line in (*_store(store, verify), ("", "")))
    if (path / "resume").is_dir():
        raise DescribeError(f"{path}: a training that is not finished; repeat its command to go on")
    raise DescribeError(
        f"{path}: expected a store (zarr.json), run (config.json), world (world.json), dictionary or graphs (.npz), "
        "samples (quality.json), fetched files (manifest.json), results (metrics.json), or a folder of stores"
    )


def _store(path: Path, verify: bool) -> Iterator[Line]:
    attributes = _json(path / "zarr.json").get("attributes", {})
    if "archive_of" in attributes:
        yield "archive", f"{path.name}: compressed copy of a store; the consolidate stage unpacks it"
        yield from _attributes(attributes)
        return
    store = FeatureStore.open(path, verify=verify)
    info, values = store.info, store.values
    lengths = np.diff(store.offsets)
    yield "store", f"{path.name}: feature {info.feature!r} of {info.dataset!r}, kind {info.kind}"
    yield (
        "values",
        f"({info.rows}, {info.width}) {info.dtype}, {info.rows * values.row_bytes / 1e6:.1f} MB in {values.chunks} chunks",
    )
    yield "items", f"{info.items}; rows per item: {lengths.min()} to {lengths.max()}, median {np.median(lengths):g}"
    yield "ids", ", ".join(map(repr, store.ids[:3])) + (f", ... {store.ids[-1]!r}" if len(store) > 3 else "")
    yield "row norms", f"{store.row_norms.min():.4g} to {store.row_norms.max():.4g}"
    yield from _attributes(info.attributes())
    yield "checksums", "read, all chunks are as written" if verify else "not read (--verify reads them)"
    yield "sha256", f"{_sha256(path / 'zarr.json')} of zarr.json"


def _attributes(attributes: dict[str, Any]) -> Iterator[Line]:
    fps = attributes["fps"]
    yield "time base", f"{fps:g} rows per second, {1 / fps:g} s per row" if fps else "none: rows are not spaced in time"
    yield "extractor", attributes["extractor"] or "not stated"
    yield "normalisation", attributes["normalisation"]
    yield "concatenation", " + ".join(attributes["concatenation"]) or "one part"
    source = attributes["source"]
    yield "source", source.get("repository") or "not stated"
    yield "revision", source.get("revision") or "none"
    yield "files", f"{source.get('files', '?')}, manifest digest {source.get('manifest_digest', '?')}"
    yield "quality", _pairs(attributes["quality"]) or "nothing left out, nothing repaired"
    yield "recipe", attributes["recipe"]


def _dictionary(path: Path) -> Iterator[Line]:
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        kinds = {"mean_pool_c": ("dictionary", "confounder dictionary"), "k_center": ("graphs", "question graphs, clustered")}
        title, kind = next((kinds[name] for name in names if name in kinds), ("npz", "arrays"))
        yield title, f"{path.name}: {kind}"
        for name in names:
            array = archive[name]
            if name == "provenance":
                yield from ((key, _short(value)) for key, value in sorted(json.loads(str(array)).items()))
            else:
                span = f", {np.nanmin(array):.4g} to {np.nanmax(array):.4g}" if array.dtype.kind in "fi" and array.size else ""
                yield name, f"{array.shape} {array.dtype}{span}"
    yield "sha256", _sha256(path)


def _run(path: Path) -> Iterator[Line]:
    record = _json(path / "config.json")
    yield "run", f"{record['run']}: method {record['method']} on {record['dataset']!r}"
    yield from ((f"features {stream}", " + ".join(names)) for stream, names in sorted(record["features"].items()))
    yield "widths", _pairs(record["widths"])
    yield "confounders", _pairs({name: " x ".join(map(str, shape)) for name, shape in record["confounders"].items()})
    yield "time base", f"{record['fps']:g} clips per second" if record["fps"] else "as many rows for every video"
    yield "seed", record["seed"]
    yield "selection", _pairs(record["selection"] or {}) or "last epoch, or imported weights"
    yield from (("model." + key, _short(value)) for key, value in sorted(record["model"].items()))
    yield from (("train." + key, _short(value)) for key, value in sorted((record["train"] or {}).items()))
    weights = path / "model.safetensors"
    with safe_open(weights, framework="np") as tensors:
        shapes = {key: (tensors.get_slice(key).get_shape(), tensors.get_slice(key).get_dtype()) for key in tensors.keys()}  # noqa: SIM118
    count = sum(int(np.prod(shape)) for shape, _ in shapes.values())
    types = ", ".join(sorted({dtype for _, dtype in shapes.values()}))
    yield "weights", f"{len(shapes)} tensors, {count} numbers ({types}), {weights.stat().st_size / 1e6:.1f} MB"
    yield from ((f"made from {name}", digest) for name, digest in sorted(record["inputs"].items()))
    yield "sha256", f"{_sha256(weights)} of {weights.name}"


def _world(path: Path) -> Iterator[Line]:
    world = _json(path / "world.json")
    yield "world", f"{world.get('name', path.name)}: {world.get('kind', 'kind not stated')}"
    for key, value in sorted(world.items()):
        if key == "contents":
            yield from ((f"  {entry['path']}", f"{_size(entry)} sha256 {entry.get('sha256', '')}") for entry in value)
        elif isinstance(value, dict):
            yield key, ""
            yield from ((f"  {name}", _short(inner)) for name, inner in value.items())
        elif key not in ("name", "kind"):
            yield key, _short(value)
    yield "sha256", f"{_sha256(path / 'world.json')} of world.json"


def _raw(path: Path) -> Iterator[Line]:
    manifest = _json(path / "manifest.json")
    files = manifest["files"]
    yield (
        "fetched files",
        f"{manifest['dataset']}: {len(files)} files, {sum(entry['bytes'] for entry in files.values()) / 1e6:.1f} MB",
    )
    for number, origin in enumerate(manifest["origins"]):
        here = [entry for entry in files.values() if entry["origin"] == number]
        yield f"origin {number}", f"{_pairs({key: value for key, value in origin.items() if value})}: {len(here)} files"
    for name in sorted(files)[:SHOWN]:
        yield f"  {name}", f"{_size(files[name])} sha256 {files[name]['sha256']}"
    if len(files) > SHOWN:
        yield "  ...", f"and {len(files) - SHOWN} more"
    yield "sha256", f"{_sha256(path / 'manifest.json')} of manifest.json"


def _samples(path: Path) -> Iterator[Line]:
    report = _json(path / "quality.json")
    rate = f"{report['fps']:g} clips per second" if report["fps"] else "as many rows for every video"
    yield "samples", f"{report['dataset']}: task {report['task']}, adapter {report['adapter']}, {rate}"
    for split in sorted(path.glob("*.parquet")):
        facts = report["splits"].get(split.stem, {})
        rows = pq.read_metadata(split).num_rows
        yield split.stem, f"{rows} samples from {facts.get('file', '?')}, sha256 {facts.get('sha256', '?')}"
        for rule, found in facts.get("quality", {}).items():
            yield f"  {rule}", found["count"]
    yield "columns", ", ".join(f"{field.name} {field.type}" for field in pq.read_schema(split))
    yield "times", "seconds"
    shared = {pair: found["count"] for pair, found in report["shared_videos"].items()}
    yield "shared videos", _pairs(shared) or "none: the splits are disjoint in videos"


def _results(path: Path) -> Iterator[Line]:
    yield "results", path.name
    yield from ((key, _short(value)) for key, value in _flat(_json(path / "metrics.json")))
    yield "sha256", f"{_sha256(path / 'metrics.json')} of metrics.json"


def _flat(value: Any, prefix: str = "") -> Iterable[tuple[str, Any]]:
    if not isinstance(value, dict):
        return [(prefix, value)]
    return [pair for key, inner in value.items() for pair in _flat(inner, f"{prefix}.{key}" if prefix else key)]


def _json(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise DescribeError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def _size(entry: dict[str, Any]) -> str:
    return f"{entry['bytes']} bytes," if "bytes" in entry else ""


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else f"{text[:300]}..."


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(argv: list[str] | None = None) -> int:
    """Describe every path given. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="store, run, world, dictionary, or one of their folders"
    )
    parser.add_argument("--verify", action="store_true", help="read the checksums of stores")
    args = parser.parse_args(argv)
    code = 0
    for number, path in enumerate(args.paths):
        try:
            print(("\n" if number else "") + describe(path, verify=args.verify))
        except (DescribeError, StoreError, OSError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            code = 2
    return code


if __name__ == "__main__":
    sys.exit(main())
