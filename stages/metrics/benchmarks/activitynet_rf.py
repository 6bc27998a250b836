"""ActivityNet Captions with unanswerable queries (RaTSG, NeurIPS 2024).

`vtg` is what CausalVTG printed: its label files repeat ids, and it scores the last record of each. Quote `vtg_by_record` or
`ratsg`.
"""

from stages.metrics.contract import Benchmark
from stages.metrics.moment_files import ALL_PROFILES, FILES, scorer

DEFAULT = ("vtg", "vtg_by_record", "ratsg")

BENCHMARK = Benchmark(title="ActivityNet-RF", files=FILES, profiles=ALL_PROFILES, default=DEFAULT, score=scorer(DEFAULT))
