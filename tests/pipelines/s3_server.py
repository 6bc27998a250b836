"""An S3-compatible server on loopback (moto, Apache-2.0) that keeps everything in memory and ends with the test."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

ABSENT = [name for name in ("dvc_s3", "moto", "flask") if importlib.util.find_spec(name) is None]
REASON = f"not installed: {', '.join(ABSENT)} (pip install -e '.[s3-test]')"
PATIENCE = 60.0  # seconds
NOBODY = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def bucket(folder: Path, name: str = "lab"):
    """Start a server with one empty bucket; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = folder / "s3.log"
    with log.open("wb") as sink:
        running = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **NOBODY},
            start_new_session=True,
        )
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.put(f"{url}/{name}", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                if running.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"the S3 server did not start:\n{log.read_text()[-3000:]}") from None
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def objects(url: str, name: str = "lab") -> list[str]:
    """Keys in the bucket."""
    reply = httpx.get(f"{url}/{name}?list-type=2", timeout=30)
    reply.raise_for_status()
    return [part.partition("</Key>")[0] for part in reply.text.split("<Key>")[1:]]
