"""Task "grounded_questions": a question with options on a video, answered together with the moment that shows the answer.

batch models.batch.GroundedQuestions -> models.batch.GroundedAnswer -> records of stages/predictions/grounded_questions.py

Methods read words, not features of words: a run names a text encoder (features.encoder) and how its texts are made
(features.texts). Moments are never learnt from, only scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from models.backbones.frozenbilm import Deberta
from models.batch import GroundedAnswer
from models.method import Method
from stages.auditing.outcomes import Outcomes
from stages.confounders.files import read_rows
from stages.confounders.graph_files import read_graphs
from stages.datasets.ground_truth import published_windows
from stages.datasets.samples import read_samples, training_split
from stages.datasets.schema import QuestionSample
from stages.features.streams import Streams
from stages.metrics.grounded_answers import overlap
from stages.metrics.grounded_report import Pointed, headline, moments, numbers, thresholds
from stages.metrics.question_report import Asked, accuracies, groups
from stages.metrics.report import Numbers, SplitReport
from stages.params import Run
from stages.predictions.dictionary_attention import with_attention
from stages.predictions.grounded_questions import examples, frame_times, predict, published, record
from stages.predictions.guesses import frequent
from stages.predictions.settings import GroundedEvaluate
from stages.tasks.available import available, left_out, refuse_none
from stages.tasks.questions import MEASURES as ANSWERED
from stages.tasks.questions import outcomes as answered
from stages.tasks.task import Data, Finished, Inputs, Predicted, Prepared, Record, Results, Split
from stages.training.grounded_questions import GroundedFeed, Reader, asked
from stages.training.loop import TrainingError, Validate
from stages.training.paraphrases import read_paraphrases
from stages.training.question_draws import QuestionPool, Tricks
from stages.training.shown import part
from stages.training.tokenising import FOLDER, EncoderError, Tokeniser, tokenizer_files

WEIGHTS = "model.safetensors"
SHOWN = 6
MEASURES = (*ANSWERED, "IoU", "IoP", "Acc&GQA")


def prepare(run: Run, inputs: Inputs, device: torch.device) -> Prepared:
    """Batches whose texts are drawn anew each time, answers and moments of the selection samples, the pretrained encoder.

    Raises TrainingError or EncoderError: nothing to train on, an encoder that is not there or does not fit.
    """
    encoder = _encoder(run, inputs)
    samples = training_split(inputs.samples, QuestionSample, min_duration=run.train.min_duration, selection=run.train.selection)
    streams = Streams(inputs.features, {"video": run.features.video}, needed=("video",))
    training, chosen = (_with_features(part, streams) for part in samples)
    if not training:
        raise TrainingError(f"{inputs.samples}: none of its training questions has features in the stores of this run")
    reader = _reader(run.model, run, Tokeniser(encoder))
    ids = [sample.video_id for sample in (*training, *chosen)]
    whole = streams.fused("video", ids, budget_bytes=run.train.budget_bytes, device=device, normalise=False)
    video = part(whole, run.features.shown)
    asks = run.model.variant != "posthoc" and run.model.vq_weight > 0
    feed = GroundedFeed(training, video, reader, pool=_pool(run, inputs, training), asks=asks)
    selection = GroundedFeed(chosen, video, reader)
    return Prepared(
        feed=feed,
        validate=_validation(selection, run.evaluate, run.model, device) if chosen else None,
        rows=_confounders(run, inputs),
        files=tokenizer_files(encoder),
        begin=lambda model: _load_encoder(model, run, encoder),
    )


def _encoder(run: Run, inputs: Inputs) -> Path:
    if run.features.encoder is None or run.features.texts is None:
        raise TrainingError(f"{run.method} reads words: give features.encoder and features.texts of the run")
    if inputs.raw is None:
        raise TrainingError(
            f"the text encoder {run.features.encoder} lies among the published files: give --raw data/raw/<dataset>"
        )
    return inputs.raw / run.features.encoder


def _reader(model: Any, entry: Run, tokeniser: Tokeniser) -> Reader:
    """How the texts of a run become tokens; `model` is the method's Config.

    Raises TrainingError as check_words does, or if the entry does not say.
    """
    prompts = isinstance(model.text, Deberta)
    if entry.features.texts is None:
        raise TrainingError(f"{entry.method} reads words: give features.texts of the run")
    check_words(model, tokeniser)
    return Reader(
        tokeniser=tokeniser, texts=entry.features.texts, prompts=prompts, full=not prompts and not model.rules.mask_pads
    )


def check_words(model: Any, tokeniser: Tokeniser) -> None:
    """Raises TrainingError if the words that a language model fills in are others than those of its tokenizer."""
    if isinstance(model.text, Deberta):
        found = (tokeniser.mask_id, (tokeniser.id("\u2581Yes"), tokeniser.id("\u2581No")))
        told = (model.text.mask_token_id, tuple(model.text.yes_no_token_ids))
        if found != told:
            raise TrainingError(
                f"model.text: mask_token_id and yes_no_token_ids are {told}, but in its tokenizer they are {found}; set these"
            )


def _pool(run: Run, inputs: Inputs, training: Sequence[QuestionSample]) -> QuestionPool:
    texts = run.features.texts
    assert texts is not None
    paraphrases = {}
    if texts.paraphrases is not None and inputs.raw is not None:
        paraphrases = read_paraphrases(inputs.raw / texts.paraphrases)
    tricks = Tricks(paraphrase=texts.paraphrase, same_video=texts.same_video, foreign_answers=texts.foreign_answers)
    pool = QuestionPool([asked(sample) for sample in training], paraphrases=paraphrases, tricks=tricks)
    most = max(len(sample.options) for sample in training)
    if len(pool.questions) < most or (texts.foreign_answers and len(pool.answers) < most):
        raise TrainingError(
            f"{inputs.samples}: {len(pool.questions)} different training questions and {len(pool.answers)} answers are too few "
            f"to draw {most} candidates from; use more of them, or foreign_answers: 0.0"
        )
    return pool


def _confounders(run: Run, inputs: Inputs) -> dict[str, Tensor]:
    """The dictionaries that the method is going to use; the others stay unread."""
    out = {}
    if run.model.variant == "cra" and run.model.front_door:
        out["video"] = torch.from_numpy(read_rows(inputs.confounders["video"]))
    if run.model.variant == "cra" and run.model.rules.backdoor_on_query:
        out["query"] = torch.from_numpy(read_graphs(inputs.confounders["query"]))
    return out


def _load_encoder(model: Any, run: Run, encoder: Path) -> None:
    """Weights of the pretrained text encoder into the model.

    Raises EncoderError: a file that is not there or damaged, or other sizes than those of `model.text`.
    """
    path = encoder / WEIGHTS
    try:
        state = load_file(path)
    except FileNotFoundError:
        raise EncoderError(f"{path}: no such file; fetch the encoder in the safetensors format") from None
    except SafetensorError as error:
        raise EncoderError(f"{path}: not a complete safetensors file ({error}); fetch it again") from error
    try:
        model.load_pretrained(state)
    except RuntimeError as error:
        sizes = ", ".join(f"{name} {value}" for name, value in asdict(run.model.text).items())
        raise EncoderError(f"{path}: does not fit model.text ({sizes}): {str(error)[:300]}") from error


def _with_features(samples: Sequence[QuestionSample], streams: Streams) -> list[QuestionSample]:
    return available(samples, lambda sample: streams.has("video", sample.video_id))


def _validation(feed: GroundedFeed, settings: GroundedEvaluate, model: Any, device: torch.device) -> Validate:
    """Accuracy, and where evidence is known how well the moments fit it."""

    def validate(method: Method) -> dict[str, float]:
        found = predict(method, feed, batch_size=settings.batch_size, device=device, label="validation")
        rows = _records(feed, found, settings, model)
        right = [bool(row["correct"]) for row in rows]
        return {"Acc": 100 * float(np.mean(right)), **headline(_pointed(feed.samples, rows))}

    return validate


def _records(feed: GroundedFeed, found: Sequence[GroundedAnswer], settings: GroundedEvaluate, model: Any) -> list[Record]:
    """Records of the answers; `model` is the method's Config."""
    out = []
    for sample, one in zip(feed.samples, found, strict=True):
        three = moments(
            None if one.span is None else one.span.tolist(),
            one.weights.tolist(),
            frame_times(sample, len(one.weights)),
            sample.duration,
            merge=settings.merge,
            first_frame=model.rules.search_first_frame,
        )
        out.append(record(sample, one, three))
    return out


