"""ImageNet-VidVRD (Shang et al., 2017): relations of moving objects in video.

Files and scores are in relation_files.py; VidOR shares them.
"""

from __future__ import annotations

from stages.metrics.relation_files import benchmark

BENCHMARK = benchmark("Video visual relation detection")
