"""pipelines/params_once.py: what it saves, and that nothing else differs."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

SHIM = Path(__file__).resolve().parents[2] / "pipelines" / "params_once.py"
STAGES = """\
stages:
  copy:
    foreach: ${runs}
    do:
      cmd: python -c "open('${key}.txt', 'w').write('${item.rate}')"
      params:
      - runs.${key}.rate
      - runs.${key}.widths
      outs:
      - ${key}.txt
"""
PARAMS = "runs:\n" + "".join(f"  run{number}: {{rate: 0.5, widths: [1, 2]}}\n" for number in range(4))
# counts how often DVC's YAML reader sees params.yaml while the command runs
COUNTING = """\
import site, sys
sys.meta_path[:] = [finder for finder in sys.meta_path if finder.__module__ != "doflow_params_once"]  # the environment's own
sys.modules.pop("doflow_params_once", None)
if sys.argv[1] != "-":
    sys.path.insert(0, sys.argv[1])  # before the environment's own copy
    site.addsitedir(sys.argv[1])
import dvc.utils.serialize._common as common
seen, load = [], common._load_data
def counting(path, *rest, **named):
    seen.append(str(path))
    return load(path, *rest, **named)
for module in ("_yaml", "_common"):
    __import__(f"dvc.utils.serialize.{module}")
    setattr(sys.modules[f"dvc.utils.serialize.{module}"], "_load_data", counting)
parses, yaml = [], sys.modules["dvc.utils.serialize._yaml"]
parse = yaml.parse_yaml
def parsing(text, path, typ="safe"):
    parses.append(str(path).rpartition("/")[2])
    return parse(text, path, typ)
import dvc.utils.serialize
yaml.parse_yaml = dvc.utils.serialize.parse_yaml = parsing
from dvc.cli import main
code = main(sys.argv[2:])
print("reads", sum(path.endswith("params.yaml") for path in seen), parses.count("dvc.lock"))
sys.exit(code)
"""


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "workspace"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "params.yaml").write_text(PARAMS)
    dvc(folder, "-", "init", "--no-scm", "-q")
    return folder


@pytest.fixture
def packages(tmp_path):
    """A folder of packages into which the shim was put as `make setup` does."""
    folder = tmp_path / "packages"
    folder.mkdir()
    shutil.copy(SHIM, folder / "doflow_params_once.py")
    (folder / "doflow_params_once.pth").write_text("import doflow_params_once\n")
    return folder


def dvc(folder, packages, *arguments):
    """(output, times that params.yaml and dvc.lock were parsed) of a DVC command."""
    command = [sys.executable, "-c", COUNTING, str(packages), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    output, counts = done.stdout.rsplit("reads ", 1)
    return output, *map(int, counts.split())


def test_params_are_parsed_once_for_all_stages(workspace, packages):
    dvc(workspace, packages, "repro")
    output, reads, locks = dvc(workspace, packages, "repro")
    assert "up to date" in output
    _, plain, plain_locks = dvc(workspace, "-", "repro")
    assert plain - reads == 3  # four stages
    assert (locks, plain_locks) == (1, 2)


def test_a_changed_number_is_seen_and_names_its_stage_alone(workspace, packages):
    dvc(workspace, packages, "repro")
    (workspace / "params.yaml").write_text(PARAMS.replace("run2: {rate: 0.5", "run2: {rate: 0.7"))
    status, *_ = dvc(workspace, packages, "status")
    assert status == dvc(workspace, "-", "status")[0]
    assert "runs.run2.rate" in status
    assert "run1" not in status
    dvc(workspace, packages, "repro")
    assert (workspace / "run2.txt").read_text() == "0.7"
    lock = (workspace / "dvc.lock").read_bytes()
    (workspace / "dvc.lock").unlink()
    dvc(workspace, "-", "repro")
    assert (workspace / "dvc.lock").read_bytes() == lock


def test_a_key_that_is_missing_is_reported_as_dvc_does(workspace, packages):
    (workspace / "params.yaml").write_text(PARAMS)
    dvc(workspace, packages, "repro")
    (workspace / "params.yaml").write_text(PARAMS.replace("run3: {rate: 0.5, widths: [1, 2]}", "run3: {rate: 0.5}"))
    status, *_ = dvc(workspace, packages, "status")
    assert status == dvc(workspace, "-", "status")[0]
    assert "runs.run3.widths" in status


@pytest.mark.parametrize("value", [{"a": [1, 1.5, None, True]}, {1: "a key that is no text"}, {"a": date(2026, 11, 21)}])
def test_every_caller_gets_what_was_parsed_as_its_own(value, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))  # the file hooks itself into imports
    module = SimpleNamespace(parse_yaml=lambda _text, _path, typ="safe": value if typ == "safe" else typ)
    runpy.run_path(str(SHIM))["parse_once"](module)
    first, second = (module.parse_yaml("a: 1", "x.yaml") for _ in range(2))
    assert first == second == value
    assert module.parse_yaml("a: 1", "x.yaml", typ="rt") == "rt"
    assert module.parse_yaml("b: 1", "x.yaml") == value  # another text in its place
    if isinstance(value.get("a"), list):
        first["a"].append(2)
        assert module.parse_yaml("a: 1", "x.yaml") == value
