"""The kind of a question by its first words: what CRA (CVPR 2025) draws foreign questions and answers from.

    whata  what does, did, do ...        whatb  what is, are, was, were ...       whato  any other what
    howm   how many ...                  how, who, which, why, where              other  anything else
    ...r   the same, where only the reason of an answer is asked for (data types pr, cr)

The reference fails on a question of the one word "what" or "how"; here they are whato and how.
"""

from __future__ import annotations

DOES = frozenset({"does", "do", "did"})
IS = frozenset({"was", "were", "is", "are"})
KEPT = frozenset({"who", "which", "why", "where", "how"})
REASONS = frozenset({"pr", "cr"})


def question_type(question: str, data_type: str) -> str:
    """`data_type` is compared as it stands: "CR" is none of the reasons."""
    first, second = [*question.split(), "", ""][:2]
    first = first.lower()
    if first == "what":
        kind = "whata" if second in DOES else "whatb" if second in IS else "whato"
    elif first == "how" and second == "many":
        kind = "howm"
    else:
        kind = first if first in KEPT else "other"
    return kind + ("r" if data_type in REASONS else "")
