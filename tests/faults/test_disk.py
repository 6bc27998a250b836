"""A disk that is full, read-only or somebody else's; clocks that jump; two runs at once: said clearly, nothing half made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests import workspace
from tests.faults import line

pytestmark = pytest.mark.slow
NOBODY = 65534


@contextmanager
def tmpfs(folder, options):
    """A file system of its own at `folder`; skips where mounting is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting a small file system is not allowed here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """World, raw files, samples and stores of a small world."""
    folder = workspace.prepare(tmp_path_factory.mktemp("disk") / "work", line.params())
    workspace.dvc(folder, "repro", "consolidate@planted")
    return folder


def stage(work, name, *arguments, **options):
    command = [sys.executable, "-m", f"stages.{name}", *arguments]
    return subprocess.run(command, cwd=work, env=workspace.environment(), capture_output=True, text=True, **options)


# stage -> what it is called with; OUT is where it writes
STAGES = {
    "world": ("--name", "demo", "--out", "OUT/demo"),
    "fetch": ("--name", "planted", "--out", "OUT/planted"),
    "consolidate": (
        *("--name", "planted", "--raw", "data/raw/planted"),
        *("--samples", "OUT/samples/planted", "--features", "OUT/features/planted"),
    ),
    "dictionary": (
        *("--name", "planted-video", "--samples", "data/samples/planted", "--features", "data/features/planted"),
        *("--raw", "data/raw/planted", "--out", "OUT/planted-video.npz"),
    ),
}
SAYS = re.compile(r"no space left|free on that disk|read-only file system|permission denied", re.IGNORECASE)


def called(name, out):
    return [argument.replace("OUT", str(out)) for argument in STAGES[name]]


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", STAGES)
def test_a_full_disk_is_said_and_the_stage_completes_once_there_is_room(name, work, tmp_path):
    out = tmp_path / "disk"
    with tmpfs(out, "size=8k" if name == "dictionary" else "size=48k"):
        done = stage(work, name, *called(name, out))
        assert done.returncode not in (0, -9), done.stderr
        assert SAYS.search(done.stderr), done.stderr
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=256m", str(out)], check=True)
        again = stage(work, name, *called(name, out))
        assert again.returncode == 0, again.stderr
        found = content(out)
    whole = tmp_path / "whole"
    assert stage(work, name, *called(name, whole)).returncode == 0
    assert found == content(whole)


@pytest.mark.parametrize("name", STAGES)
def test_a_read_only_target_is_said(name, work, tmp_path):
    out = tmp_path / "disk"
    with tmpfs(out, "size=1m,ro"):
        done = stage(work, name, *called(name, out))
    assert done.returncode not in (0, -9)
    assert SAYS.search(done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", STAGES)
def test_a_target_of_somebody_else_is_said(name, work, tmp_path):
    if os.geteuid():
        (tmp_path / "theirs").mkdir(mode=0o500)
        more = {}
    else:
        for folder in (tmp_path, *tmp_path.parents[:2], *work.parents[:2]):
            folder.chmod(0o755)
        (tmp_path / "theirs").mkdir(mode=0o755)
        more = {"user": NOBODY, "extra_groups": []}
        try:
            subprocess.run([sys.executable, "-c", "import stages.params"], cwd=work, capture_output=True, check=True, **more)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("another user cannot run this Python")
    done = stage(work, name, *called(name, tmp_path / "theirs"), **more)
    assert done.returncode not in (0, -9)
    assert SAYS.search(done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_clocks_that_jump_change_no_byte(work, tmp_path):
    """Files from the last century and from the next one: what is made of them is the same."""
    raw = tmp_path / "raw"
    shutil.copytree(work / "data/raw/planted", raw)
    for number, path in enumerate(sorted(raw.rglob("*"))):
        moment = (1.0, 4_000_000_000.0)[number % 2]
        os.utime(path, (moment, moment))
    done = stage(
        work,
        "consolidate",
        "--name",
        "planted",
        "--raw",
        str(raw),
        "--samples",
        str(tmp_path / "s"),
        "--features",
        str(tmp_path / "f"),
    )
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "s") == content(work / "data/samples/planted")
    assert content(tmp_path / "f") == content(work / "data/features/planted")


def test_two_runs_at_once_in_one_workspace_end_as_one_would(work, tmp_path):
    both = workspace.prepare(tmp_path / "both", line.params(), code=work)
    command = [sys.executable, "-m", "dvc", "repro", "consolidate@planted"]
    running = [
        subprocess.Popen(
            command, cwd=both, env=workspace.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in running]
    failed = [text for process, text in zip(running, said, strict=True) if process.returncode]
    assert len(failed) < 2, said
    assert all("lock" in text or "busy" in text for text in failed), failed  # DVC says who is at work and what to do
    workspace.dvc(both, "repro", "consolidate@planted")
    assert content(both / "data/features/planted") == content(work / "data/features/planted")
