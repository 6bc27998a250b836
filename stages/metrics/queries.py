"""Predictions and ground truth of moment retrieval as columns: what the array scorers work on.

Everything that a reference would crash on, or compute nonsense from, ends here with file, line, id and field.
R records of a file, W windows of all of them together.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from stages.metrics.records import InputError, NotApplicableError, Records, id_column, is_number, shown

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Ragged:
    """Rows of several records one after another: values (W, D) or (W,), record r owns values[offsets[r]:offsets[r + 1]]."""

    values: NDArray[Any]
    offsets: Int

    @classmethod
    def of(cls, values: NDArray[Any], lengths: Any) -> Self:
        """From the values and the number of rows of each record."""
        return cls(values, np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))

    @property
    def lengths(self) -> Int:
        """(R,) rows per record."""
        return np.diff(self.offsets)

    @property
    def owners(self) -> Int:
        """(W,) the record each row belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @property
    def ranks(self) -> Int:
        """(W,) 0-based place of each row within its record."""
        return np.arange(len(self.values)) - np.repeat(self.offsets[:-1], self.lengths)

    def take(self, records: Int) -> Ragged:
        """The rows of `records` (indices, in any order, repeats allowed)."""
        lengths = self.lengths[records]
        out = Ragged.of(self.values, lengths)
        within = np.arange(out.offsets[-1]) - np.repeat(out.offsets[:-1], lengths)
        return Ragged(self.values[np.repeat(self.offsets[records], lengths) + within], out.offsets)

    def first(self, rows: int) -> Ragged:
        """At most the first `rows` rows of every record."""
        return Ragged.of(self.values[self.ranks < rows], np.minimum(self.lengths, rows))

    def where(self, keep: Bool) -> Ragged:
        """The rows for which keep (W,) is true; records may become empty."""
        return Ragged.of(self.values[keep], np.bincount(self.owners[keep], minlength=len(self.offsets) - 1))

    def padded(self, width: int, fill: float) -> Float:
        """(R, width) of one-dimensional rows, cut or filled at the end."""
        cut = self.first(width)
        out = np.full((len(self.offsets) - 1, width), fill, dtype=np.float64)
        out[cut.owners, cut.ranks] = cut.values
        return out


@dataclass(frozen=True)
class Predictions:
    """What was predicted, record by record.

    ids         the published query ids, repeats included
    vids        video ids, None where a record has none
    windows     (W, 3) start s, end s, score in file order; None where the file is not about windows
    saliency    (W,) one score per 2-second clip, or None
    relevance   (R,) probability that the query is answerable, NaN where a record has none; None when the first record has none
    """

    records: Records
    ids: Sequence[Hashable]
    vids: Sequence[Any]
    windows: Ragged | None
    saliency: Ragged | None
    relevance: Float | None

    def take(self, rows: Int) -> Predictions:
        """Records `rows`, in this order."""
        return replace(
            self,
            records=_taken(self.records, rows),
            ids=[self.ids[row] for row in rows],
            vids=[self.vids[row] for row in rows],
            windows=None if self.windows is None else self.windows.take(rows),
            saliency=None if self.saliency is None else self.saliency.take(rows),
            relevance=None if self.relevance is None else self.relevance[rows],
        )


@dataclass(frozen=True)
class Truth:
    """What is right, record by record.

    windows      (W, 2) start s, end s
    durations    (R,) seconds; NaN where a record has none
    unanswerable (R,) 1 = no answer, 0 = answerable, -1 = the record does not say
    rated        the first record has a list of saliency scores
    """

    records: Records
    ids: Sequence[Hashable]
    vids: Sequence[Any]
    windows: Ragged
    durations: Float
    unanswerable: Int
    rated: bool

    def take(self, rows: Int) -> Truth:
        """Records `rows`, in this order."""
        return replace(
            self,
            records=_taken(self.records, rows),
            ids=[self.ids[row] for row in rows],
            vids=[self.vids[row] for row in rows],
            windows=self.windows.take(rows),
            durations=self.durations[rows],
            unanswerable=self.unanswerable[rows],
        )


def _taken(records: Records, rows: Int) -> Records:
    return replace(records, rows=[records.rows[row] for row in rows], lines=[records.lines[row] for row in rows])


