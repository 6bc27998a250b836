"""A weakly supervised run (CPL, CCR) on one video of the user's own: feature files and sentences instead of a data set.

The sentences become words of the run's vocabulary as the vocabulary stage made its own: same tokens, same tags.
T rows of a file, K clips, D channels of all files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.confounders.parses import tagger as stanza_tagger
from stages.datasets.schema import MomentSample
from stages.features.resample import resample
from stages.features.tokens import Tag, tagger, tokens
from stages.features.vocabularies import read_longest, read_provenance, read_vocabulary
from stages.features.words import Sentences
from stages.params import Run
from stages.predictions.inference import PredictionError
from stages.predictions.own_video import read_rows
from stages.predictions.settings import WeakEvaluate
from stages.tasks.own import Answered, Own
from stages.tasks.own_moments import timeline
from stages.tasks.task import Finished
from stages.tasks.weak_moments import predictor_of
from stages.training.descriptions import DescriptionFeed


class OwnClips:
    """One video for every id; clips (K, D)."""

    def __init__(self, clips: Tensor) -> None:
        self.clips, self.width = clips, clips.shape[1]

    def batch(self, ids: Sequence[str]) -> Tensor:
        """(B, K, D)."""
        return self.clips.expand(len(ids), -1, -1)


def answer(finished: Finished, entry: Run | None, own: Own, settings: WeakEvaluate) -> Answered:
    """Records of the task.

    Raises PredictionError: no entry that says how proposals answer, no length of the video, channels that do not add up, a
    sentence without any word of the vocabulary; LookupError: no tagger.
    """
    method = finished.record.method
    words = f"reads the words of --query themselves, as {finished.record.run or 'the run'} learnt them"
    own.refuse(method, query_features=words, text_encoder=words, options="looks for a moment", objects="sees no objects")
    if entry is None:
        raise PredictionError(
            f"params.yaml has no entry {finished.record.run!r} that says how proposals answer; name one with --settings"
        )
    parts = [read_rows(file) for file in own.features]
    duration = own.seconds(len(parts[0]))
    if duration is None:
        raise PredictionError(
            "these features are not spaced in time alike: give the length of your video, --duration S, or --fps F"
        )
    predictor = predictor_of(finished, entry, stores=())
    width, wanted = sum(part.shape[1] for part in parts), finished.record.widths["video"]
    if width != wanted:
        raise PredictionError(f"the files have {width} channels in all; the run takes {wanted}: give its features in its order")
    clips = np.concatenate([resample(part, predictor.clips) for part in parts], axis=1)
    feed = DescriptionFeed(
        [_sample(own.name, number, text, duration) for number, text in enumerate(own.queries)],
        OwnClips(torch.from_numpy(clips)),
        read(predictor.vocabulary, own.queries),
    )
    found = predictor.propose("own", feed, settings)
    records = [{**record, "query": text} for record, text in zip(found, own.queries, strict=True)]
    return Answered(records=records, examples=[timeline(own.name, duration, 1.0, record) for record in records])


def read(vocabulary: Path, queries: Sequence[str]) -> Sentences:
    """The sentences in classes of the vocabulary, by their place in the list.

    Raises PredictionError for a sentence of which nothing is left.
    """
    words = read_vocabulary(vocabulary)
    spoken = [tokens(query) for query in queries]
    found = [words.encode(said, tags) for said, tags in zip(spoken, _tagger(read_provenance(vocabulary))(spoken), strict=True)]
    for query, (kept, _) in zip(queries, found, strict=True):
        if not kept:
            raise PredictionError(
                f"{query!r}: none of its words is among the {len(words.words)} that the run has learnt; rephrase"
            )
    return Sentences(
        words.vectors,
        [str(number) for number in range(len(queries))],
        [kept for kept, _ in found],
        [weights for _, weights in found],
        longest=read_longest(vocabulary),
    )


def _tagger(provenance: dict[str, Any]) -> Tag:
    models = provenance.get("models")
    if models is None:
        return tagger(provenance["tagger"])
    return stanza_tagger(Path(models["folder"]), models["package"])


def _sample(video: str, number: int, text: str, duration: float) -> MomentSample:
    return MomentSample(
        sample_id=str(number),
        video_id=video,
        query_id=str(number),
        query=text,
        duration=duration,
        spans=(),
        published="",
        source="own",
        record=number + 1,
    )
