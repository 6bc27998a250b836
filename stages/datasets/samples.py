"""Samples on disk: what `consolidate` writes and every later stage reads.

    data/samples/<dataset>/<split>.parquet     one row per record, the fields of the task's sample type
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
from itertools import combinations
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, overload

import pyarrow.parquet as pq

from stages.datasets.rules import MEANING
from stages.datasets.schema import DatasetError, MomentSample, Quality, Sample, Source, split_file
from stages.datasets.tables import TABLES, Table, read_table, table_of, write_table

SCHEMA_VERSION = 1
QUALITY = "quality.json"
S = TypeVar("S", bound=Sample)


class Adapter(Protocol):
    """What every module of a data set offers: its facts, and one generator."""

    SOURCE: Source

    def read(self, raw: Path, split: str, quality: Quality) -> Iterator[Any]:
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


@overload
def read_samples(folder: Path, split: str) -> list[MomentSample]: ...
@overload
def read_samples(folder: Path, split: str, kind: type[S]) -> list[S]: ...
def read_samples(folder: Path, split: str, kind: type[Any] = MomentSample) -> list[Any]:
    """The samples of one split, in published order. `kind` is their type: `sample_type` tells it where the caller does not know.

    Raises DatasetError with the splits there are if this one is missing, and if the data set is of another task.
    """
    path = folder / f"{split}.parquet"
    facts = quality_report(folder) if (folder / QUALITY).is_file() else {}
    if not path.is_file():
        known = ", ".join(sorted(found.stem for found in folder.glob("*.parquet"))) or "none"
        missing = facts.get("absent", {}).get(split)
        reason = f"; {missing} was absent when it was consolidated" if missing else ""
        raise DatasetError(f"{folder}: no split {split!r}, it has {known}{reason}; put the file there and run consolidate again")
    task, _ = table_of(kind)
    if (found := facts.get("task", task)) != task:
        raise DatasetError(f"{folder}: samples of task {found!r}, but task {task!r} is asked for; name a data set of that task")
    return read_table(path, kind)


def sample_type(folder: Path) -> type[Any]:
    """The type of the samples below a samples folder."""
    return TABLES[quality_report(folder)["task"]].kind


def quality_report(folder: Path) -> dict[str, Any]:
    """The content of quality.json below a samples folder."""
    path = folder / QUALITY
    if not path.is_file():
        raise DatasetError(f"{folder}: no {QUALITY}; run the consolidate stage")
    return cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))


@overload
def training_split(
    folder: Path, *, min_duration: float = 0.0, selection: str | None = None
) -> tuple[list[MomentSample], list[MomentSample]]: ...
@overload
def training_split(
    folder: Path, kind: type[S], *, min_duration: float = 0.0, selection: str | None = None
) -> tuple[list[S], list[S]]: ...
def training_split(
    folder: Path, kind: type[Any] = MomentSample, *, min_duration: float = 0.0, selection: str | None = None
) -> tuple[list[Any], list[Any]]:
    """(training samples, selection samples) of type `kind`: disjoint in videos unless `selection` says otherwise.

    Selection is the published validation split; where there is none, the training videos that `held_out` picks, which then are
    not trained on. `selection` names another split instead (a reference that selects on its test split): nothing is held out.
    Training samples on videos known to be shorter than `min_duration` seconds are left out; selection samples never are.

    Raises DatasetError: a missing split, nothing to train on or to select by, an unanswerable or unlabelled training sample.
    """
    facts = quality_report(folder)
    training = read_samples(folder, facts["train"], kind)
    other = selection or facts["validation"]
    if other is not None:
        chosen = read_samples(folder, other, kind)
    else:
        chosen = [sample for sample in training if held_out(sample.video_id)]
        training = [sample for sample in training if not held_out(sample.video_id)]
    training = [sample for sample in training if sample.duration is None or sample.duration >= min_duration]
    for sample in training:
        if what := sample.untrainable:
            where = f"{folder}: {sample.source}: record {sample.record} ({sample.sample_id})"
            raise DatasetError(f"{where}: a training record {what}; training needs {table_of(kind)[1].needed} in every record")
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
        write_table(samples, TABLES[source.task], partial / f"{split}.parquet")
        counts[split] = {**_file_facts(raw, split_file(source, raw, split)), **tally, "quality": _by_rule(quality)}
    report = {
        "schema_version": SCHEMA_VERSION,
        "dataset": dataset,
        "adapter": source.name,
        "task": source.task,
        "fps": source.fps or None,
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


def _counted(samples: Iterable[Sample], source: Source, split: str, videos: set[str], tally: dict[str, int]) -> Iterator[Sample]:
    """Pass the samples on; collect videos and counts; refuse a repeated id, and another number of samples than published."""
    table: Table = TABLES[source.task]
    seen: dict[str, int] = {}
    texts: set[str] = set()
    counts: dict[str, int] = {}
    for sample in samples:
        if (first := seen.setdefault(sample.sample_id, sample.record)) != sample.record:
            raise DatasetError(
                f"{sample.source}: record {sample.record}: id {sample.sample_id!r} was already used by record {first}; "
                "each record needs an id of its own"
            )
        videos.add(sample.video_id)
        text, facts = table.facts(sample)
        texts.add(text)
        for fact, holds in facts.items():
            counts[fact] = counts.get(fact, 0) + holds
        yield sample
    expected = source.samples[split]
    if expected is not None and len(seen) != expected:
        raise DatasetError(
            f"{source.files[split]}: {len(seen)} records, but {source.name} publishes {expected} in split {split!r}; "
            "fetch the file again, or correct SOURCE.samples if a new edition is meant"
        )
    tally |= {"samples": len(seen), "videos": len(videos), table.texts: len(texts), **counts}


def _file_facts(raw: Path, path: Path) -> dict[str, Any]:
    """Name, bytes and sha256 of the uncompressed file: the same whether it is kept compressed or not.

    Of a folder: of one line "<sha256>  <name>" per file.
    """
    if path.is_dir():
        files = [_file_facts(path, file) for file in sorted(path.rglob("*")) if file.is_file()]
        listing = "".join(f"{one['sha256']}  {one['file']}\n" for one in files)
        total = sum(one["bytes"] for one in files)
        name = f"{path.relative_to(raw).as_posix()}/"
        return {"file": name, "files": len(files), "bytes": total, "sha256": hashlib.sha256(listing.encode()).hexdigest()}
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
