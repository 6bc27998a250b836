"""Clustering of a confounder dictionary: seeds sought among a draw of the items against scikit-learn's default.

    python -m benchmarks.dictionary [--rounds N] [--large]

The two do not give the same clusters, so the inertia (sum of squared distances to the centres) stands next to the time: above 1
is worse than the default. One matrix product of all items with all centres is the physical limit of one Lloyd iteration.
The items are random points around twice as many centres as there are clusters, of the sizes of Charades-STA (6,670 videos,
CLIP + SlowFast, and 12,404 queries, CLIP) and, with --large, of ActivityNet's queries as LLaMA encodes them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from benchmarks.rounds import interleave, save
from stages.confounders.kmeans import Floats, corrected
from stages.confounders.settings import Dictionary

CLUSTERS = 256
SIZES = {"charades videos": (6670, 2816), "charades queries": (12404, 512)}
LARGE = {"activitynet queries": (37421, 4096)}


def items(count: int, width: int) -> Floats:
    """Points around centres that are hit unequally often."""
    random = np.random.default_rng(0)
    centres = 0.5 * random.normal(size=(2 * CLUSTERS, width)).astype(np.float32)
    owner = random.choice(2 * CLUSTERS, count, p=random.dirichlet(np.ones(2 * CLUSTERS)))
    return centres[owner] + random.standard_normal(size=(count, width), dtype=np.float32)


def candidates(points: Floats, inertia: dict[str, float]) -> dict[str, Callable[[], Any]]:
    """What is timed; each notes the inertia it reached, relative ones are made of them afterwards."""
    usual = Dictionary(dataset="", features=("x",), k=CLUSTERS, seed=0)

    def default() -> None:
        inertia["default seeding"] = float(KMeans(CLUSTERS, n_init=1, random_state=0).fit(points).inertia_)

    def drawn() -> None:
        found = corrected(points, k=CLUSTERS, seed=0, iterations=usual.iterations, seeding_rows=usual.seeding_rows)
        inertia[f"seeds among {usual.seeding_rows}"] = found.inertia

    def twice_drawn() -> None:
        found = corrected(points, k=CLUSTERS, seed=0, iterations=usual.iterations, seeding_rows=2 * usual.seeding_rows)
        inertia[f"seeds among {2 * usual.seeding_rows}"] = found.inertia

    centres = points[:CLUSTERS]
    return {
        "default seeding": default,
        f"seeds among {usual.seeding_rows}": drawn,
        f"seeds among {2 * usual.seeding_rows}": twice_drawn,
        "limit: one matrix product": lambda: points @ centres.T,
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="also the largest size: minutes and 2 GB")
    args = parser.parse_args()
    figures: dict[str, Any] = {"clusters": CLUSTERS, "rounds": args.rounds}
    for name, (count, width) in (SIZES | (LARGE if args.large else {})).items():
        inertia: dict[str, float] = {}
        with threadpool_limits(1):
            timed = interleave(candidates(items(count, width), inertia), reference="default seeding", rounds=args.rounds)
        for candidate, value in inertia.items():
            timed[candidate]["inertia_ratio"] = round(value / inertia["default seeding"], 4)
        figures[f"{name} ({count} x {width})"] = timed
    save("dictionary", figures)


if __name__ == "__main__":
    main()
