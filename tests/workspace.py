"""A DVC workspace of its own for tests and rehearsals: this repository's code and graph with other numbers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
CODE = ("models", "stages", "dvc.yaml", ".dvcignore", ".dvc/plots")
BIN = Path(sys.executable).parent


def prepare(work: Path, params: dict[str, Any], code: Path = ROOT) -> Path:
    """Copy the code, write params.yaml, make it a DVC workspace without git; what was computed there before is kept."""
    work.mkdir(parents=True, exist_ok=True)
    if not (work / ".dvc").exists():
        dvc(work, "init", "--no-scm", "--quiet")
        for key, value in (("core.analytics", "false"), ("core.check_update", "false"), ("cache.type", "reflink,hardlink,copy")):
            dvc(work, "config", key, value)
    for name in CODE:
        source, target = code / name, work / name
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    write_params(work, params)
    return work


def git_repository(work: Path) -> None:
    """An empty DVC workspace under git, with one commit."""
    work.mkdir(parents=True)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "-m", "First")):
        subprocess.run([*git, *command], cwd=work, check=True)
    dvc(work, "init", "--quiet")
    dvc(work, "config", "core.analytics", "false")


def write_params(work: Path, params: dict[str, Any]) -> None:
    """params.yaml of the workspace."""
    (work / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def environment(**more: str) -> dict[str, str]:
    """The environment of a stage: this interpreter's commands first, one thread per process."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", **more}


def dvc(work: Path, *arguments: str, **more: str) -> str:
    """Run dvc in the workspace and return what it printed.

    Raises CalledProcessError, with the output as a note, when it fails.
    """
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=work, env=environment(**more), capture_output=True, text=True, check=False)
    if done.returncode:
        error = subprocess.CalledProcessError(done.returncode, command)
        error.add_note(done.stdout + done.stderr)
        raise error
    return done.stdout
