"""The server goes down in mid-flow and comes back: the stage at work is not disturbed, and its run completes."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

import pytest

from tests.pipelines import prefect_server, small_workspace
from tests.pipelines.two_machines import complete, outcomes, submit, wait, worker

pytestmark = pytest.mark.skipif("DOFLOW_FAULT_KILLS" not in os.environ, reason="long form: make test-faults")

# the training says that it has begun and waits until it may go on
HELD = """
import pathlib, time
pathlib.Path("begun").touch()
while pathlib.Path("hold").exists():
    time.sleep(0.2)
"""
DOWN = 3.0  # seconds without a server


def test_a_run_outlives_a_restart_of_the_server(tmp_path):
    folder = small_workspace.make(tmp_path / "workspace")
    (folder / "train.py").write_text(HELD + small_workspace.TRAIN)
    (folder / "hold").touch()
    home, port = tmp_path / "home", prefect_server.free_port()
    with ExitStack() as until_the_end:
        with prefect_server.server(home, port) as server:
            for pool in ("cpu", "gpu"):
                assert server.command(folder, "work-pool", "create", pool, "--type", "process").returncode == 0
            assert server.command(folder, "deploy", "--all").returncode == 0
            _, log = until_the_end.enter_context(worker(server, folder))
            run = submit(server, folder, ["one"], share=False)
            wait((folder / "begun").exists, lambda: log.read_text()[-3000:])
        time.sleep(DOWN)
        again = until_the_end.enter_context(prefect_server.server(home, port))
        (folder / "hold").unlink()
        complete(again, run)
        # states of tasks come as events of their own, which may lag behind the run's
        wait(lambda: set(outcomes(again, run).values()) == {"Ran"}, lambda: str(outcomes(again, run)), 60)
    assert (folder / "data/runs/one").read_text() == "one"
