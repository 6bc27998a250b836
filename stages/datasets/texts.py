"""What is odd about a query or question, but kept as it is: the published text is its identity."""

from __future__ import annotations

import re
from collections.abc import Iterator

CLIP_CONTEXT_WORDS = 75  # 77 tokens less the two marks; a word is at least one token
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SURROGATE = re.compile(r"[\ud800-\udfff]")


def text_oddities(text: str) -> Iterator[str]:
    """The names of the rules (rules.KEPT) that apply to a text."""
    if text != text.strip():
        yield "query_outer_blanks"
    if CONTROL.search(text):
        yield "query_control_characters"
    if not text.isascii():
        yield "query_non_ascii"
    if len(text.split()) > CLIP_CONTEXT_WORDS:
        yield "query_exceeds_clip_context"