def predictions_of(records: Records) -> Predictions:
    """Columns of a prediction file. As in the references, the first record decides which of them there are.

    Raises InputError for a later record without what the first one has, for anything that is not a finite number, and for windows
    that are not [start, end, score].
    """
    first = records.rows[0]
    windows = saliency = relevance = None
    if "pred_relevant_windows" in first:
        windows = _windows(records, "pred_relevant_windows", 3, "[start s, end s, score]")
    if "pred_saliency_scores" in first:
        saliency = _numbers(records, "pred_saliency_scores")
    if "relavent_score" in first:
        values = [row.get("relavent_score", np.nan) for row in records.rows]
        if not all(map(is_number, values)):
            given = (row.get("relavent_score", 0.0) for row in records.rows)  # a record may lack it
            records.reject(given, is_number, "relavent_score", "a finite number")
        relevance = np.array(values, dtype=np.float64)
    if windows is None and saliency is None:
        raise InputError(
            f"{records.place(0)}: has neither pred_relevant_windows nor pred_saliency_scores, which decides what is scored"
        )
    return Predictions(records, id_column(records), _videos(records), windows, saliency, relevance)


def truth_of(records: Records) -> Truth:
    """Columns of a ground-truth file.

    Raises InputError for windows that are not [start, end] of finite numbers.
    """
    windows = _windows(records, "relevant_windows", 2, "[start s, end s]")
    durations = [row.get("duration") for row in records.rows]
    flags = [row.get("no_answer") for row in records.rows]
    if not set(map(type, flags)) <= {bool, type(None)}:
        records.reject(flags, lambda value: value is None or type(value) is bool, "no_answer", "true or false")
    if not all(value is None or is_number(value) for value in durations):
        records.reject(durations, lambda value: value is None or is_number(value), "duration", "seconds (a finite number)")
    return Truth(
        records,
        id_column(records),
        _videos(records),
        windows,
        np.array([np.nan if value is None else value for value in durations], dtype=np.float64),
        np.array([-1 if flag is None else int(flag) for flag in flags], dtype=np.int64),
        type(records.rows[0].get("saliency_scores")) is list,
    )


def _videos(records: Records) -> list[Any]:
    """The video ids, None where a record has none."""
    vids = [row.get("vid") for row in records.rows]
    if not set(map(type, vids)) <= {str, int, type(None)}:
        records.reject(
            vids, lambda value: type(value) in (str, int, type(None)), "vid", "the id of a video (text or a whole number)"
        )
    return vids


def _windows(records: Records, field: str, width: int, expected: str) -> Ragged:
    """(W, width); columns beyond `width` are ignored, as in the references."""
    lists = records.column(field, (list,), f"a list of {expected}")
    flat = list(chain.from_iterable(lists))
    if set(map(type, flat)) <= {list} and set(map(len, flat)) <= {width}:
        numbers = _finite_numbers(list(chain.from_iterable(flat)))
        if numbers is not None:
            return Ragged.of(numbers.reshape(-1, width), [len(of_record) for of_record in lists])
    for index, of_record in enumerate(lists):
        for position, window in enumerate(of_record):
            if type(window) is not list or len(window) < width or not all(map(is_number, window[:width])):
                place = records.place(index, f"{field}[{position}]")
                raise InputError(f"{place}: expected {expected}, finite numbers, got {shown(window)}")
    cut = np.array([window[:width] for window in flat], dtype=np.float64).reshape(-1, width)
    return Ragged.of(cut, [len(of_record) for of_record in lists])


def _numbers(records: Records, field: str) -> Ragged:
    lists = records.column(field, (list,), "a list of numbers")
    numbers = _finite_numbers(list(chain.from_iterable(lists)))
    if numbers is None:
        for index, of_record in enumerate(lists):
            for position, value in enumerate(of_record):
                if not is_number(value):
                    raise InputError(
                        f"{records.place(index, f'{field}[{position}]')}: expected a finite number, got {shown(value)}"
                    )
    assert numbers is not None
    return Ragged.of(numbers, [len(of_record) for of_record in lists])


def _finite_numbers(values: list[Any]) -> Float | None:
    """As an array, or None if one of them is not a finite number."""
    if not set(map(type, values)) <= {int, float}:
        return None
    try:
        numbers = np.array(values, dtype=np.float64)
    except OverflowError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def nonempty(windows: Ragged, records: Records, field: str) -> None:
    """Raise NotApplicableError for the first record without a window: no reference survives it."""
    if (empty := np.flatnonzero(windows.lengths == 0)).size:
        raise NotApplicableError(f"{records.place(int(empty[0]), field)}: empty list; at least one window is needed")


def sequences(ids: Sequence[Hashable]) -> tuple[Int, list[Hashable]]:
    """Group number of every id and the distinct ids, in order of first occurrence."""
    numbers: dict[Hashable, int] = {}
    groups = np.fromiter((numbers.setdefault(one, len(numbers)) for one in ids), dtype=np.int64, count=len(ids))
    return groups, list(numbers)
