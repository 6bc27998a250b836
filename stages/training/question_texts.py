"""What a language model reads of a multiple-choice question: one text per candidate.

Source: NExT-GQA (CVPR 2024) for TempCLIP, FrozenBiLM (NeurIPS 2022) and CRA (CVPR 2025) for the texts with a word to fill in.
"""

from __future__ import annotations

from collections.abc import Sequence

WHICH_QUESTION = "What question can the video clip answer?"


def joined(question: str, options: Sequence[str], separator: str) -> list[str]:
    """Question, separator, option for each option, as in `why did he fall </s> ice`; the separator is the tokenizer's own."""
    return [f"{question} {separator} {option}" for option in options]


def is_it(question: str, options: Sequence[str], mask: str, *, subtitles: bool = True) -> list[str]:
    """Is it this option? For each option; `mask` is the tokenizer's word to fill in.

    `subtitles` appends the heading under which FrozenBiLM expects speech; there is none, but it was trained with the heading.
    """
    return [_closed(f"Question: {_sentence(question)} Is it '{_capital(option)}'? {mask}.", subtitles) for option in options]


def which_question(questions: Sequence[str], mask: str, *, subtitles: bool = True) -> list[str]:
    """The same for candidate questions: which of them can the video answer?"""
    return [_closed(f"Question: {WHICH_QUESTION} Is it '{_sentence(one)}' {mask}.", subtitles) for one in questions]


def _closed(text: str, subtitles: bool) -> str:
    return f"{text} Subtitles:" if subtitles else text


def _sentence(question: str) -> str:
    """With a capital, and a question mark unless it has one."""
    return _capital(question) if question.endswith("?") else f"{_capital(question)}?"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
