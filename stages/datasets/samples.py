"""Samples on disk: what `consolidate` writes and every later stage reads.

    data/samples/<dataset>/<split>.parquet     one row per record, the fields of MomentSample
    data/samples/<dataset>/quality.json        facts of the data set, counts, every repair and oddity by name, shared videos

The folder appears only when complete: written beside its place, read back, then renamed. The same input gives the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any, Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq

from stages.datasets.rules import MEANING
from stages.datasets.schema import DatasetError, MomentSample, Quality, Source, split_file

SCHEMA_VERSION = 1
QUALITY = "quality.json"
ROWS_PER_GROUP = 4096
SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), nullable=False),
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("duration", pa.float64(), nullable=False),
        pa.field("spans", pa.list_(pa.list_(pa.float64())), nullable=False),
        pa.field("relevant_clips", pa.list_(pa.int64())),
        pa.field("saliency_scores", pa.list_(pa.list_(pa.int64()))),
        pa.field("answerable", pa.bool_()),
        pa.field("published", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
    ]
)


class Adapter(Protocol):
    """What every module of a data set offers: its facts, and one generator."""

    SOURCE: Source

    def read(self, raw: Path, split: str, quality: Quality) -> Iterator[MomentSample]:
        """Yield the samples of one split in file order; note every repair and oddity in `quality`."""


def _is_adapter(path: Path) -> bool:
    """Whether the file states SOURCE at its top level; the folder also holds what the adapters share."""
    return any(line.startswith("SOURCE = Source(") for line in path.read_text(encoding="utf-8").splitlines())


def adapter_names() -> list[str]:
    """The data sets there are, by file name."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if _is_adapter(path))


def load_adapter(name: str) -> Adapter:
    """Import stages/datasets/<name>.py.

    Raises LookupError with the known names if there is no such adapter.
    """
    if name not in adapter_names():
        raise LookupError(f"no data set adapter {name!r}: stages/datasets/ has {', '.join(adapter_names())}")
    return cast(Adapter, importlib.import_module(f"stages.datasets.{name}"))


def held_out(video_id: str) -> bool:
    """Whether a training video is kept for model selection: one in ten, by its id alone, the same for every data set and run."""
    return int.from_bytes(hashlib.sha256(video_id.encode()).digest()[:8], "big") % 10 == 0


def write_samples(
    adapter: Adapter, raw: Path, folder: Path, *, dataset: str | None = None, splits: Sequence[str] | None = None
) -> dict[str, Any]:
    """Read every published split below `raw` and write `folder`; returns the content of quality.json.

    A split whose file is not there is listed under "absent"; name it in `splits` to make that an error. Memory does not grow with
    the data set, apart from its ids.

    Raises DatasetError: a broken record, a repeated sample_id, not as many samples as SOURCE.samples says, no split at all.
    """
    present, absent = _available(adapter.SOURCE, raw, splits)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        report = _fill(partial, adapter, raw, dataset or adapter.SOURCE.name, present, absent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return report


def read_samples(folder: Path, split: str) -> list[MomentSample]:
    """The samples of one split, in published order.

    Raises DatasetError with the splits there are if this one is missing.
    """
    path = folder / f"{split}.parquet"
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.parquet"))) or "none"
        missing = quality_report(folder)["absent"].get(split) if (folder / QUALITY).is_file() else None
        reason = f"; {missing} was absent when it was consolidated" if missing else ""
        raise DatasetError(f"{folder}: no split {split!r}, it has {known}{reason}; put the file there and run consolidate again")
    try:
        table = pq.read_table(path, schema=SCHEMA)
    except (pa.ArrowInvalid, OSError) as fault:
        raise DatasetError(f"{path}: not a complete samples file ({fault}); run the consolidate stage again") from fault
    columns = [column.to_pylist() for column in table.itercolumns()]
    spans, clips, scores = (SCHEMA.get_field_index(name) for name in ("spans", "relevant_clips", "saliency_scores"))
    columns[spans] = [tuple((start, end) for start, end in row) for row in columns[spans]]
    columns[clips] = [None if row is None else tuple(row) for row in columns[clips]]
    columns[scores] = [None if row is None else tuple(map(tuple, row)) for row in columns[scores]]
    return [MomentSample(**dict(zip(SCHEMA.names, row, strict=True))) for row in zip(*columns, strict=True)]


def quality_report(folder: Path) -> dict[str, Any]:
    """The content of quality.json below a samples folder."""
    path = folder / QUALITY
    if not path.is_file():
        raise DatasetError(f"{folder}: no {QUALITY}; run the consolidate stage")
    return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))


def training_split(
    folder: Path, *, min_duration: float = 0.0, selection: str | None = None
) -> tuple[list[MomentSample], list[MomentSample]]:
    """(training samples, selection samples): disjoint in videos unless `selection` says otherwise.

    Selection is the published validation split; where there is none, the training videos that `held_out` picks, which then are
    not trained on. `selection` names another split instead (a reference that selects on its test split): nothing is held out.
    Training samples on videos shorter than `min_duration` seconds are left out; selection samples never are.

    Raises DatasetError: a missing split, nothing to train on or to select by, an unanswerable or unlabelled training sample.
    """
    facts = quality_report(folder)
    training = read_samples(folder, facts["train"])
    other = selection or facts["validation"]
    if other is not None:
        chosen = read_samples(folder, other)
    else:
        chosen = [sample for sample in training if held_out(sample.video_id)]
        training = [sample for sample in training if not held_out(sample.video_id)]
    training = [sample for sample in training if sample.duration >= min_duration]
    for sample in training:
        if sample.answerable is False or not sample.spans:
            what = "that cannot be answered in its video" if sample.answerable is False else "without a window"
            where = f"{folder}: {sample.source}: record {sample.record} ({sample.sample_id})"
            raise DatasetError(f"{where}: a training record {what}; training needs a window in every record")
    if not training or not chosen:
        which = "training" if not training else "selection"
        raise DatasetError(f"{folder}: no {which} samples are left of split {facts['train']!r} (min_duration {min_duration} s)")
    return training, chosen


