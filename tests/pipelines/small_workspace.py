"""A DVC workspace with the flows of this repository and a graph of the same shape, whose stages take no time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

GRAPH = """
stages:
  fetch:
    foreach: [small]
    do:
      cmd:
      - echo "bytes of ${item} come in"
      - test ! -e offline || { rm offline; echo "no route to the mirror"; exit 75; }
      - mkdir -p data/raw && echo "${item}" > data/raw/${item}
      outs: [{"data/raw/${item}": {persist: true, cache: false}}]
  consolidate:
    foreach: [small]
    do:
      cmd: echo "store of ${item}" && mkdir -p data/features && cp data/raw/${item} data/features/${item}
      deps: ["data/raw/${item}"]
      outs: [{"data/features/${item}": {persist: true}}]
  dictionary:
    foreach: [centres]
    do:
      cmd: mkdir -p data/dictionaries && cp data/features/small data/dictionaries/${item}
      deps: [data/features/small]
      outs: ["data/dictionaries/${item}"]
  train:
    foreach:
      one: {method: causalvtg}
      two: {method: causalvtg}
      broken: {method: other}
    do:
      cmd: python train.py ${key}
      deps: [train.py, data/dictionaries/centres, "models/methods/${item.method}.py"]
      outs: ["data/runs/${key}"]
  evaluate:
    foreach: [one, two, broken]
    do:
      cmd: python evaluate.py ${item}
      deps: ["data/runs/${item}", evaluate.py]
      outs: ["data/pages/${item}.json"]
      metrics: ["data/results/${item}.json"]
  report:
    foreach: [small]
    do:
      cmd: mkdir -p data/reports/${item} && cat data/pages/one.json data/pages/two.json > data/reports/${item}/index.html
      deps: [data/pages/one.json, data/pages/two.json]
      outs: ["data/reports/${item}"]
"""

TRAIN = """
import pathlib, sys
name = sys.argv[1]
print(f"training {name}")
for step in range(200):
    print(f"step {step}", end="\\r")
if name == "broken":
    print("NanError: loss reg is NaN in batch 7", file=sys.stderr)
    sys.exit(3)
pathlib.Path("data/runs").mkdir(parents=True, exist_ok=True)
pathlib.Path(f"data/runs/{name}").write_text(name)
"""

EVALUATE = """
import json, pathlib, sys
name = sys.argv[1]
for folder, content in (("results", {"iid": {"mAP": 51.5}, "n_scored": 9}), ("pages", {"run": name})):
    pathlib.Path(f"data/{folder}").mkdir(parents=True, exist_ok=True)
    pathlib.Path(f"data/{folder}/{name}.json").write_text(json.dumps(content))
"""

STAGES_OF_ONE = ["fetch@small", "consolidate@small", "dictionary@centres", "train@one", "evaluate@one"]


def make(folder: Path) -> Path:
    """Write the workspace; nothing in it has run yet."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(ROOT / "pipelines", folder / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prefect.yaml", "prefect.toml", ".dvcignore"):
        shutil.copy2(ROOT / name, folder / name)
    for method in ("causalvtg", "other"):
        (folder / "models" / "methods").mkdir(parents=True, exist_ok=True)
        (folder / "models" / "methods" / f"{method}.py").write_text("")
    (folder / "dvc.yaml").write_text(GRAPH)
    (folder / "train.py").write_text(TRAIN)
    (folder / "evaluate.py").write_text(EVALUATE)
    dvc(folder, "init", "--no-scm", "--quiet")
    dvc(folder, "config", "core.analytics", "false")
    return folder


def environment(**more: str) -> dict[str, str]:
    """This interpreter's commands first; nothing of the user's Prefect."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', '')}"
    return {**own, "PATH": path, "DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1", **more}


def dvc(folder: Path, *arguments: str) -> str:
    """Run dvc there; its output."""
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True, text=True).stdout
