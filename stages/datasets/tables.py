"""Samples as parquet tables: one column per field of the sample type, one row per record, the same bytes for the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from stages.datasets.relation_schema import RelationSample
from stages.datasets.schema import DatasetError, MomentSample, QuestionSample, Sample
from stages.datasets.texts import SURROGATE

S = TypeVar("S", bound=Sample)
ROWS_PER_GROUP = 4096
VIDEOS_PER_GROUP = 64  # of samples that hold every box of a video


@dataclass(frozen=True)
class Table:
    """How the samples of one task are stored, and what quality.json counts about them.

    kind      the sample type; its fields are the columns of `schema`
    facts     sample -> (what `texts` counts without repeats, name -> whether the sample counts)
    texts     "queries", "questions"
    needed    what a sample must have to be trained on
    group     rows that are held in memory and written together
    """

    kind: type[Any]
    schema: pa.Schema
    facts: Callable[[Any], tuple[str, dict[str, bool]]]
    texts: str
    needed: str
    group: int = ROWS_PER_GROUP


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SPANS = pa.list_(pa.list_(pa.float64()))
PROVENANCE = [_required("published", pa.string()), _required("source", pa.string()), _required("record", pa.int64())]
MOMENTS = pa.schema(
    [
        *(_required(name, pa.string()) for name in ("sample_id", "video_id", "query_id", "query")),
        _required("duration", pa.float64()),
        _required("spans", SPANS),
        pa.field("relevant_clips", pa.list_(pa.int64())),
        pa.field("saliency_scores", pa.list_(pa.list_(pa.int64()))),
        pa.field("answerable", pa.bool_()),
        *PROVENANCE,
    ]
)
QUESTIONS = pa.schema(
    [
        *(_required(name, pa.string()) for name in ("sample_id", "video_id", "question_id", "question")),
        _required("options", pa.list_(pa.string())),
        pa.field("answer", pa.string()),
        pa.field("answer_index", pa.int64()),
        _required("type", pa.string()),
        pa.field("duration", pa.float64()),
        _required("spans", SPANS),
        pa.field("frame_times", pa.list_(pa.float64())),
        _required("row", pa.int64()),
        *PROVENANCE,
    ]
)
RELATIONS = pa.schema(
    [
        *(_required(name, pa.string()) for name in ("sample_id", "video_id")),
        _required("frame_count", pa.int64()),
        *(_required(name, pa.float64()) for name in ("fps", "duration")),
        *(_required(name, pa.int64()) for name in ("width", "height")),
        _required("tids", pa.list_(pa.int64())),
        _required("categories", pa.list_(pa.string())),
        _required("relations", pa.list_(pa.list_(pa.int64()))),
        _required("predicates", pa.list_(pa.string())),
        *(_required(name, pa.binary()) for name in ("track_tids", "track_frames", "track_boxes")),
        _required("source", pa.string()),
        _required("record", pa.int64()),
    ]
)


def _moment_facts(sample: MomentSample) -> tuple[str, dict[str, bool]]:
    unlabelled = sample.answerable is not False and not sample.spans
    return sample.query_id, {"unanswerable": sample.answerable is False, "unlabelled": unlabelled}


def _question_facts(sample: QuestionSample) -> tuple[str, dict[str, bool]]:
    facts = {"unlabelled": sample.answer is None, "grounded": bool(sample.spans)}
    return sample.question, facts


def _relation_facts(sample: RelationSample) -> tuple[str, dict[str, bool]]:
    return " ".join(sorted(set(sample.categories))), {"without_relation": not sample.relations}


TABLES = {
    "moments": Table(MomentSample, MOMENTS, _moment_facts, texts="queries", needed="a window"),
    "questions": Table(QuestionSample, QUESTIONS, _question_facts, texts="questions", needed="an answer"),
    "relations": Table(
        RelationSample, RELATIONS, _relation_facts, texts="sets_of_categories", needed="objects", group=VIDEOS_PER_GROUP
    ),
}


def table_of(kind: type[Any]) -> tuple[str, Table]:
    """(task, table) of a sample type."""
    return next((task, table) for task, table in TABLES.items() if table.kind is kind)


def write_table(samples: Iterable[Sample], table: Table, path: Path) -> None:
    """One file, row group by row group, with every setting that shapes its bytes spelt out.

    Raises DatasetError for half of a surrogate pair in a text: it has no UTF-8.
    """
    rest, schema = iter(samples), table.schema
    with pq.ParquetWriter(
        path, schema, version="2.6", data_page_version="1.0", compression="zstd", compression_level=3, use_dictionary=False
    ) as writer:
        while rows := list(islice(rest, table.group)):
            columns = {name: [getattr(row, name) for row in rows] for name in schema.names}
            try:
                writer.write_table(pa.table(columns, schema=schema))
            except UnicodeEncodeError as error:
                name, row = next((name, row) for row in rows for name in schema.names if not _encodes(getattr(row, name)))
                raise DatasetError(
                    f"{row.source}: record {row.record}: {name}: expected text of whole characters, without half of a surrogate "
                    f"pair, got {getattr(row, name)!a:.80}; correct the record"
                ) from error


def _encodes(value: Any) -> bool:
    """Whether a value's texts, however deep, have UTF-8."""
    if isinstance(value, tuple):
        return all(map(_encodes, value))
    return not (isinstance(value, str) and SURROGATE.search(value))


def read_table(path: Path, kind: type[S]) -> list[S]:
    """The samples of one file, in order. Raises DatasetError if it is damaged, or holds another sample type."""
    _, table = table_of(kind)
    schema = table.schema
    try:
        content = pq.read_table(path)
        if content.schema.names != schema.names:
            raise pa.ArrowInvalid(f"columns {', '.join(content.schema.names)}; expected {', '.join(schema.names)}")
        content = content.cast(schema)
    except (pa.ArrowInvalid, ValueError, OSError) as fault:
        raise DatasetError(f"{path}: not a complete samples file ({fault}); run the consolidate stage again") from fault
    columns = [
        [_tuples(value) for value in column.to_pylist()] if pa.types.is_list(field.type) else column.to_pylist()
        for field, column in zip(schema, content.itercolumns(), strict=True)
    ]
    return [kind(**dict(zip(schema.names, row, strict=True))) for row in zip(*columns, strict=True)]


def _tuples(value: Sequence[Any] | None) -> Any:
    """Lists as tuples, however deep."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
