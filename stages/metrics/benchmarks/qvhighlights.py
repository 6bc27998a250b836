"""QVHighlights (Lei et al., NeurIPS 2021): moments and highlights in 150 s videos, three raters per 2-second clip.

Leaderboard numbers are those of `moment_detr`; `lighthouse` and `vtg` agree with it where they report the same value.
"""

from stages.metrics.contract import Benchmark
from stages.metrics.moment_files import ALL_PROFILES, FILES, scorer

DEFAULT = ("moment_detr", "lighthouse", "vtg")

BENCHMARK = Benchmark(title="QVHighlights", files=FILES, profiles=ALL_PROFILES, default=DEFAULT, score=scorer(DEFAULT))
