"""Token features of questions, as their extractors publish them: one row per token, zero rows behind.

    token = lift (unit vector of the word's concept, or of the function word, + noise)        as language.py, with more words

A text is <begin> words <end>; a question with an option is <begin> question <end> option <end>. L tokens, D published width.
"""

from __future__ import annotations

import numpy as np

from stages.worlds.grammar import QUESTION_WORDS, Asked, Content, Word, phrase, plain
from stages.worlds.language import BEGIN, END
from stages.worlds.observation import Views
from stages.worlds.settings import Planted, require
from stages.worlds.streams import stream


class Wording:
    """Token features of one world."""

    def __init__(self, settings: Planted, views: Views) -> None:
        self.settings, self.views = settings, views
        text = settings.text
        require(
            text.width >= settings.latent + len(QUESTION_WORDS),
            f"text.width: {text.width} is less than latent {settings.latent} + {len(QUESTION_WORDS)} function words",
        )
        self.lift = views.lift(text.like, text.width)

    def vectors(self, words: tuple[Word, ...]) -> np.ndarray:
        """(L, d + F): unit vectors of the words, without noise."""
        concepts, latent = self.views.concepts[self.settings.text.like], self.settings.latent
        rows = np.zeros((len(words), latent + len(QUESTION_WORDS)))
        for row, (_, concept) in zip(rows, words, strict=True):
            assert concept is not None  # words of one-word answers are never published as features
            kind, index = concept
            if kind == "function":
                row[latent + index] = 1.0
            else:
                row[:latent] = getattr(concepts, kind)[index]
        return rows

    def published(self, texts: list[tuple[Word, ...]], asked: Asked, tokens: int) -> np.ndarray:
        """(len(texts), tokens, D): texts that belong to one question, each with its noise, zero rows behind."""
        found = np.zeros((len(texts), tokens, self.settings.text.width))
        video = asked.video
        generator = stream(self.views.seed, "question tokens", len(texts), video.split, video.index, asked.qid)
        noise = self.settings.text.noise / np.sqrt(self.settings.latent)
        for rows, words in zip(found, texts, strict=True):
            latent = self.vectors(words)
            rows[: len(words)] = (latent + noise * generator.standard_normal(latent.shape)) @ self.lift.T
        return found.astype(self.settings.dtype)


def question_tokens(asked: Asked) -> tuple[Word, ...]:
    """<begin> question <end>."""
    return (*plain(BEGIN), *asked.words, *plain(END))


def candidate_tokens(asked: Asked, option: Content) -> tuple[Word, ...]:
    """<begin> question <end> option <end>."""
    return (*question_tokens(asked), *phrase(asked.form, option), *plain(END))
