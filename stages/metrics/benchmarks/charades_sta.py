"""Charades-STA (Gao et al., ICCV 2017): one moment per query in indoor videos.

Papers quote R1@0.3, 0.5, 0.7 and mIoU of `vtg`, range full. No test window is longer than 30 s, so its range long repeats full.
"""

from stages.metrics.contract import Benchmark
from stages.metrics.moment_files import ALL_PROFILES, FILES, scorer

DEFAULT = ("vtg", "lighthouse")

BENCHMARK = Benchmark(title="Charades-STA", files=FILES, profiles=ALL_PROFILES, default=DEFAULT, score=scorer(DEFAULT))