def _pointed(samples: Sequence[QuestionSample], rows: Sequence[Record]) -> list[Pointed]:
    """The questions whose evidence is known."""
    return [
        Pointed(
            key=sample.sample_id,
            evidence=published_windows(sample),
            right=bool(row["correct"]),
            moments={name: row[name] for name in ("pre_hoc", "post_hoc", "merge")},
        )
        for sample, row in zip(samples, rows, strict=True)
        if sample.spans
    ]


def _feed(finished: Finished, entry: Run, data: Data, samples: Sequence[QuestionSample]) -> tuple[GroundedFeed, Streams]:
    """The samples that have features, read with the run's own tokenizer.

    Raises DatasetError if none has.
    """
    names = finished.record.features.get("video") or entry.features.video
    streams = Streams(data.features, {"video": names}, needed=("video",))
    kept = _with_features(samples, streams)
    refuse_none(kept, samples, data.samples)
    ids = [sample.video_id for sample in kept]
    whole = streams.fused("video", ids, budget_bytes=finished.budget_bytes, device=finished.device, normalise=False)
    video = part(whole, finished.record.shown)
    return GroundedFeed(kept, video, reader_of(finished, entry)), streams


def reader_of(finished: Finished, entry: Run) -> Reader:
    """The texts of a finished run, by its own tokenizer. Raises EncoderError if it has none."""
    return _reader(finished.model.config, entry, Tokeniser(finished.folder / FOLDER))


