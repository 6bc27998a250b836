"""Parts of a graph that share nothing are brought up to date at the same time, by real DVC processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.pipelines.small_workspace import ROOT, dvc

MEET = "import pathlib,sys,time; me, other = sys.argv[1:]; pathlib.Path(me + '.here').touch(); end = time.time() + 60\n"
MEET += "while not pathlib.Path(other + '.here').exists(): assert time.time() < end, 'alone'; time.sleep(0.05)\n"
MEET += "pathlib.Path(me).write_text(me)"


@pytest.fixture
def folder(tmp_path):
    """Two stages of which each waits for the other, and one that needs both."""
    (tmp_path / "meet.py").write_text(MEET)
    stages = {
        "second": {"cmd": "python meet.py second.txt first.txt", "outs": ["second.txt"]},
        "first": {"cmd": "python meet.py first.txt second.txt", "outs": ["first.txt"]},
        "both": {"cmd": "cat first.txt second.txt > both.txt", "deps": ["first.txt", "second.txt"], "outs": ["both.txt"]},
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    shutil.copytree(ROOT / "pipelines", tmp_path / "pipelines", ignore=shutil.ignore_patterns("__pycache__"))
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    dvc(tmp_path, "config", "core.analytics", "false")
    return tmp_path


def run(folder, *arguments):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "pipelines.side_by_side", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path})


def test_two_processes_work_at_the_same_time_and_the_target_ends_it(folder):
    done = run(folder, "both", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "both.txt").read_text() == "first.txtsecond.txt"
    assert list(yaml.safe_load((folder / "dvc.lock").read_text())["stages"]) == ["both", "first", "second"]
    lock = (folder / "dvc.lock").read_bytes()
    again = run(folder, "both")
    assert again.returncode == 0
    assert (folder / "dvc.lock").read_bytes() == lock
    assert "Running stage" not in again.stdout


def test_a_stage_that_fails_fails_the_whole(folder):
    (folder / "meet.py").write_text("raise SystemExit(3)")
    done = run(folder, "both")
    assert done.returncode != 0
    assert not (folder / "both.txt").exists()


def test_an_unknown_target_is_refused(folder):
    assert "no stage 'bath'" in run(folder, "bath").stderr


def test_one_process_takes_one_part_after_another(folder):
    (folder / "meet.py").write_text("import pathlib,sys; pathlib.Path(sys.argv[1]).write_text(sys.argv[1])")
    done = run(folder, "both", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "both.txt").read_text() == "first.txtsecond.txt"
