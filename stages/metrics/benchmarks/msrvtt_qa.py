"""MSRVTT-QA (Xu et al., 2017): as MSVD-QA, with the 5,000 most frequent answers of training."""

from __future__ import annotations

from stages.metrics.open_answers import benchmark

BENCHMARK = benchmark("MSRVTT-QA")
