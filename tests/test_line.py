"""The whole line on a small planted world: what DVC re-runs, and that bytes depend on nothing but code, numbers and seeds."""

import copy
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml

from tests import workspace

pytestmark = pytest.mark.slow


def small_params():
    """The demo's numbers with a few dozen videos, two epochs and two runs that differ in their seed."""
    params = yaml.safe_load((workspace.ROOT / "params.yaml").read_text())
    world = params["worlds"]["demo"]["planted"]
    world["splits"]["train"]["videos"] = 60
    for name in ("iid", "interventional", "reversed"):
        world["splits"][name]["videos"] = 12
    run = params["runs"]["causalvtg-planted"]
    run["train"]["epochs"] = 2
    for name in ("planted-video", "planted-query"):
        params["dictionaries"][name]["k"] = 8
    other = copy.deepcopy(run)
    other["seed"] = 1
    return {
        "worlds": {"demo": params["worlds"]["demo"]},
        "datasets": {"planted": params["datasets"]["planted"]},
        "features": {"planted": params["features"]["planted"]},
        "dictionaries": {name: params["dictionaries"][name] for name in ("planted-video", "planted-query")},
        "vocabularies": {},
        "graphs": {},
        "audits": {},
        "runs": {"one": run, "two": other},
        "reports": {"demo": params["reports"]["demo"]},
    }


def stages_run(output):
    return re.findall(r"Running stage '([^']+)'", output)


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """A workspace in which everything has been built once."""
    work = workspace.prepare(tmp_path_factory.mktemp("line"), small_params())
    output = workspace.dvc(work, "repro")
    assert len(stages_run(output)) == 10
    return work


def test_the_line_ends_in_a_page_and_in_metrics(line):
    assert (line / "data/reports/demo/index.html").stat().st_size > 10_000
    metrics = json.loads((line / "data/results/one/metrics.json").read_text())
    assert any(name.startswith("interventional.") for name in metrics)
    shown = workspace.dvc(line, "metrics", "show", "--json")
    assert "data/results/two/metrics.json" in shown


def test_a_second_repro_does_nothing(line):
    output = workspace.dvc(line, "repro")
    assert stages_run(output) == []


def test_the_number_of_one_run_re_runs_that_run_only(line):
    params = small_params()
    params["runs"]["two"]["optim"]["lr"] = 1.0e-3
    workspace.write_params(line, params)
    assert stages_run(workspace.dvc(line, "repro")) == ["train@two", "evaluate@two", "report@demo"]
    workspace.write_params(line, small_params())
    assert stages_run(workspace.dvc(line, "repro")) == []  # a change undone: DVC takes back what it was before


def test_another_machine_takes_trainings_from_the_remote(line, tmp_path):
    workspace.dvc(line, "remote", "add", "--force", "--default", "lab", str(tmp_path / "lab"))
    workspace.dvc(line, "push", "--quiet", "--run-cache")
    other = workspace.prepare(tmp_path / "other", small_params(), code=line)
    workspace.dvc(other, "remote", "add", "--default", "lab", str(tmp_path / "lab"))
    ran = stages_run(workspace.dvc(other, "repro", "--pull"))
    assert ran == ["fetch@planted", "consolidate@planted"]  # each machine gets the published files by itself
    assert (other / "dvc.lock").read_bytes() == (line / "dvc.lock").read_bytes()


def test_another_folder_gives_the_same_lock_even_when_stages_are_killed(line, tmp_path):
    """Every stage is killed by SIGKILL at least once while it works; repeated, the line ends in the same bytes."""
    work = workspace.prepare(tmp_path, small_params(), code=line)
    killed = 0
    for seconds in (1.5, 2.5, 3.5, 4.5, 6, 8) * 2:
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=work,
            env=workspace.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        for lock in (work / ".dvc" / "tmp").glob("*lock*"):  # what a killed dvc leaves; its user deletes it as dvc advises
            if lock.is_file():
                lock.unlink()
    assert killed >= 4
    workspace.dvc(work, "repro")
    assert digest(work / "dvc.lock") == digest(line / "dvc.lock")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
