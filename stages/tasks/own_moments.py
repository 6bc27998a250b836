"""Task "moments" on a video of the user's own: windows and saliency of every query.

Text features are given as files, or those of a query of the run's data set with the same text, or made by the text encoder.
"""

from __future__ import annotations

import logging
from typing import Any

from stages.datasets.samples import read_samples
from stages.features.store import FeatureStore
from stages.params import Run
from stages.predictions import own_video
from stages.predictions.inference import PredictionError
from stages.predictions.moments import postprocess, submission_record
from stages.predictions.settings import Evaluate
from stages.predictions.text_encoders import encode
from stages.tasks.moments import features
from stages.tasks.own import Answered, Own
from stages.tasks.task import Finished, Record

log = logging.getLogger("stages.predict")


def answer(finished: Finished, entry: Run | None, own: Own, settings: Evaluate) -> Answered:
    """Submission records of the queries.

    Raises PredictionError: files that do not fit the run, text features that are neither given, nor stored, nor computable here.
    """
    record = finished.record
    own.refuse(record.method, options="looks for a moment, and no answer", objects="sees no objects")
    fps = record.fps if own.fps is None else own.fps
    video = own_video.read_video(own.features, width=record.widths["video"], fps=fps, duration=own.duration, name=own.name)
    found = [own_video.ground(finished.model, video, one, finished.device) for one in _tokens(finished, entry, own)]
    windows = postprocess(
        [one.windows.numpy() for one in found],
        [video.duration] * len(found),
        rounding=settings.rounding,
        unit=settings.rounding_unit,
        nms_threshold=settings.nms_threshold,
        top=settings.top,
    )
    rows = []
    for number, (text, kept, one) in enumerate(zip(own.queries, windows, found, strict=True)):
        numbers: dict[str, Any] = {"windows": kept, "saliency": one.saliency.numpy(), "answerable": one.answerable}
        rows.append({**submission_record(vid=video.name, qid=number, **numbers), "query": text})
    return Answered(records=rows, examples=[timeline(video.name, video.duration, 1 / fps, row) for row in rows])


def timeline(video: str, duration: float, seconds_per_clip: float, row: Record) -> Record:
    """A record as a picture shows it."""
    return {
        "query": row["query"],
        "video_id": video,
        "duration": duration,
        "truth": [],
        "windows": row["pred_relevant_windows"],
        "saliency": row.get("pred_saliency_scores", []),
        "seconds_per_clip": seconds_per_clip,
        "answerable_probability": row.get("relavent_score"),
    }


def _tokens(finished: Finished, entry: Run | None, own: Own) -> list[own_video.Rows]:
    """Text features (L, D) of every query, as the run is fed them."""
    width = finished.record.widths["query"]
    if own.query_features:
        if len(own.query_features) != len(own.queries):
            raise PredictionError(
                f"{len(own.query_features)} --query-features for {len(own.queries)} --query; give one file each"
            )
        return [own_video.read_query(file, width=width) for file in own.query_features]
    names = features(finished.record, entry).get("query", ())
    known = _stored(finished, names, own)
    missing = [text for text in own.queries if text not in known]
    if missing:
        encoder = own.text_encoder or next((own.extractors[name] for name in names if own.extractors.get(name)), None)
        if not encoder:
            raise PredictionError(
                f"no text features for {missing[0]!r}: give them with --query-features FILE, or name an encoder: --text-encoder"
            )
        known |= dict(zip(missing, encode(missing, encoder, width=width), strict=True))
    return [own_video.normalised(known[text]) for text in own.queries]


def _stored(finished: Finished, names: tuple[str, ...], own: Own) -> dict[str, own_video.Rows]:
    """Stored features of queries of the run's data set that have one of these texts."""
    dataset = finished.record.dataset
    samples, folder = own.data / "samples" / dataset, own.data / "features" / dataset
    if not dataset or not samples.is_dir() or len(names) != 1 or not (folder / f"{names[0]}.zarr").is_dir():
        return {}
    store = FeatureStore.open(folder / f"{names[0]}.zarr")
    found: dict[str, own_video.Rows] = {}
    for file in sorted(samples.glob("*.parquet")):
        for sample in read_samples(samples, file.stem):
            if sample.query in own.queries and sample.query not in found and sample.query_id in store:
                found[sample.query] = store.rows(sample.query_id).astype("float32")
                log.info("query %r: features of query %s of %s", sample.query, sample.query_id, dataset)
    return found
