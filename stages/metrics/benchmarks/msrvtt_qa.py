"""MSRVTT-QA (Xu et al., 2017): as MSVD-QA, with the 5,000 most frequent answers of training.

Training answers outside the vocabulary are a class of their own, behind it, so a model can predict that class; it is never right.
"""

from __future__ import annotations

from stages.metrics.contract import Benchmark
from stages.metrics.open_answers import scorer

PROFILES = ("qa",)
BENCHMARK = Benchmark(
    title="MSRVTT-QA",
    files=("predictions", "questions", "answer_vocabulary"),
    profiles=PROFILES,
    default=PROFILES,
    score=scorer(PROFILES, unknown=True),
)
