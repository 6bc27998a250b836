"""The flows against a real Prefect server and a real process worker, on a small DVC workspace."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.pipelines import prefect_server, small_workspace
from tests.pipelines.small_workspace import STAGES_OF_ONE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with prefect_server.server(tmp_path_factory.mktemp("prefect") / "home") as started:
        yield started


@pytest.fixture
def folder(tmp_path):
    return small_workspace.make(tmp_path / "workspace")


@pytest.fixture
def call(server, folder):
    """Call a flow in the workspace, in a process of its own; its end and its task runs by stage, as the server knows them."""

    def call(expression, setting="pass"):
        code = f"from pipelines import demo, dvc, experiment, paper, prepare; {setting}; {expression}"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=server.environment, capture_output=True, text=True, timeout=120
        )
        run = server.ask("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 1})[0]
        assert (run["state_type"] == "COMPLETED") == (done.returncode == 0), done.stderr[-3000:]
        return run["state"], {task["name"]: task for task in server.tasks(run["id"])}

    return call


def test_deployment_run_goes_through_a_worker_with_one_task_per_stage_and_its_own_log(server, folder):
    for pool in ("cpu", "gpu"):
        assert server.command(folder, "work-pool", "create", pool, "--type", "process").returncode == 0
    deployed = server.command(folder, "deploy", "--all")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    flows = {flow["id"]: flow["name"] for flow in server.ask("/flows/filter")}
    names = {f"{flows[one['flow_id']]}/{one['name']}" for one in server.ask("/deployments/filter")}
    assert names == {"prepare/cpu", "experiment/cpu", "experiment/gpu", "paper/cpu", "paper/gpu", "demo/cpu"}

    with prefect_server.process(folder, "worker.log", server, "worker", "start", "--pool", "gpu") as (_, log):
        started = server.command(folder, "deployment", "run", "experiment/gpu", "-p", 'runs=["one"]')
        assert started.returncode == 0, started.stdout + started.stderr
        until = time.monotonic() + prefect_server.PATIENCE
        while True:
            (run,) = server.ask("/flow_runs/filter")
            if run["state_type"] in ("COMPLETED", "FAILED", "CRASHED") or time.monotonic() > until:
                break
            time.sleep(0.3)
        assert run["state_type"] == "COMPLETED", log.read_text()[-4000:]

    tasks = server.tasks(run["id"])
    assert [(task["name"], task["state_name"]) for task in tasks] == [(name, "Ran") for name in STAGES_OF_ONE]
    until = time.monotonic() + 20
    while "training one" not in (lines := server.logs(tasks[3]["id"])) and time.monotonic() < until:
        time.sleep(0.2)
    assert "training one" in lines
    assert "bytes of small come in" not in lines
    assert "bytes of small come in" in server.logs(tasks[0]["id"])
    assert (folder / "data/results/one.json").exists()


def test_a_second_run_finds_every_stage_cached_and_publishes_metrics_and_page(server, call, folder):
    both = "experiment.experiment(['one', 'two'], report='small')"
    call(both)
    _, tasks = call(both)
    assert len(tasks) == 8
    assert {task["state_name"] for task in tasks.values()} == {"Cached"}

    artifacts = server.ask("/artifacts/latest/filter", {"artifacts": {"key": {"any_": ["metrics", "report-small"]}}})
    found = {artifact["key"]: artifact["data"] for artifact in artifacts}
    assert '{"metric": "iid.mAP", "one": 51.5, "two": 51.5}' in found["metrics"]
    assert (folder / "data/reports/small/index.html").resolve().as_uri() in found["report-small"]


def test_a_failing_stage_fails_its_task_and_ends_the_flow_with_the_stages_own_words(call):
    state, tasks = call("experiment.experiment(['broken', 'one'])")
    assert state["type"] == "FAILED"
    assert "exited with 3" in state["message"]
    assert "NanError: loss reg is NaN in batch 7" in state["message"]
    assert tasks["train@broken"]["state_name"] == "Failed"
    assert tasks["train@broken"]["run_count"] == 1  # bad data stay bad: not tried again
    assert "evaluate@broken" not in tasks


def test_a_fetch_without_network_is_tried_again(call, folder):
    (folder / "offline").touch()
    state, tasks = call("prepare.prepare(['small'])", setting="dvc.RETRY_SECONDS = (0,)")
    assert state["type"] == "COMPLETED"
    assert tasks["fetch@small"]["run_count"] == 2
    assert list(tasks) == ["fetch@small", "consolidate@small", "dictionary@centres"]


def test_paper_runs_every_run_of_a_method_and_demo_all_that_a_page_needs(call):
    _, tasks = call("paper.paper('causalvtg')")
    assert [name for name in tasks if name.startswith("evaluate@")] == ["evaluate@one", "evaluate@two"]
    assert "train@broken" not in tasks
    _, tasks = call("demo.demo('small')")
    assert {name: task["state_name"] for name, task in tasks.items() if task["state_name"] != "Cached"} == {"report@small": "Ran"}


def test_an_unknown_run_is_answered_with_the_nearest_before_anything_runs(call, folder):
    state, tasks = call("experiment.experiment(['onne'])")
    assert state["type"] == "FAILED"
    assert "dvc.yaml has no stage 'evaluate@onne'; nearest: evaluate@one" in state["message"]
    assert tasks == {}
    assert not (folder / "data").exists()
