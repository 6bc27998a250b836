"""Two workers with a workspace each, one DVC remote: work is shared, a lost worker's part is taken over, cancelling is clean."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from tests.pipelines import prefect_server, s3_server, small_workspace
from tests.pipelines.two_machines import (
    SLOW,
    complete,
    ended,
    git,
    half_way,
    inside,
    lose,
    outcomes,
    published,
    submit,
    wait,
    worker,
)

pytestmark = pytest.mark.slow


@pytest.fixture(
    scope="module",
    params=["folder", pytest.param("s3", marks=pytest.mark.skipif(bool(s3_server.ABSENT), reason=s3_server.REASON))],
)
def remote(request, tmp_path_factory):
    """Where stages are shared: its address, and what else dvc has to be told."""
    folder = tmp_path_factory.mktemp("remote")
    if request.param == "folder":
        yield str(folder), {}
        return
    with pytest.MonkeyPatch.context() as patch, s3_server.bucket(folder) as url:
        for name, value in s3_server.NOBODY.items():
            patch.setenv(name, value)
        yield "s3://lab/doflow", {"endpointurl": url}


@pytest.fixture(scope="module")
def origin(tmp_path_factory, remote):
    """The repository that both workers clone; its first commit trains, its second trains better."""
    base = tmp_path_factory.mktemp("lab")
    folder = small_workspace.make(base / "origin")
    (folder / "train.py").write_text(SLOW + small_workspace.TRAIN)
    address, settings = remote
    small_workspace.dvc(folder, "remote", "add", "-d", "lab", address)
    for name, value in settings.items():
        small_workspace.dvc(folder, "remote", "modify", "lab", name, value)
    return published(folder)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, origin):
    """A server, and two clones in which workers may start."""
    with prefect_server.server(tmp_path_factory.mktemp("prefect") / "home") as server:
        clones = []
        for name in ("a", "b"):
            git(origin.parent, "clone", "--quiet", str(origin), name)
            clones.append(origin.parent / name)
        for pool in ("cpu", "gpu"):
            assert server.command(origin, "work-pool", "create", pool, "--type", "process").returncode == 0
        assert server.command(origin, "deploy", "--all").returncode == 0
        yield server, *clones


def test_what_one_worker_ran_the_other_takes_from_the_remote_and_a_lost_worker_is_replaced(lab):
    server, a, b = lab
    with ExitStack() as stack:
        stack.enter_context(worker(server, a))
        first = submit(server, a, ["one"])
        complete(server, first)
        assert set(outcomes(server, first).values()) == {"Ran"}

        (a / "slow").write_text("two")
        lost = submit(server, a, ["two"])
        half_way(a)
        lose(a)
    assert inside(a) == []
    assert server.command(b, "flow-run", "cancel", lost).returncode == 0  # nobody else knows that it is lost

    with worker(server, b):
        again = submit(server, b, ["one", "two"])
        complete(server, again)
    found = outcomes(server, again)
    assert {name for name, state in found.items() if state == "Ran"} == {
        "fetch@small",  # what goes on from earlier work is no work to share
        "consolidate@small",
        "train@two",
        "evaluate@two",
    }
    assert found["train@one"] == found["evaluate@one"] == "Cached"
    assert (b / "data/runs/two").read_text() == "two"


def test_cancelling_leaves_no_process_and_the_next_run_completes(lab):
    server, _, b = lab
    (b / "slow").write_text("two")
    (b / "data/runs/two.partial").unlink(missing_ok=True)
    code = (b / "train.py").read_text()
    (b / "train.py").write_text(code + "\n# another edition\n")
    with worker(server, b):
        quiet = {process.pid for process in wait(lambda: inside(b), lambda: "no worker")}
        run = submit(server, b, ["two"])
        half_way(b)
        assert server.command(b, "flow-run", "cancel", run).returncode == 0
        assert ended(server, run)["state_type"] == "CANCELLED"

        def left():
            return [process for process in inside(b) if process.pid not in quiet and "worker" not in process.cmdline()]

        wait(lambda: not left(), lambda: f"still there: {[process.cmdline() for process in left()]}", 60)
        (b / "slow").unlink()
        again = submit(server, b, ["two"])
        complete(server, again)
    (b / "train.py").write_text(code)
    assert outcomes(server, again)["train@two"] == "Ran"


def test_a_run_takes_the_code_at_its_commit(lab, origin):
    server, _, b = lab
    old = git(origin, "rev-parse", "HEAD")
    (origin / "evaluate.py").write_text(small_workspace.EVALUATE.replace("51.5", "61.5"))
    git(origin, "commit", "--quiet", "-am", "A better second")
    new = git(origin, "rev-parse", "HEAD")
    values = []
    with worker(server, b):
        for commit in (new, old):
            run = submit(server, b, ["one"], commit=commit)
            complete(server, run)
            values.append(json.loads((b / "data/results/one.json").read_text())["iid"]["mAP"])
        unknown = ended(server, submit(server, b, ["one"], commit="0" * 40))
    assert values == [61.5, 51.5]
    assert unknown["state_type"] == "FAILED"
    assert f"no commit {'0' * 40} in this clone" in unknown["state"]["message"]


def test_the_pool_of_gpus_runs_no_more_than_it_has(lab):
    """Two workers, one GPU in all: the second run waits."""
    server, a, b = lab
    assert server.command(b, "work-pool", "set-concurrency-limit", "gpu", "1").returncode == 0
    (a / "slow").unlink(missing_ok=True)
    with worker(server, a), worker(server, b):
        runs = [submit(server, b, ["one"]) for _ in range(2)]
        found = [ended(server, run) for run in runs]
    assert [run["state_type"] for run in found] == ["COMPLETED"] * 2
    first, second = sorted(found, key=lambda run: run["start_time"])
    assert second["start_time"] >= first["end_time"]
