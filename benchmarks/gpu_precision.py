"""CausalVTG on the planted world, trained in fp32 and in bf16 from one seed and in fp32 from another: for benchmarks/gpu.py.

    python -m benchmarks.gpu_precision --out FILE [--device cuda] [--tiny]

Primary metrics of every split after each training. The two of one seed see the same batches in the same order, so they differ by
the precision; the other seed says how much a training differs anyway. FILE is written again after every training.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.dvc_noop import python
from benchmarks.rounds import ROOT, part_of_gpu, write_whole
from tests import workspace

RUN = "causalvtg-planted"
METRICS = ("MR-full-R1@0.5", "MR-full-mAP")
TRAININGS = {"fp32": ("none", 0), "bf16": ("bf16", 0), "fp32, another seed": ("none", 1)}  # precision, seed


def params_of(device: str, *, tiny: bool) -> dict[str, Any]:
    """params.yaml with the device, and small numbers where it is only tried."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["runs"][RUN]["train"]["device"] = device
    if tiny:
        for split in params["worlds"]["demo"]["planted"]["splits"].values():
            split["videos"] = 24
        for name in ("planted-video", "planted-query"):
            params["dictionaries"][name]["k"] = 4
        params["runs"][RUN]["train"]["epochs"] = 1
    return params


def trained(folder: Path, name: str, amp: str, seed: int, device: str) -> dict[str, Any]:
    """Seconds of a training and the metrics after it."""
    shared = ["--samples", "data/samples/planted", "--features", "data/features/planted", "--raw", "data/raw/planted"]
    confounders = [f"--{side}-confounders=data/dictionaries/planted-{side}.npz" for side in ("video", "query")]
    out = f"data/{name.replace(' ', '-')}"
    begin = time.monotonic()
    python(folder, "-m", "stages.train", "--name", RUN, "--amp", amp, "--seed", str(seed), "--out", out, *shared, *confounders)
    seconds = time.monotonic() - begin
    results = ["--results", f"{out}-results", "--page", f"{out}.json", "--device", device]
    python(folder, "-m", "stages.evaluate", "--name", RUN, "--run", out, *shared, *results)
    metrics = json.loads((folder / f"{out}-results" / "metrics.json").read_text(encoding="utf-8"))
    kept = {name: value for name, value in metrics.items() if name.partition(".")[2] in METRICS}
    return {"training_seconds": round(seconds, 1), **kept}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    args = part_of_gpu(__doc__).parse_args(argv)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        begin = time.monotonic()
        folder = workspace.prepare(Path(work), params_of(args.device, tiny=args.tiny))
        workspace.dvc(folder, "repro", "dictionary@planted-video", "dictionary@planted-query")
        figures["prepared_in_seconds"] = round(time.monotonic() - begin, 1)
        for name, (amp, seed) in TRAININGS.items():
            figures[name] = trained(folder, name, amp, seed, args.device)
            write_whole(args.out, figures)


if __name__ == "__main__":
    main()
