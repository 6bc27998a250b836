"""The process that keeps DVC open, and what a flow learns from it; without Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from prefect.client.schemas.objects import TaskRun
from prefect.states import Failed

from pipelines import dvc
from pipelines.dvc import Graph, Stage, StageFailedError, Workspace
from tests.pipelines import small_workspace
from tests.pipelines.small_workspace import STAGES_OF_ONE


def stage(name, *upstream, deps=()):
    return Stage(name=name, upstream=upstream, deps=deps, outs=(), metrics=())


GRAPH = Graph(
    (
        stage("fetch@d"),
        stage("consolidate@d", "fetch@d"),
        stage("train@a", "consolidate@d", deps=("models/methods/x.py",)),
        stage("train@b", "consolidate@d", deps=("models/methods/y.py",)),
        stage("evaluate@a", "train@a"),
        stage("evaluate@b", "train@b"),
        stage("report@p", "evaluate@a", "evaluate@b"),
    )
)


def test_upstream_of_two_runs_names_what_they_share_once_and_first():
    found = GRAPH.upstream(["evaluate@b", "evaluate@a"])
    assert found == ["fetch@d", "consolidate@d", "train@a", "train@b", "evaluate@a", "evaluate@b"]
    assert GRAPH.upstream(["evaluate@a"]) == ["fetch@d", "consolidate@d", "train@a", "evaluate@a"]


def test_downstream_keeps_one_kind_of_stage():
    assert GRAPH.downstream(["train@a"], kind="report") == ["report@p"]
    assert GRAPH.downstream(["fetch@d"], kind="evaluate") == ["evaluate@a", "evaluate@b"]


def test_runs_of_a_method_are_those_whose_training_reads_its_file():
    assert GRAPH.reading("models/methods/x.py", kind="train") == ["train@a"]


def test_an_unknown_stage_is_answered_with_the_nearest():
    with pytest.raises(LookupError, match=r"no stage 'evaluate@c'; nearest: evaluate@"):
        GRAPH.upstream(["evaluate@c"])


def test_only_a_stage_that_says_so_is_tried_again():
    def trouble(error):
        run = TaskRun(task_key="repro", dynamic_key="0")
        return dvc.network_trouble(None, run, Failed(message="x", data=error))

    assert trouble(StageFailedError("no route", dvc.TRY_AGAIN))
    assert not trouble(StageFailedError("sha256 differs", 1))
    assert not trouble(ValueError("a bug"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_workspace.make(tmp_path_factory.mktemp("workspace") / "small")


@pytest.fixture
def workspace(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", small_workspace.environment()["PATH"])
    # as Prefect may leave it: in this folder a file is called dvc.py
    monkeypatch.setenv("PYTHONPATH", str(folder / "pipelines"))
    with Workspace.open() as opened:
        yield opened


def repro(workspace, name):
    log: list[str] = []
    return workspace.repro(name, log.append), log


def test_stages_run_once_are_then_unchanged_and_come_back_from_the_run_cache(workspace, folder):
    assert workspace.graph.upstream(["evaluate@one"]) == STAGES_OF_ONE
    outcomes = [repro(workspace, name) for name in STAGES_OF_ONE]
    assert [outcome for outcome, _ in outcomes] == ["ran"] * 5
    assert "training one" in outcomes[3][1]
    assert [line for line in outcomes[3][1] if line.startswith("step")] == ["step 0"]
    assert not any("training" in line for _, log in outcomes[:3] for line in log)

    assert [repro(workspace, name)[0] for name in STAGES_OF_ONE] == ["unchanged"] * 5
    (folder / "data/runs/one").unlink()
    (folder / "dvc.lock").unlink()
    # DVC keeps no run of a stage whose output persists
    assert [repro(workspace, name)[0] for name in STAGES_OF_ONE] == ["ran", "ran", "restored", "restored", "restored"]


def test_a_failing_stage_quotes_its_log_and_its_exit_code(workspace):
    for name in STAGES_OF_ONE[:3]:
        workspace.repro(name, print)
    with pytest.raises(
        StageFailedError, match=r"(?s)train@broken: .*exited with 3.*NanError.*Alone: dvc repro train@broken"
    ) as failure:
        workspace.repro("train@broken", print)
    assert failure.value.exit_code == 3
    assert repro(workspace, "fetch@small")[0] == "unchanged"  # the process goes on


def test_a_remote_that_takes_nothing_is_said_and_the_process_goes_on(workspace, folder):
    (folder / "data/features/small").unlink(missing_ok=True)
    (folder / "dvc.lock").unlink(missing_ok=True)
    workspace.repro("fetch@small", print)
    local = folder / ".dvc" / "config.local"
    local.write_text(f"[core]\n    remote = lab\n['remote \"lab\"']\n    url = {folder / 'train.py' / 'below-a-file'}\n")
    try:
        with Workspace.open(share=True) as sharing:
            with pytest.raises(
                StageFailedError, match=r"consolidate@small: it ran, but the DVC remote did not take it: .*Not a dir"
            ):
                sharing.repro("consolidate@small", print)
            # it did run, and no remote has it: until one takes it, that is a failure
            with pytest.raises(StageFailedError, match="did not take it"):
                sharing.repro("consolidate@small", print)
            local.write_text(f"[core]\n    remote = lab\n['remote \"lab\"']\n    url = {folder / 'lab'}\n")
            assert sharing.repro("consolidate@small", print) == "unchanged"
            assert [path for path in (folder / "lab").rglob("*") if path.is_file()]
    finally:
        local.unlink()


def test_dvc_yaml_edited_while_open_is_read_anew(workspace, folder):
    text = (folder / "dvc.yaml").read_text()
    try:
        (folder / "dvc.yaml").write_text(text.replace("[centres]", "[centres, more]"))
        assert "dictionary@more" in workspace.read_graph().upstream(["dictionary@more"])
    finally:
        (folder / "dvc.yaml").write_text(text)


def test_outside_a_dvc_workspace_the_error_says_so(tmp_path, monkeypatch):
    (tmp_path / "pipelines").symlink_to(small_workspace.ROOT / "pipelines")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StageFailedError, match=r"DVC: .*not inside of a DVC repository"):
        Workspace.open()


def test_when_the_flow_dies_its_stage_ends_too(folder):
    (folder / "slow.yaml").unlink(missing_ok=True)
    flow = (
        "import os, sys, threading; from pipelines.dvc import Workspace; w = Workspace.open();"
        "w._process.stdin.write(b''); print(w._process.pid, flush=True);"
        "threading.Timer(1, lambda: os._exit(9)).start(); w.repro('slow', print)"
    )
    text = (folder / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(text + "  slow:\n    cmd: sleep 300\n")
    try:
        died = subprocess.run([sys.executable, "-c", flow], cwd=folder, env=small_workspace.environment(), capture_output=True)
    finally:
        (folder / "dvc.yaml").write_text(text)
    assert died.returncode == 9
    group = int(died.stdout.split()[0])
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the stage's command still runs")


def test_files_that_no_remote_keeps_are_fetched_again_where_they_are_missing(workspace, folder, tmp_path):
    for name in STAGES_OF_ONE:
        workspace.repro(name, print)
    (folder / "data/raw/small").unlink()  # as in a clone that has dvc.lock from git
    local = folder / ".dvc" / "config.local"
    local.write_text(f"[core]\n    remote = lab\n['remote \"lab\"']\n    url = {tmp_path / 'lab'}\n")
    try:
        with Workspace.open(share=True) as sharing:
            assert sharing.repro("fetch@small", print) == "ran"
    finally:
        local.unlink()
    assert (folder / "data/raw/small").is_file()
