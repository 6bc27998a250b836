"""What several processes do under torchrun; started by test_processes.py. Ends with an error if anything differs.

python -m torch.distributed.run --standalone --nproc-per-node 2 -m tests.stages.training.together FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from stages.datasets.samples import read_samples
from stages.features.resident import Fused
from stages.features.store import FeatureStore
from stages.params import parse
from stages.training.batches import MomentFeed
from stages.training.processes import Processes
from stages.training.runs import RunRecord, build_model
from tests.stages import tiny
from tests.stages.training.toy import PointFeed, settings, training


def equal_everywhere(state: dict[str, torch.Tensor]) -> None:
    """Every tensor is the same on all processes."""
    for key, value in state.items():
        mine = value.detach().double().reshape(-1)
        everyone = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
        distributed.all_gather(everyone, mine)
        assert all(torch.equal(mine, other) for other in everyone), f"{key} differs between the processes"


def line_as_alone(folder: Path, processes: Processes) -> None:
    """Mean losses: two processes learn what one learns, whatever the parts; 41 points leave one for the last batch."""
    feed, train = PointFeed(43), settings(accumulate=2, select="score", keep_every=2)

    def validate(model: Any) -> dict[str, float]:
        assert processes.first, "only the first process validates"
        return {"score": float(model.out.weight.sum())}

    together = training(folder / "line", train, feed=feed, processes=processes, validate=validate)
    kept = together.run()
    equal_everywhere({key: value for key, value in together.model.state_dict().items() if key != "seen"})
    again = training(folder / "line", train, feed=feed, processes=processes, validate=validate).run()
    assert again.selection == kept.selection
    if not processes.first:
        return
    alone = training(folder / "alone", train, feed=feed, validate=validate).run()
    assert alone.selection is not None
    assert kept.selection is not None
    assert alone.selection["epoch"] == kept.selection["epoch"]
    for key, value in alone.weights.items():
        if key != "seen":
            torch.testing.assert_close(kept.weights[key], value, atol=1e-5, rtol=1e-4)
    rows = [(folder / name / "history.csv").read_text().splitlines() for name in ("line", "alone")]
    assert rows[0][0] == rows[1][0]
    for one, other in zip(*(row[-1].split(",") for row in rows), strict=True):
        torch.testing.assert_close(float(one), float(other), atol=1e-4, rtol=1e-3)


def memories_stay_equal(folder: Path, processes: Processes, numerics: str) -> None:
    """A model that observes: dictionaries and weights are the same on all processes after an epoch of different shares."""
    work = tiny.make(folder / f"tiny-{numerics}-{processes.rank}", videos=9)
    samples = read_samples(work.samples, "train")
    sources = []
    for names, ids in (
        (("clip", "slowfast"), sorted({sample.video_id for sample in samples})),
        (("words",), sorted({sample.query_id for sample in samples})),
    ):
        stores = [FeatureStore.open(work.features / f"{name}.zarr") for name in names]
        sources.append(Fused(stores, normalise=True, budget_bytes=10**7, ids=ids))
    video, query = sources
    feed = MomentFeed(samples, video, query, tiny.FPS)
    record = RunRecord(
        run="tiny",
        method="causalvtg",
        model=tiny.MODEL | {"numerics": numerics},
        widths=feed.widths,
        confounders={"video": (4, 11), "query": (4, 7)},
        dataset="tiny",
        features={},
        fps=tiny.FPS,
    )
    torch.manual_seed(5)
    model = build_model(record, parse, "together")
    for key, value in model.state_dict().items():
        if key.endswith("memory.rows"):
            value.normal_()
    before = {key: value.clone() for key, value in model.state_dict().items() if key.endswith("memory.rows")}
    run = training(folder / f"moments-{numerics}", settings(epochs=1), model=model, feed=feed, processes=processes)
    run.run()
    equal_everywhere(dict(model.state_dict()))
    assert all(not torch.equal(value, model.state_dict()[key]) for key, value in before.items())


def main() -> None:
    torch.set_num_threads(1)
    folder, processes = Path(sys.argv[1]), Processes.join("cpu")
    assert processes.count == 2
    line_as_alone(folder, processes)
    for numerics in ("corrected", "released"):
        memories_stay_equal(folder, processes, numerics)
    print(f"process {processes.rank} is content")
    processes.leave()


if __name__ == "__main__":
    main()
