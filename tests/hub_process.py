"""The test Hub in another process, and how a test talks to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class RunningHub:
    """A Hub in another process, seen from a test."""

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.endpoint = root, f"http://127.0.0.1:{port}"

    def put(self, repository: str, files: dict[str, bytes], kind: str = "datasets") -> None:
        """Write (or replace) files of a repository; "owner/name@v1" is another revision of owner/name."""
        for name, content in files.items():
            path = self.root / kind / repository / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def fault(self, fault: str, **settings: object) -> None:
        self._call("POST", "faults", {"fault": fault, **settings})

    def calm(self) -> None:
        """No faults any more, and an empty log."""
        self._call("DELETE", "faults")
        self._call("DELETE", "log")

    def restrict(self, repository: str, token: str, *, gated: bool = False) -> None:
        self._call("POST", "access", {"repository": repository, "token": token, "gated": gated})

    def log(self, *operations: str) -> list[dict[str, Any]]:
        entries = self._call("GET", "log")
        return [entry for entry in entries if not operations or entry["operation"] in operations]

    def _call(self, method: str, what: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/control/{what}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


@contextlib.contextmanager
def running_hub(root: Path) -> Iterator[RunningHub]:
    """Start the server over `root` in another process; it ends with the block."""
    with tempfile.TemporaryDirectory() as scratch:
        port_file = Path(scratch) / "port"
        command = [sys.executable, "-m", "tests.hub_server", "--root", str(root), "--port-file", str(port_file)]
        process = subprocess.Popen(command, cwd=Path(__file__).parents[1])
        try:
            deadline = time.monotonic() + 60
            while not port_file.is_file():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the test Hub did not start (exit code {process.poll()})")
                time.sleep(0.02)
            yield RunningHub(root, int(port_file.read_text()))
        finally:
            process.terminate()
            process.wait(30)
