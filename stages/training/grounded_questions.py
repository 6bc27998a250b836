"""Questions with options as token ids, on videos as frames; in training with texts drawn anew each time (question_draws.py).

B batch, T frames, M candidates, L tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from models.batch import GroundedQuestions
from stages.datasets.schema import QuestionSample
from stages.training.batches import Indices, Rows, cut
from stages.training.question_draws import Asked, Drawn, QuestionPool
from stages.training.question_texts import is_it, joined, which_question
from stages.training.settings import Texts
from stages.training.tokenising import EncoderError, Tokeniser

UNKNOWN = -1  # place of an answer that nobody told


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How questions become tokens.

    prompts    as sentences with a word to fill in (FrozenBiLM), otherwise question and option side by side
    full       texts are always padded to their longest (a reference whose pooling counts padding)
    """

    tokeniser: Tokeniser
    texts: Texts
    prompts: bool
    full: bool

    def answers(self, questions: Sequence[str], options: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """B questions with M options each -> ids and mask (B, M, L)."""
        tokens = self.tokeniser
        if self.prompts:
            found = [is_it(one, several, tokens.mask) for one, several in zip(questions, options, strict=True)]
        else:
            found = [joined(one, several, tokens.separator) for one, several in zip(questions, options, strict=True)]
        return self._read(found, self.texts.answer_tokens)

    def questions(self, candidates: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """M candidate questions of B videos -> ids and mask (B, M, L)."""
        found = [which_question(several, self.tokeniser.mask) if self.prompts else list(several) for several in candidates]
        return self._read(found, self.texts.question_tokens)

    def _read(self, texts: Sequence[Sequence[str]], most: int) -> tuple[Tensor, Tensor]:
        flat = [text for several in texts for text in several]
        ids, mask = self.tokeniser.padded(flat, most, full=self.full)
        if self.prompts and bool((lost := ~(ids == self.tokeniser.mask_id).any(dim=1)).any()):
            raise EncoderError(
                f"{flat[int(lost.int().argmax())]!r}: cut to {most} tokens it has no word to fill in; raise answer_tokens or "
                "question_tokens"
            )
        return ids.unflatten(0, (len(texts), -1)), mask.unflatten(0, (len(texts), -1))


class GroundedFeed:
    """Batches of one question on one video each.

    pool      what `vary` draws from; None: training reads the questions as they are published
    asks      whether `vary` also gives candidate questions
    videos    the video each question is asked about; None: its own
    """

    fps = 0.0  # every video has the same number of frames

    def __init__(
        self,
        samples: Sequence[QuestionSample],
        video: Rows,
        reader: Reader,
        *,
        pool: QuestionPool | None = None,
        asks: bool = False,
        videos: Sequence[str] | None = None,
    ) -> None:
        self.samples, self.video, self.reader, self._pool, self._asks = list(samples), video, reader, pool, asks
        self._videos = [sample.video_id for sample in self.samples] if videos is None else list(videos)
        self.answers = np.array(
            [UNKNOWN if sample.answer_index is None else sample.answer_index for sample in self.samples], dtype=np.int64
        )

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def widths(self) -> dict[str, int]:
        """Channels of a frame."""
        return {"video": self.video.width}

    def names(self, indices: Indices) -> list[str]:
        """The sample ids at these places."""
        return [self.samples[index].sample_id for index in indices]

    def batch(self, indices: Indices, *, targets: bool = True) -> GroundedQuestions:
        """The samples at these places, as published. `targets=False` leaves the answers None."""
        chosen = [self.samples[index] for index in indices]
        drawn = [
            Drawn(
                question=sample.question,
                questions=(),
                question_label=UNKNOWN,
                answers=sample.options,
                answer_label=int(self.answers[index]) if targets else UNKNOWN,
            )
            for index, sample in zip(indices, chosen, strict=True)
        ]
        return self._made(indices, drawn, targets=targets, asks=False)

    def vary(self, indices: Indices, random: np.random.Generator) -> GroundedQuestions:
        """The samples at these places with texts drawn anew."""
        if self._pool is None:
            return self.batch(indices)
        drawn = [self._pool.draw(asked(self.samples[index]), random) for index in indices]
        return self._made(indices, drawn, targets=True, asks=self._asks)

    def _made(self, indices: Indices, drawn: Sequence[Drawn], *, targets: bool, asks: bool) -> GroundedQuestions:
        video, video_mask = self.video.batch([self._videos[index] for index in indices])
        answers, answers_mask = self.reader.answers([one.question for one in drawn], [one.answers for one in drawn])
        questions = questions_mask = question_id = None
        if asks:
            questions, questions_mask = self.reader.questions([one.questions for one in drawn])
            question_id = torch.tensor([one.question_label for one in drawn], dtype=torch.int64)
        return GroundedQuestions(
            video=video,
            video_mask=video_mask,
            duration=torch.tensor([self.samples[index].duration or 0.0 for index in indices], dtype=torch.float32),
            answers=answers,
            answers_mask=answers_mask,
            answer_id=torch.tensor([one.answer_label for one in drawn], dtype=torch.int64) if targets else None,
            questions=questions,
            questions_mask=questions_mask,
            question_id=question_id,
        )

    def epoch(self, batch_size: int) -> Iterator[tuple[Indices, GroundedQuestions]]:
        """Every sample once, in order: (places of the samples, their batch). For evaluation and prediction."""
        for indices in cut(np.arange(len(self), dtype=np.int64), batch_size):
            yield indices, self.batch(indices, targets=False)

    def answer_text(self, place: int, number: int) -> str:
        """The words of an option of the sample at `place`."""
        return self.samples[place].options[number]


def asked(sample: QuestionSample) -> Asked:
    """A training question as the pool wants it."""
    assert sample.answer_index is not None  # training_split refuses others
    return Asked(
        key=sample.sample_id,
        video=sample.video_id,
        data_type=sample.type,
        question=sample.question,
        options=sample.options,
        label=sample.answer_index,
    )
