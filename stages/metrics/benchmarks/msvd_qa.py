"""MSVD-QA (Xu et al., 2017): open-ended questions, answers from a vocabulary of the 1,852 most frequent ones."""

from __future__ import annotations

from stages.metrics.open_answers import benchmark

BENCHMARK = benchmark("MSVD-QA")
