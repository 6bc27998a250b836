"""Machines with a workspace each under one server: what the tests of several workers do with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import psutil

from tests.pipelines import prefect_server, small_workspace

# the training of a run named in the file `slow` waits for a minute: time enough to lose the worker or to cancel
SLOW = """
import pathlib, sys, time
if pathlib.Path("slow").exists() and pathlib.Path("slow").read_text() == sys.argv[1]:
    pathlib.Path("data/runs").mkdir(parents=True, exist_ok=True)
    pathlib.Path(f"data/runs/{sys.argv[1]}.partial").write_text("half")
    print("half way", flush=True)
    time.sleep(300)
"""


def git(folder, *arguments):
    named = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *named, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def published(folder):
    """The workspace as a git repository with its first commit, for the machines to clone."""
    small_workspace.dvc(folder, "config", "core.no_scm", "false")
    (folder / ".gitignore").write_text("/.dvc/cache/\n/.dvc/tmp/\n/data/\n__pycache__/\nslow\n*.log\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "First")
    return folder


def worker(server, folder):
    return prefect_server.process(folder, "worker.log", server, "worker", "start", "--pool", "gpu", "--limit", "1")


def submit(server, folder, runs, **more):
    parameters = {"runs": runs, "share": True} | more
    started = server.command(folder, "deployment", "run", "experiment/gpu", "--params", json.dumps(parameters))
    assert started.returncode == 0, started.stdout + started.stderr
    return server.ask("/flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 1})[0]["id"]


def wait(what, message, seconds=240):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, message()
        time.sleep(0.5)
    return found


def ended(server, run):
    def state():
        (found,) = server.ask("/flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return found if found["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None

    return wait(state, lambda: f"run {run} did not end")


def complete(server, run):
    found = ended(server, run)
    assert found["state_type"] == "COMPLETED", found["state"]["message"]


def outcomes(server, run):
    return {task["name"]: task["state_name"] for task in server.tasks(run)}


def inside(folder):
    """Processes that work in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder.resolve()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def lose(folder):
    """The machine is gone: every process of the workspace at once, no goodbye."""
    for process in inside(folder):
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def half_way(folder):
    wait((folder / "data/runs/two.partial").exists, lambda: (folder / "worker.log").read_text()[-3000:])