def results(finished: Finished, entry: Run, data: Data) -> Results:
    """Every split; the answers that were trained on are what the guesses know."""
    settings: GroundedEvaluate = entry.evaluate
    training, _ = training_split(data.samples, QuestionSample, selection=entry.train.selection)
    splits: list[Split] = []
    recipes: dict[str, str] = {}
    for name in settings.splits:
        samples = read_samples(data.samples, name, QuestionSample)
        feed, streams = _feed(finished, entry, data, samples)
        recipes = streams.recipes()
        rows = answers_of(finished, feed, settings, name)
        report: SplitReport | None = None
        trivial: dict[str, Numbers] = {}
        if all(sample.answer is not None for sample in feed.samples):
            report, trivial = _report(finished, feed, rows, settings, training, name)
        splits.append(
            Split(
                name=name,
                samples=feed.samples,
                predictions=rows,
                dropped=left_out(samples, feed.samples),
                report=report,
                baselines=trivial,
                examples=_with_attention(finished, feed, examples(feed.samples, rows, split=name, chosen=settings.examples)),
                files=published(feed.samples, rows),
            )
        )
    return Results(splits=splits, recipes=recipes)


def _with_attention(finished: Finished, feed: GroundedFeed, shown: list[Record]) -> list[Record]:
    """Examples with what the method read off its dictionary, where it has one."""
    by_id = {sample.sample_id: sample for sample in feed.samples}
    few = GroundedFeed([by_id[one["sample_id"]] for one in shown], feed.video, feed.reader)
    return with_attention(shown, finished.model, few, finished.device)


def answers_of(finished: Finished, feed: GroundedFeed, settings: GroundedEvaluate, label: str) -> list[Record]:
    """Records of every question of the feed."""
    found = predict(finished.model, feed, batch_size=settings.batch_size, device=finished.device, label=label)
    return _records(feed, found, settings, finished.model.config)


