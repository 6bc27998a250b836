"""Answers of those who look at nothing: what a method for questions has to beat.

most frequent            the training answer that is right most often; among options, the one that most often is
most frequent by type    the same among training questions of one type
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stages.datasets.schema import QuestionSample


def frequent(samples: Sequence[QuestionSample], training: Sequence[QuestionSample], *, by_type: bool) -> list[bool]:
    """Whether each sample's question is answered rightly. Options that never were right count as equal: the first is taken."""
    counts: dict[str, Counter[str]] = {}
    for one in training:
        if one.answer is not None:
            counts.setdefault(one.type if by_type else "", Counter())[one.answer] += 1
    most = {kind: found.most_common(1)[0][0] for kind, found in counts.items()}
    out = []
    for one in samples:
        kind = one.type if by_type else ""
        if one.options:
            seen = counts.get(kind, Counter())
            guess = max(range(len(one.options)), key=lambda place: seen[one.options[place]])
            out.append(guess == one.answer_index)
        else:
            out.append(most.get(kind) == one.answer)
    return out
