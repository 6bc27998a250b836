"""Task "questions" on a video of the user's own: each question is answered by one of its options, or from the run's vocabulary.

Text features are given as files, or those of the same texts in the run's data set. B questions, M options, L words, D channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.datasets.samples import read_samples
from stages.datasets.schema import QuestionSample
from stages.features.store import FeatureStore
from stages.params import Run
from stages.predictions import own_video
from stages.predictions.inference import PredictionError
from stages.predictions.own_video import Rows
from stages.predictions.questions import examples, predict
from stages.predictions.settings import QuestionEvaluate
from stages.tasks.own import Answered, Own
from stages.tasks.question_runs import answers_of, store_names
from stages.tasks.task import Finished, Record
from stages.training.batches import Indices
from stages.training.questions import QuestionFeed, Sources

SPLIT = "own"
OPEN = "answers from a vocabulary, without options"

Text = tuple[str, str | None]  # a question, and the option that it is read with


class GivenRows:
    """Rows by id, as a feed wants them; item -> (rows, channels)."""

    def __init__(self, items: Mapping[str, Rows]) -> None:
        self._items = items
        self.width = next(iter(items.values())).shape[1]

    def lengths(self, ids: Sequence[str]) -> Indices:
        """Rows per item."""
        return np.array([len(self._items[item]) for item in ids], dtype=np.int64)

    def batch(self, ids: Sequence[str]) -> tuple[Tensor, Tensor]:
        """(B, L, D) float32, zero on padding, and the mask (B, L)."""
        lengths = self.lengths(ids)
        values = torch.zeros(len(ids), int(lengths.max()), self.width)
        for place, item in enumerate(ids):
            values[place, : lengths[place]] = torch.from_numpy(self._items[item])
        return values, torch.from_numpy(np.arange(values.shape[1]) < lengths[:, None])


def answer(finished: Finished, entry: Run | None, own: Own, settings: QuestionEvaluate | None) -> Answered:  # noqa: ARG001
    """Records as of a split, without the right answers.

    Raises PredictionError: files or options that do not fit the run, text features that are neither given nor stored.
    """
    method = finished.record.method
    own.refuse(method, text_encoder="reads text features that no encoder here computes: give --query-features FILE")
    options = options_of(own, method, chooses=getattr(finished.model.config, "answers", None) is None)
    if finished.record.shown == "evidence":
        raise PredictionError(
            f"{finished.folder}: this run is shown only what shows the answer, which nobody knows of a new video"
        )
    clips = own_video.read_clips(own.features, width=finished.record.widths["video"], normalise=False)
    _check_frames(finished, own, len(clips))
    names = store_names(finished, entry)
    texts = _texts(finished, own, options, names.get("query", ()))
    objects = _objects(finished, own, len(clips))
    records: list[Record] = []
    shown: list[Record] = []
    for number, (question, several) in enumerate(zip(own.queries, options, strict=True)):
        sample = sample_of(own, number, question, several, len(clips))
        parts: dict[str, Any] = {"video": GivenRows({own.name: clips}), **objects}
        if (question, None) in texts:
            parts["question"] = GivenRows({sample.sample_id: texts[question, None]})
        if several:
            items = zip(sample.text_items, several, strict=True)
            parts["candidates"] = GivenRows({item: texts[question, option] for item, option in items})
        sources = Sources(**parts).partly(finished.record.shown)
        feed = QuestionFeed([sample], sources, vocabulary=answers_of(finished))
        rows = predict(finished.model, feed, batch_size=1, device=finished.device, label=SPLIT)
        shown += examples([sample], rows, split=SPLIT, chosen=1)
        records += [{**row, "query": question} for row in rows]
    return Answered(records=records, examples=shown)


def options_of(own: Own, method: str, *, chooses: bool) -> list[tuple[str, ...]]:
    """The options of every query, () for a method that does not choose.

    Raises PredictionError unless every query has some, or none may.
    """
    if not chooses:
        own.refuse(method, options=OPEN)
        return [()] * len(own.queries)
    if len(own.options) != len(own.queries):
        raise PredictionError(
            f"{len(own.options)} --options for {len(own.queries)} --query: {method} chooses among candidate answers; give "
            "--options TEXT TEXT ... once for each --query, in their order"
        )
    if few := [text for text, several in zip(own.queries, own.options, strict=True) if len(several) < 2]:
        raise PredictionError(f"--options of {few[0]!r}: expected two candidate answers or more")
    return list(own.options)


def sample_of(own: Own, number: int, question: str, options: tuple[str, ...], rows: int) -> QuestionSample:
    """The question as the adapters of data sets give theirs."""
    return QuestionSample(
        sample_id=str(number),
        video_id=own.name,
        question_id=str(number),
        question=question,
        options=options,
        type="own",
        duration=own.seconds(rows),
        row=number,
        published="",
        source="own",
        record=number + 1,
    )


def _check_frames(finished: Finished, own: Own, count: int) -> None:
    """Raises PredictionError for more frames than the run was built for, or fewer than it chooses."""
    config = finished.model.config
    most, least = getattr(config, "frames", None), getattr(config, "k_frames", 1)
    if most is not None and not least <= count <= most:
        raise PredictionError(
            f"{own.features[0]}: {count} frames; {finished.record.method} takes {least} to {most}, evenly drawn from the video"
        )


def _objects(finished: Finished, own: Own, frames: int) -> dict[str, Any]:
    """The parts of `Sources` that are about objects."""
    method, width = finished.record.method, finished.record.widths.get("objects")
    if width is None:
        own.refuse(method, objects="sees no objects")
        return {}
    if own.objects is None:
        raise PredictionError(
            f"{method} sees the objects of every frame: give --objects FILE, (frames, objects, {width}) regions with boxes"
        )
    regions = own_video.read_objects(own.objects, width=width)
    least = getattr(finished.model.config, "k_objects", 1)
    if len(regions) != frames or regions.shape[1] < least:
        raise PredictionError(
            f"{own.objects}: objects of {len(regions)} frames, {regions.shape[1]} of each; expected those of the {frames} frames "
            f"of {own.features[0]}, at least {least} of each, zeros where there is none"
        )
    return {
        "objects": GivenRows({own.name: regions.reshape(-1, width)}),
        "grid": regions.shape[:2],
        "most_objects": getattr(finished.model.config, "objects", None),
    }


def _texts(finished: Finished, own: Own, options: Sequence[tuple[str, ...]], names: Sequence[str]) -> dict[Text, Rows]:
    """Text features of everything that the run reads: of two stores one holds questions and the other candidates."""
    if not names:
        raise PredictionError(
            f"{finished.folder}: neither its config.json nor params.yaml says which texts the run reads; name its entry with "
            "--settings"
        )
    alone = len(names) > 1 or not options[0]
    wanted: list[Text] = []
    for question, several in zip(own.queries, options, strict=True):
        wanted += [(question, None)] if alone else []
        wanted += [(question, option) for option in several]
    if own.query_features:
        if len(own.query_features) != len(wanted):
            shown = "; ".join(question if option is None else f"{question} + {option}" for question, option in wanted)
            raise PredictionError(
                f"{len(own.query_features)} --query-features for {len(wanted)} texts; give one file each, in this order: {shown}"
            )
        width = finished.record.widths["query"]
        found = [own_video.read_query(file, width=width, normalise=False) for file in own.query_features]
        return dict(zip(wanted, found, strict=True))
    known = _stored(finished.record.dataset, own.data, names, set(wanted))
    if missing := [text for text in wanted if text not in known]:
        question, option = missing[0]
        made = ", ".join(own.extractors[name] for name in names if own.extractors.get(name)) or "not known"
        raise PredictionError(
            f"no text features for {question!r}{'' if option is None else f' with the option {option!r}'}: none are stored, and "
            f"what made the others ({made}) does not run here; give --query-features FILE ..., one per text: the question where "
            "the run reads it alone, then the question with each option"
        )
    return known


def _stored(dataset: str, data: Path, names: Sequence[str], wanted: set[Text]) -> dict[Text, Rows]:
    """Stored features of these texts, from questions of the run's data set that have them."""
    samples, folders = data / "samples" / dataset, [data / "features" / dataset / f"{name}.zarr" for name in names]
    if not dataset or not samples.is_dir() or not all(folder.is_dir() for folder in folders):
        return {}
    stores = [FeatureStore.open(folder) for folder in folders]
    found: dict[Text, Rows] = {}
    for file in sorted(samples.glob("*.parquet")):
        for sample in read_samples(samples, file.stem, QuestionSample):
            items: dict[Text, str] = {(sample.question, None): sample.sample_id}
            if sample.options:
                items |= {(sample.question, one): item for one, item in zip(sample.options, sample.text_items, strict=True)}
            for text in wanted & items.keys() - found.keys():
                if store := next((store for store in stores if items[text] in store), None):
                    found[text] = store.rows(items[text]).astype("float32")
    return found