def _report(
    finished: Finished,
    feed: GroundedFeed,
    rows: Sequence[Record],
    settings: GroundedEvaluate,
    training: Sequence[QuestionSample],
    label: str,
) -> tuple[SplitReport, dict[str, Numbers]]:
    """Answers, moments and both; the same for those who look at nothing, or at another video."""
    found = [
        Asked(
            video=sample.video_id,
            question_id=sample.question_id,
            question=sample.question,
            type=sample.type,
            duration=sample.duration,
            prediction=row["prediction"] if not row["correct"] else row["answer"],  # two options may read the same
            answer=row["answer"],
        )
        for sample, row in zip(feed.samples, rows, strict=True)
    ]
    pointed = {one.key: one for one in _pointed(feed.samples, rows)}
    metrics: Numbers = {**accuracies(found, settings.convention), **numbers(list(pointed.values()))}

    def further(places: Sequence[int]) -> dict[str, float]:
        keys = [feed.samples[place].sample_id for place in places]
        values = headline([pointed[key] for key in keys if key in pointed])
        return {name: values[name] for name in ("Acc&GQA", "mIoP", "mIoU") if name in values}

    trivial = _guesses(feed, training)
    if settings.blind:
        names = [sample.video_id for sample in feed.samples]
        shifted = _foreign(names)
        elsewhere = GroundedFeed(feed.samples, feed.video, feed.reader, videos=shifted)
        blind = answers_of(finished, elsewhere, settings, f"{label}, another video")
        trivial["the model on another video"] = {"Acc": 100 * float(np.mean([row["correct"] for row in blind]))}
    report = SplitReport(metrics, thresholds(list(pointed.values())), groups(found, settings.convention, further))
    return report, trivial


def _foreign(videos: Sequence[str]) -> list[str]:
    """For each question the next video in the list of different ones: never its own, where there are two."""
    distinct = list(dict.fromkeys(videos))
    following = dict(zip(distinct, [*distinct[1:], distinct[0]], strict=True))
    return [following[video] for video in videos]


def _guesses(feed: GroundedFeed, training: Sequence[QuestionSample]) -> dict[str, Numbers]:
    """The most frequent answer, pointing at the whole video."""
    out: dict[str, Numbers] = {}
    for name, by_type in (("most frequent answer", False), ("most frequent by type", True)):
        right = frequent(feed.samples, training, by_type=by_type)
        whole = [
            Pointed(
                key=sample.sample_id, evidence=published_windows(sample), right=hit, moments={"post_hoc": (0.0, sample.duration)}
            )
            for sample, hit in zip(feed.samples, right, strict=True)
            if sample.spans and sample.duration
        ]
        out[f"{name}, whole video"] = {"Acc": 100 * float(np.mean(right)), **headline(whole)}
    return out


def predicted(finished: Finished, entry: Run | None, data: Data, split: str, settings: GroundedEvaluate | None) -> Predicted:
    """Raises EncoderError for a run that params.yaml does not know."""
    entry, settings = in_params(finished, entry, settings)
    feed, _ = _feed(finished, entry, data, read_samples(data.samples, split, QuestionSample))
    rows = answers_of(finished, feed, settings, split)
    return Predicted(samples=feed.samples, records=rows, examples=examples(feed.samples, rows, split=split, chosen=SHOWN))


def in_params(finished: Finished, entry: Run | None, settings: GroundedEvaluate | None) -> tuple[Run, GroundedEvaluate]:
    """Entry and settings. Raises EncoderError where there are none: how texts are made is said there alone."""
    if entry is None or settings is None:
        raise EncoderError(
            f"{finished.folder}: params.yaml has no entry {finished.record.run!r} that says how its texts are made; "
            "name one with --settings"
        )
    return entry, settings


def outcomes(data: Data, split: str, records: Sequence[Record]) -> Outcomes:
    """Those of every question (questions.py), and of the moment that is pointed at: IoU, IoP, and right with an IoP of 0.5."""
    found = answered(data, split, records)
    samples = {sample.sample_id: sample for sample in read_samples(data.samples, split, QuestionSample)}
    iou, iop = (np.full(len(records), np.nan) for _ in range(2))
    for place, row in enumerate(records):
        if spans := published_windows(samples[row["sample_id"]]):
            pairs = [overlap(span, row["span"]) for span in spans]
            iou[place], iop[place] = (100 * max(0.0, *(pair[which] for pair in pairs)) for which in (0, 1))
    both = np.where(np.isnan(iop), np.nan, found.values["Acc"] * (iop >= 50))
    return Outcomes(found.ids, {**found.values, "IoU": iou, "IoP": iop, "Acc&GQA": both})
