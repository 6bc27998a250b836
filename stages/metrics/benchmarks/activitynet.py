"""ActivityNet Captions (Krishna et al., ICCV 2017): one moment per caption in long videos.

Papers quote R1@0.3, 0.5, 0.7 and mIoU of `vtg`, range full.
"""

from stages.metrics.contract import Benchmark
from stages.metrics.moment_files import ALL_PROFILES, FILES, scorer

DEFAULT = ("vtg",)

BENCHMARK = Benchmark(title="ActivityNet Captions", files=FILES, profiles=ALL_PROFILES, default=DEFAULT, score=scorer(DEFAULT))
