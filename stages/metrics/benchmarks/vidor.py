"""VidOR (Shang et al., 2019): the files and the measures of ImageNet-VidVRD, on user videos.

What the two have in common is in relation_files.py. VidOR's papers quote mAP, R@50, R@100 and P@1, P@5; P@10 is given as well.
"""

from __future__ import annotations

from stages.metrics.relation_files import benchmark

BENCHMARK = benchmark("Video object relation detection")
