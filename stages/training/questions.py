"""Questions on videos to batches, from stored features of clips, words and objects.

B batch, T clips, L words, M candidates, O objects.  A batch's feature tensors are buffers of the feature sources and are
overwritten by the next batch but one: use one batch before asking for more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batch import Questions
from stages.datasets.schema import QuestionSample
from stages.training.answer_vocabulary import AnswerVocabulary
from stages.training.batches import Indices, Rows, cut
from stages.training.settings import Shown
from stages.training.shown import only, part


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Where the parts of a batch come from; None: the method is not fed that.

    video          items are video ids
    question       items are sample ids: words of the question alone
    candidates     items are "<sample id>#<place>": words of the question with each candidate
    objects        items are video ids, rows T * O, frame after frame; a row of zeros is no object
    grid           (T, O) of the objects
    most_objects   of each frame, the first ones; None: all of them
    """

    video: Rows
    question: Rows | None = None
    candidates: Rows | None = None
    objects: Rows | None = None
    grid: tuple[int, int] | None = None
    most_objects: int | None = None

    @property
    def widths(self) -> dict[str, int]:
        """Channels per stream, as the constructors of methods want them."""
        texts = self.candidates or self.question
        out = {"video": self.video.width} | ({"query": texts.width} if texts is not None else {})
        return out | ({"objects": self.objects.width} if self.objects is not None else {})

    def partly(self, shown: Shown) -> Sources:
        """Clips and objects as far as they are shown to all questions alike."""
        shown = "all" if shown == "evidence" else shown
        return replace(self, video=part(self.video, shown), objects=self.objects and part(self.objects, shown))


class QuestionFeed:
    """Batches of one question on one video each.

    vocabulary     classes of open-ended answers; None: questions have candidates
    training       answers outside the vocabulary are its class "unknown"; otherwise they are OUTSIDE
    evidence       clips that show the answer, by sample, where only those are shown; None: all of them are
    video_places   video id -> its place among the training videos (models.causal.invariant.ClipBank)
    """

    fps = 0.0  # every video has the same number of clips, whatever its length

    def __init__(
        self,
        samples: Sequence[QuestionSample],
        sources: Sources,
        *,
        vocabulary: AnswerVocabulary | None = None,
        training: bool = False,
        video_places: dict[str, int] | None = None,
        evidence: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> None:
        self._evidence = evidence
        self.samples, self.sources, self.vocabulary = list(samples), sources, vocabulary
        self._videos = [sample.video_id for sample in self.samples]
        places = video_places or {}
        self._places = torch.tensor([places.get(video, -1) for video in self._videos], dtype=torch.int64)
        self.answers = np.array([self._answer(sample, training) for sample in self.samples], dtype=np.int64)

    def _answer(self, sample: QuestionSample, training: bool) -> int:
        if self.vocabulary is None:
            return -1 if sample.answer_index is None else sample.answer_index
        number = self.vocabulary.number(sample.answer)
        return self.vocabulary.unknown if training and number < 0 else number

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def widths(self) -> dict[str, int]:
        """Channels per stream."""
        return self.sources.widths

    def names(self, indices: Indices) -> list[str]:
        """The sample ids at these places."""
        return [self.samples[index].sample_id for index in indices]

    def batch(self, indices: Indices, *, targets: bool = True) -> Questions:
        """The samples at these places. `targets=False` leaves the answers None."""
        chosen = np.asarray(indices, dtype=np.int64)
        places = torch.from_numpy(chosen)
        video, video_mask = self.sources.video.batch([self._videos[index] for index in chosen])
        video = self._shown(video, chosen)
        parts: dict[str, Tensor] = {}
        if self.sources.question is not None:
            names = [self.samples[index].sample_id for index in chosen]
            parts["question"], parts["question_mask"] = self.sources.question.batch(names)
        if self.sources.candidates is not None:
            parts["candidates"], parts["candidates_mask"] = self._candidates(self.sources.candidates, chosen)
        if self.sources.objects is not None:
            parts["objects"], parts["objects_mask"] = self._objects(self.sources.objects, chosen)
        return Questions(
            video=video,
            video_mask=video_mask,
            answer=torch.from_numpy(self.answers[chosen]) if targets else None,
            video_index=self._places[places],
            **parts,
        )

    def _shown(self, values: Tensor, chosen: Indices) -> Tensor:
        """(B, T, ...) as far as it is shown."""
        return values if self._evidence is None else only(values, [self._evidence[index] for index in chosen])

    def _candidates(self, texts: Rows, chosen: Indices) -> tuple[Tensor, Tensor]:
        """(B, M, L, D) and (B, M, L)."""
        names = [item for index in chosen for item in self.samples[index].text_items]
        values, mask = texts.batch(names)
        return values.unflatten(0, (len(chosen), -1)), mask.unflatten(0, (len(chosen), -1))

    def _objects(self, objects: Rows, chosen: Indices) -> tuple[Tensor, Tensor]:
        """(B, T, O, D) and (B, T, O)."""
        assert self.sources.grid is not None
        values, _ = objects.batch([self._videos[index] for index in chosen])
        grid = self._shown(values.unflatten(1, self.sources.grid)[:, :, : self.sources.most_objects], chosen)
        return grid, grid.abs().amax(dim=-1) > 0

    def epoch(self, batch_size: int) -> Iterator[tuple[Indices, Questions]]:
        """Every sample once, in order: (places of the samples, their batch). For evaluation and prediction."""
        for indices in cut(np.arange(len(self), dtype=np.int64), batch_size):
            yield indices, self.batch(indices, targets=False)

    def answer_text(self, place: int, number: int) -> str:
        """The words of an answer of the sample at `place`."""
        return self.vocabulary.text(number) if self.vocabulary is not None else self.samples[place].options[number]
