"""A real Prefect server, and a process worker, on loopback with a home of their own; everything ends with them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.pipelines import small_workspace

PREFECT = (sys.executable, "-m", "prefect")
PATIENCE = 120.0  # seconds; a loaded machine takes its time


class Server:
    """A running server: its environment for commands, and its HTTP interface."""

    def __init__(self, home: Path, port: int) -> None:
        self.api = f"http://127.0.0.1:{port}/api"
        self.environment = small_workspace.environment(
            PREFECT_HOME=str(home),
            PREFECT_API_URL=self.api,
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_WORKER_QUERY_SECONDS="1",
            PREFECT_LOGGING_TO_API_BATCH_INTERVAL="0.2",
        )

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """POST to the interface, e.g. ask("/flow_runs/filter")."""
        reply = httpx.post(f"{self.api}{path}", json=body or {}, timeout=30)
        reply.raise_for_status()
        return reply.json()

    def command(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `prefect ...` in a folder."""
        return subprocess.run(
            [*PREFECT, *arguments], cwd=folder, env=self.environment, capture_output=True, text=True, timeout=PATIENCE
        )

    def logs(self, task_run: str) -> list[str]:
        """Log lines of a task run, in order."""
        wanted = {"task_run_id": {"any_": [task_run]}}
        return [line["message"] for line in self.ask("/logs/filter", {"logs": wanted, "sort": "TIMESTAMP_ASC"})]

    def tasks(self, flow_run: str) -> list[dict[str, Any]]:
        """Task runs of a flow run, in the order in which they started."""
        found = self.ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [flow_run]}}})
        return sorted(found, key=lambda run: run["start_time"] or "")


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(home: Path, port: int | None = None):
    """Start a server and wait until it answers that it is healthy. With home and port of an earlier one it goes on for that."""
    port = port or free_port()
    started = Server(home, port)
    with process(home, "server.log", started, "server", "start", "--host", "127.0.0.1", "--port", str(port)) as (running, log):
        until = time.monotonic() + PATIENCE
        while True:
            try:
                if httpx.get(f"{started.api}/health", timeout=5).json() is True:
                    break
            except (httpx.HTTPError, ValueError):
                pass
            if running.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the Prefect server did not become healthy:\n{log.read_text()[-4000:]}")
            time.sleep(0.2)
        yield started


@contextmanager
def process(folder: Path, name: str, server: Server, *arguments: str):
    """A `prefect ...` process in a session of its own, ended with all its children."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / name
    with log.open("wb") as sink:
        running = subprocess.Popen(
            [*PREFECT, *arguments],
            cwd=folder,
            env=server.environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield running, log
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(running.pid, number)
                running.wait(timeout=20)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        running.wait()
