"""MSVD-QA (Xu et al., 2017): open-ended questions, answers from a vocabulary of the 1,852 most frequent ones."""

from __future__ import annotations

from stages.metrics.contract import Benchmark
from stages.metrics.open_answers import scorer

PROFILES = ("qa",)
BENCHMARK = Benchmark(
    title="MSVD-QA",
    files=("predictions", "questions", "answer_vocabulary"),
    profiles=PROFILES,
    default=PROFILES,
    score=scorer(PROFILES, unknown=False),
)