def _fill(
    partial: Path, adapter: Adapter, raw: Path, dataset: str, present: Sequence[str], absent: dict[str, str]
) -> dict[str, Any]:
    """Write every file into `partial`, and read the row counts back."""
    source = adapter.SOURCE
    counts: dict[str, Any] = {}
    videos: dict[str, set[str]] = {}
    for split in present:
        quality, tally = Quality(), dict[str, int]()
        samples = _counted(adapter.read(raw, split, quality), source, split, videos.setdefault(split, set()), tally)
        _write_parquet(samples, partial / f"{split}.parquet")
        counts[split] = {**_file_facts(raw, split_file(source, raw, split)), **tally, "quality": _by_rule(quality)}
    report = {
        "schema_version": SCHEMA_VERSION,
        "dataset": dataset,
        "adapter": source.name,
        "task": source.task,
        "fps": source.fps,
        "train": source.train,
        "validation": source.validation if source.validation in present else None,
        "splits": counts,
        "absent": absent,
        "shared_videos": _shared(videos),
        "held_out": _hold_out_facts(videos.get(source.train, set())),
    }
    text = json.dumps(report, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    (partial / QUALITY).write_text(text, encoding="utf-8")
    for split in present:
        path, written = partial / f"{split}.parquet", counts[split]["samples"]
        if (rows := pq.read_metadata(path).num_rows) != written:
            raise DatasetError(f"{path}: {rows} rows read back, {written} written; is the disk full?")
    return report


def _available(source: Source, raw: Path, splits: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """The splits whose file is there, and split -> file name of the others."""
    present: list[str] = []
    absent: dict[str, str] = {}
    for split in splits or source.files:
        try:
            split_file(source, raw, split)
        except DatasetError:
            if splits is not None:
                raise  # asked for by name
            absent[split] = source.files[split]
        else:
            present.append(split)
    if not present:
        names = ", ".join(source.files.values())
        raise DatasetError(f"{raw}: none of the files of {source.name} is there ({names}); run the fetch stage")
    return present, absent


def _counted(
    samples: Iterable[MomentSample], source: Source, split: str, videos: set[str], tally: dict[str, int]
) -> Iterator[MomentSample]:
    """Pass the samples on; collect videos and counts; refuse a repeated id, and another number of samples than published."""
    seen: dict[str, int] = {}
    queries: set[str] = set()
    unanswerable = unlabelled = 0
    for sample in samples:
        if (first := seen.setdefault(sample.sample_id, sample.record)) != sample.record:
            raise DatasetError(
                f"{sample.source}: record {sample.record}: id {sample.sample_id!r} was already used by record {first}; "
                "each record needs an id of its own"
            )
        videos.add(sample.video_id)
        queries.add(sample.query_id)
        unanswerable += sample.answerable is False
        unlabelled += sample.answerable is not False and not sample.spans
        yield sample
    expected = source.samples[split]
    if expected is not None and len(seen) != expected:
        raise DatasetError(
            f"{source.files[split]}: {len(seen)} records, but {source.name} publishes {expected} in split {split!r}; "
            "fetch the file again, or correct SOURCE.samples if a new edition is meant"
        )
    tally |= {
        "samples": len(seen),
        "videos": len(videos),
        "queries": len(queries),
        "unanswerable": unanswerable,
        "unlabelled": unlabelled,
    }


def _write_parquet(samples: Iterable[MomentSample], path: Path) -> None:
    """One file, row group by row group, with every setting that shapes its bytes spelt out."""
    rest = iter(samples)
    with pq.ParquetWriter(
        path, SCHEMA, version="2.6", data_page_version="1.0", compression="zstd", compression_level=3, use_dictionary=False
    ) as writer:
        while rows := list(islice(rest, ROWS_PER_GROUP)):
            writer.write_table(pa.table({name: [getattr(row, name) for row in rows] for name in SCHEMA.names}, schema=SCHEMA))


def _file_facts(raw: Path, path: Path) -> dict[str, Any]:
    """Name, bytes and sha256 of the uncompressed file: the same whether it is kept compressed or not."""
    digest, size = hashlib.sha256(), 0
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
            size += len(block)
    return {"file": path.relative_to(raw).as_posix().removesuffix(".gz"), "bytes": size, "sha256": digest.hexdigest()}


def _by_rule(quality: Quality) -> dict[str, Any]:
    """Rule -> what it says, how often it applied, and to which records first."""
    return {
        rule: {"meaning": MEANING[rule], "count": count, "examples": quality.examples[rule]}
        for rule, count in sorted(quality.counts.items())
    }


def _shared(videos: dict[str, set[str]]) -> dict[str, Any]:
    """Videos that two splits have in common; empty when all splits are disjoint."""
    shared = {}
    for one, other in combinations(sorted(videos), 2):
        if both := sorted(videos[one] & videos[other]):
            shared[f"{one} and {other}"] = {"count": len(both), "examples": both[:5]}
    return shared


def _hold_out_facts(training_videos: set[str]) -> dict[str, Any]:
    """How many training videos the rule would keep for selection."""
    return {"rule": "int.from_bytes(sha256(video_id)[:8], 'big') % 10 == 0", "videos": sum(map(held_out, training_videos))}
