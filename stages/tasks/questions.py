"""Task "questions": a question on a video, answered from a vocabulary or by one of its options, with what the answer rests on.

batch models.batch.Questions -> models.batch.Answer -> records of stages/predictions/questions.py

What a store of words holds is told by its ids: questions (sample ids), or candidates ("<sample id>#<place>").
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from models.causal.invariant import ClipBank
from stages.auditing.outcomes import Outcomes
from stages.datasets.samples import read_samples, training_split
from stages.datasets.schema import DatasetError, QuestionSample
from stages.features.resident import Fused
from stages.features.store import FeatureStore, StoreError
from stages.features.streams import Streams
from stages.metrics.complexity import by_complexity, group_names
from stages.metrics.question_report import Asked, accuracies, groups
from stages.metrics.rationale import agreement, evidence_clips, quality, random_choice
from stages.metrics.report import Numbers, SplitReport
from stages.params import Run
from stages.predictions.guesses import frequent
from stages.predictions.planted_truth import causal_objects, evidence, object_counts, shortcut_answers
from stages.predictions.questions import accuracy, by_rank, examples, predict, published
from stages.predictions.settings import QuestionEvaluate
from stages.tasks.available import available, left_out, refuse_none
from stages.tasks.question_runs import answers_of, store_names
from stages.tasks.task import Data, Finished, Inputs, Predicted, Prepared, Record, Results, Split
from stages.training.answer_vocabulary import ANSWERS, AnswersError, AnswerVocabulary, build_answers
from stages.training.loop import TrainingError, Validate
from stages.training.questions import QuestionFeed, Sources
from stages.training.settings import Shown


def prepare(run: Run, inputs: Inputs, device: torch.device) -> Prepared:
    """Batches, the accuracy of the selection samples, the answer vocabulary, the clip bank of methods that have one.

    Raises TrainingError or StoreError: nothing to train on, stores that the method cannot use.
    """
    streams = Streams(inputs.features, run.features.stores())
    samples = training_split(inputs.samples, QuestionSample, min_duration=run.train.min_duration, selection=run.train.selection)
    training, chosen = (_with_features(part, streams) for part in samples)
    if not training:
        raise TrainingError(f"{inputs.samples}: none of its training questions has features in the stores of this run")
    _check_options([*training, *chosen])
    vocabulary = _vocabulary(run, training)
    budget, most = run.train.budget_bytes, getattr(run.model, "objects", None)
    sources = sources_of(streams, training, budget_bytes=budget, device=device, most_objects=most)
    video = cast(Fused, sources.video)
    places = {name: place for place, name in enumerate(video.ids)}
    shown = run.features.shown
    feed = QuestionFeed(
        training,
        sources.partly(shown),
        vocabulary=vocabulary,
        training=True,
        video_places=places,
        evidence=_evidence(training, sources, inputs.raw, shown),
    )
    validate = None
    if chosen:
        held = sources_of(streams, chosen, budget_bytes=budget - _resident(sources), device=device, most_objects=most)
        seen = _evidence(chosen, held, inputs.raw, shown)
        validate = _validation(
            QuestionFeed(chosen, held.partly(shown), vocabulary=vocabulary, evidence=seen), run.evaluate, device
        )

    def begin(model: Any) -> None:
        if hasattr(model, "bank"):
            model.bank = ClipBank(video.take, torch.from_numpy(video.starts))

    files = {} if vocabulary is None else {ANSWERS: vocabulary.content()}
    return Prepared(feed=feed, validate=validate, files=files, begin=begin)


def _vocabulary(run: Run, training: Sequence[QuestionSample]) -> AnswerVocabulary | None:
    """Classes of the answers, None for a method that chooses among options.

    Raises TrainingError if method and questions do not go together.
    """
    classes, options = getattr(run.model, "answers", None), training[0].options
    if (classes is None) != bool(options):
        has, wants = ("options", "a vocabulary") if options else ("no options", "options")
        raise TrainingError(f"{run.method} answers from {wants} (model.answers: {classes}), but its questions have {has}")
    try:
        return None if classes is None else build_answers((str(sample.answer) for sample in training), classes)
    except AnswersError as error:
        raise TrainingError(str(error)) from error


def _validation(feed: QuestionFeed, settings: QuestionEvaluate, device: torch.device) -> Validate:
    return lambda model: {"Acc": accuracy(model, feed, batch_size=settings.batch_size, device=device)}


def _check_options(samples: Sequence[QuestionSample]) -> None:
    """Raises DatasetError unless all questions have the same number of options, or none has any."""
    for sample in samples:
        if len(sample.options) != len(samples[0].options):
            raise DatasetError(
                f"{sample.source}: record {sample.record} ({sample.sample_id}): {len(sample.options)} options, "
                f"{samples[0].sample_id} has {len(samples[0].options)}; one run takes questions with equally many"
            )


def text_stores(streams: Streams, samples: Sequence[QuestionSample]) -> dict[str, FeatureStore]:
    """The stores that have the words of question and candidates, under these names.

    Raises StoreError for a store that has neither.
    """
    out: dict[str, FeatureStore] = {}
    first = samples[0]
    for store in streams.stores["query"]:
        kinds = {"question": first.sample_id, "candidates": f"{first.sample_id}#0"}
        found = [kind for kind in kinds if any(_item(one, kind) in store for one in samples)]
        if not found:
            raise StoreError(
                f"{store.path}: neither {kinds['question']!r} nor {kinds['candidates']!r} is in it, nor any other question of "
                "these samples; it belongs to another data set, or was made for other samples: run consolidate again"
            )
        out |= dict.fromkeys(found, store)
    return out


def _item(sample: QuestionSample, kind: str) -> str:
    return sample.sample_id if kind == "question" else f"{sample.sample_id}#0"


def _with_features(samples: Sequence[QuestionSample], streams: Streams) -> list[QuestionSample]:
    """The samples that every store knows."""
    if not samples:
        return []
    texts = text_stores(streams, samples)
    videos = [*streams.stores["video"], *streams.stores.get("objects", [])]

    def known(sample: QuestionSample) -> bool:
        words = all(_item(sample, kind) in store for kind, store in texts.items())
        return words and all(sample.video_id in store for store in videos)

    return available(samples, known)


def sources_of(
    streams: Streams,
    samples: Sequence[QuestionSample],
    *,
    budget_bytes: int,
    device: torch.device,
    most_objects: int | None,
) -> Sources:
    """The parts of a batch for these samples, resident as far as the budget goes: clips first, then words, objects last."""
    texts, videos = text_stores(streams, samples), [sample.video_id for sample in samples]
    video = streams.fused("video", videos, budget_bytes=budget_bytes, device=device, normalise=False)
    budget_bytes -= video.resident_bytes
    parts: dict[str, Any] = {"video": video}
    for kind, store in texts.items():
        ids = [item for sample in samples for item in ([sample.sample_id] if kind == "question" else sample.text_items)]
        parts[kind] = Fused([store], normalise=False, budget_bytes=max(budget_bytes, 0), device=device, ids=ids)
        budget_bytes -= parts[kind].resident_bytes
    if stores := streams.stores.get("objects", []):
        if len(grids := {store.info.grid for store in stores}) > 1 or len(grid := grids.pop()) != 2:
            raise StoreError(
                f"{stores[0].path}: expected objects on a grid [frames, objects]; consolidate them with kind: object"
            )
        parts |= {"grid": grid, "most_objects": most_objects}
        parts["objects"] = streams.fused("objects", videos, budget_bytes=max(budget_bytes, 0), device=device, normalise=False)
    return Sources(**parts)


def _evidence(
    samples: Sequence[QuestionSample], sources: Sources, raw: Path | None, shown: Shown
) -> list[NDArray[np.bool_]] | None:
    """Clips of every sample that show its answer, where only those are shown; raises DatasetError if they are not known."""
    if shown != "evidence":
        return None
    known = evidence(raw)
    if lost := [sample.sample_id for sample in samples if not known.get(sample.sample_id, ([],))[0]]:
        raise DatasetError(f"{raw}: it is not known what shows the answer of {lost[0]}; shown: evidence is for planted worlds")
    told = zip(samples, sources.video.lengths([sample.video_id for sample in samples]), strict=True)
    return [evidence_clips(*known[sample.sample_id], int(clips)) for sample, clips in told]


def _resident(sources: Sources) -> int:
    found = (sources.video, sources.question, sources.candidates, sources.objects)
    return sum(one.resident_bytes for one in found if isinstance(one, Fused))


def _feed(finished: Finished, entry: Run | None, data: Data, samples: Sequence[QuestionSample]) -> tuple[QuestionFeed, Streams]:
    """The samples that have features.

    Raises DatasetError if none has.
    """
    streams = Streams(data.features, store_names(finished, entry))
    kept = _with_features(samples, streams)
    refuse_none(kept, samples, data.samples)
    _check_options(kept)
    sources = sources_of(
        streams,
        kept,
        budget_bytes=finished.budget_bytes,
        device=finished.device,
        most_objects=getattr(finished.model.config, "objects", None),
    )
    seen = _evidence(kept, sources, data.raw, finished.record.shown)
    sources = sources.partly(finished.record.shown)
    return QuestionFeed(kept, sources, vocabulary=answers_of(finished), evidence=seen), streams


def results(finished: Finished, entry: Run, data: Data) -> Results:
    """Every split; the answers that were trained on are what the guesses know."""
    settings: QuestionEvaluate = entry.evaluate
    training, _ = training_split(data.samples, QuestionSample, selection=entry.train.selection)
    splits: list[Split] = []
    recipes: dict[str, str] = {}
    for name in settings.splits:
        samples = read_samples(data.samples, name, QuestionSample)
        feed, streams = _feed(finished, entry, data, samples)
        recipes = streams.recipes()
        splits.append(_split(name, samples, feed, finished, settings, training, data.raw))
    return Results(splits=splits, recipes=recipes)


def _split(
    name: str,
    samples: Sequence[QuestionSample],
    feed: QuestionFeed,
    finished: Finished,
    settings: QuestionEvaluate,
    training: Sequence[QuestionSample],
    raw: Path | None,
) -> Split:
    """Predict one split and score it."""
    predictions = predict(finished.model, feed, batch_size=settings.batch_size, device=finished.device, label=name)
    report: SplitReport | None = None
    trivial: dict[str, Numbers] = {}
    objects = causal_objects(raw, name)
    if all(sample.answer is not None for sample in feed.samples):
        report, trivial = _report(feed, predictions, settings, training, objects)
    return Split(
        name=name,
        samples=feed.samples,
        predictions=predictions,
        dropped=left_out(samples, feed.samples),
        report=report,
        baselines=trivial,
        examples=examples(feed.samples, predictions, split=name, chosen=settings.examples, objects=objects),
        files={".answers.json": published(predictions)},
    )


def asked(samples: Sequence[QuestionSample], predictions: Sequence[Record]) -> list[Asked]:
    """What the accuracies are computed from."""
    return [
        Asked(
            video=sample.video_id,
            question_id=sample.question_id,
            question=sample.question,
            type=sample.type,
            duration=sample.duration,
            prediction=row["prediction"],
            answer=row["answer"],
        )
        for sample, row in zip(samples, predictions, strict=True)
    ]


def _report(
    feed: QuestionFeed,
    predictions: Sequence[Record],
    settings: QuestionEvaluate,
    training: Sequence[QuestionSample],
    objects: dict[str, set[tuple[int, int]]],
) -> tuple[SplitReport, dict[str, Numbers]]:
    """Accuracies, and how well what was looked at is the evidence; the same for those who look at nothing."""
    found = asked(feed.samples, predictions)
    metrics: Numbers = dict(accuracies(found, settings.convention))
    trivial: dict[str, Numbers] = {
        "most frequent answer": {"Acc": 100 * float(np.mean(frequent(feed.samples, training, by_type=False)))},
        "most frequent by type": {"Acc": 100 * float(np.mean(frequent(feed.samples, training, by_type=True)))},
    }
    looked = rationales(feed.samples, predictions, objects, feed.sources.grid)
    for what, (chosen, true) in looked.items():
        metrics |= quality(chosen, true, what)
        guesses = {"random": random_choice(chosen, settings.baseline_seed), "all": [np.ones_like(one) for one in true]}
        for name, guess in guesses.items():
            trivial[f"{name} {what}s"] = dict(quality(guess, true, what))
    if vocabulary := feed.vocabulary:
        metrics["answers in vocabulary"] = vocabulary.coverage([str(sample.answer) for sample in feed.samples])

    def further(places: Sequence[int]) -> dict[str, float]:
        clips = looked.get("clip")
        if clips is None or len(clips[0]) < len(predictions):  # evidence of some questions only: no numbers by group
            return {}
        return quality([clips[0][place] for place in places], [clips[1][place] for place in places], "clip")

    return SplitReport(metrics, by_rank(predictions), groups(found, settings.convention, further)), trivial


def rationales(
    samples: Sequence[QuestionSample],
    predictions: Sequence[Record],
    objects: dict[str, set[tuple[int, int]]],
    grid: tuple[int, int] | None,
) -> dict[str, tuple[list[Any], list[Any]]]:
    """(chosen, true) of the questions whose evidence is known, under "clip" and "object"."""
    out: dict[str, tuple[list[Any], list[Any]]] = {}
    for sample, row in zip(samples, predictions, strict=True):
        clips = len(row["weights"])
        if sample.spans and (sample.duration is not None or sample.frame_times is not None):
            true = evidence_clips(sample.spans, sample.duration or 0.0, clips, sample.frame_times)
            chosen, truth = out.setdefault("clip", ([], []))
            chosen.append(np.isin(np.arange(clips), row["chosen"]))
            truth.append(true)
        if grid is not None and "objects" in row and sample.sample_id in objects:
            chosen, truth = out.setdefault("object", ([], []))
            chosen.append(_marked(row["objects"], grid))
            truth.append(_marked(objects[sample.sample_id], grid))
    return out


def _marked(pairs: Any, grid: tuple[int, int]) -> Any:
    """(T, O) bool."""
    out = np.zeros(grid, dtype=np.bool_)
    for frame, one in pairs:
        out[frame, one] = True
    return out


def predicted(finished: Finished, entry: Run | None, data: Data, split: str, settings: QuestionEvaluate | None) -> Predicted:
    """Raises DatasetError or StoreError where samples or features are not there."""
    samples = read_samples(data.samples, split, QuestionSample)
    feed, _ = _feed(finished, entry, data, samples)
    size = settings.batch_size if settings else 64
    records = predict(finished.model, feed, batch_size=size, device=finished.device, label=split)
    return Predicted(samples=feed.samples, records=records, examples=examples(feed.samples, records, split=split, chosen=6))


RATIONALE = ("clip precision", "clip recall", "clip IoU", "object precision", "object recall", "object IoU")
MEASURES = ("Acc", "shortcut", *RATIONALE, *group_names("Acc"))


def outcomes(data: Data, split: str, records: Sequence[Record]) -> Outcomes:
    """Whether the answer is right, whether it is the scene's favourite where that is wrong, how well it is founded; percent."""
    samples = {sample.sample_id: sample for sample in read_samples(data.samples, split, QuestionSample)}
    favourite, objects = shortcut_answers(data.raw, split), causal_objects(data.raw, split)
    values = {name: np.full(len(records), np.nan) for name in ("Acc", "shortcut", *RATIONALE)}
    for place, row in enumerate(records):
        sample = samples[row["sample_id"]]
        if row["correct"] is not None:
            values["Acc"][place] = 100 * row["correct"]
        easy = favourite.get(sample.sample_id)
        if easy is not None and easy != sample.answer and (not sample.options or easy in sample.options):
            values["shortcut"][place] = 100 * (row["prediction_text"] == easy)
        founded = [np.nan] * len(RATIONALE)
        if sample.spans and (sample.duration is not None or sample.frame_times is not None):
            clips = len(row["weights"])
            true = evidence_clips(sample.spans, sample.duration or 0.0, clips, sample.frame_times)
            founded[:3] = agreement(np.isin(np.arange(clips), row["chosen"]), true)[:3]
        if "objects" in row and sample.sample_id in objects:
            founded[3:] = _agreement({(frame, one) for frame, one in row["objects"]}, objects[sample.sample_id])
        for name, value in zip(RATIONALE, founded, strict=True):
            values[name][place] = 100 * value
    there = {name: found for name, found in values.items() if not np.isnan(found).all()}
    ids, crowd = [row["sample_id"] for row in records], object_counts(data.raw, split)
    harder = by_complexity(values["Acc"], [samples[one].duration for one in ids], [crowd.get(one) for one in ids])
    return Outcomes(ids, there | harder)


def _agreement(chosen: set[tuple[int, int]], true: set[tuple[int, int]]) -> tuple[float, float, float]:
    """Precision, recall, IoU of two sets of pairs."""
    every = sorted(chosen | true)
    picked, right = (np.array([one in these for one in every], dtype=np.bool_) for these in (chosen, true))
    return agreement(picked, right)[:3]
