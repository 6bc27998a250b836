"""The pages on adding a method and a data set, followed to the letter in a scratch copy on a small world."""

from __future__ import annotations

import json
import re
import subprocess

import pytest
import yaml

from tests import workspace
from tests.faults import line

pytestmark = pytest.mark.slow
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def follow(page, work):
    """Do what a page says, block by block: python goes into the file named last before it, yaml into params.yaml, bash is run."""
    text = (workspace.ROOT / page).read_text()
    for block in BLOCK.finditer(text):
        kind, content = block.groups()
        if kind == "python":
            name = re.findall(r"`([\w/]+\.py)`:", text[: block.start()])[-1]
            (work / name).write_text(content)
        elif kind == "yaml":
            params = yaml.safe_load((work / "params.yaml").read_text())
            for section, entries in yaml.safe_load(content).items():
                params[section] |= entries
            workspace.write_params(work, params)
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", content],
                cwd=work,
                env=workspace.environment(),
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, f"{content}\n{(done.stdout + done.stderr)[-3000:]}"
            yield done.stdout


def world(tmp_path, *, runs, unbiased=False):
    """A workspace with the planted world of a few dozen videos; with `unbiased`, also the one that is trained on without bias."""
    params = line.params()
    params["worlds"].pop("weak")
    params["datasets"].pop("planted_weak")
    params["features"].pop("planted_weak")
    params["vocabularies"] = {}
    if not runs:
        params["runs"] = {}
    if unbiased:
        add_unbiased(params)
    return workspace.prepare(tmp_path / "scratch", params)


def add_unbiased(params):
    whole = yaml.safe_load((workspace.ROOT / "params.yaml").read_text())
    twin = params["worlds"]["demo_unbiased"] = whole["worlds"]["demo_unbiased"]
    for name, split in twin["planted"]["splits"].items():
        split["videos"] = params["worlds"]["demo"]["planted"]["splits"][name]["videos"]
    for section in ("datasets", "features"):
        params[section]["planted_unbiased"] = whole[section]["planted_unbiased"]
    for name in ("planted_unbiased-video", "planted_unbiased-query"):
        params["dictionaries"][name] = {**whole["dictionaries"][name], "k": 8}


def test_a_method_is_added_as_the_page_says(tmp_path):
    work = world(tmp_path, runs=False, unbiased=True)
    said, audited = follow("models/methods/README.md", work)
    assert "matching-planted" in said
    metrics = json.loads((work / "data/results/matching-planted/metrics.json").read_text())
    assert metrics["iid.MR-full-mAP"] > 0
    assert "IoU, one seed, so no interval over trainings: base reaches " in audited
    effects = json.loads((work / "data/audits/matching/metrics.json").read_text())
    assert {"base.gap.IoU", "full.gain.IoU", "full-unbiased.gap.IoU", "question-only.interventional.IoU"} <= set(effects)
    shown = (work / "data/reports/demo/index.html").read_text()
    assert "matching-planted" in shown
    assert "Matching, with and without the mean of the clips" in shown


def test_a_data_set_is_added_as_the_page_says(tmp_path):
    work = world(tmp_path, runs=False)
    *_, described, said = follow("stages/datasets/README.md", work)
    assert "clip.zarr" in described
    assert "causalvtg-kitchen" in said
    metrics = json.loads((work / "data/results/causalvtg-kitchen/metrics.json").read_text())
    assert metrics["test.MR-full-mAP"] > 1.5 * metrics["test.baseline.random.MR-full-mAP"], "it learns"
    quality = json.loads((work / "data/samples/kitchen/quality.json").read_text())
    assert quality
    assert (work / "data/reports/demo/index.html").is_file()


@pytest.mark.parametrize("page", ["models/methods/README.md", "stages/datasets/README.md"])
def test_what_a_page_adds_keeps_the_rules_of_this_repository(page, tmp_path):
    for number, (kind, content) in enumerate(BLOCK.findall((workspace.ROOT / page).read_text())):
        if kind == "python":
            file = tmp_path / f"block{number}.py"
            file.write_text(content)
            for check in (["check"], ["format", "--check"]):
                command = ["ruff", *check, "--config", str(workspace.ROOT / "pyproject.toml"), str(file)]
                done = subprocess.run(command, env=workspace.environment(), capture_output=True, text=True)
                assert done.returncode == 0, done.stdout
