"""Every module imports alone: nothing leans on what another module happened to import first."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NO_STAGES = ("params", "commands")  # the front door, `doflow`, has tests of its own
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem not in NO_STAGES)


def test_every_module_imports_in_a_process_of_its_own():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for top in ("models", "stages", "pipelines")
        for path in sorted((ROOT / top).rglob("*.py"))
    ]
    program = (
        "import importlib, os, sys\n"
        "import torch, numpy  # the heavy libraries once; project modules are imported in forks of this process\n"
        "failed = []\n"
        "for name in sys.argv[1:]:\n"
        "    if (child := os.fork()) == 0:\n"
        "        try:\n"
        "            importlib.import_module(name)\n"
        "        except BaseException as error:\n"
        "            print(f'{name}: {type(error).__name__}: {error}', flush=True)\n"
        "            os._exit(1)\n"
        "        os._exit(0)\n"
        "    if os.waitpid(child, 0)[1]:\n"
        "        failed.append(name)\n"
        "sys.exit(bool(failed))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *names], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_explains_itself_with_an_example(stage):
    done = subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert f"python -m stages.{stage}" in done.stdout, "the help text lacks an example command"


@pytest.mark.parametrize("stage", ["world", "fetch", "consolidate", "report"])
def test_stages_that_compute_nothing_with_it_start_without_pytorch(stage):
    """It takes two seconds of a stage that may have half a second of work."""
    program = (
        f"import sys, stages.{stage}; from stages.params import load_params; load_params(methods=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
