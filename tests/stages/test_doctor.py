"""What the doctor finds on machines that lack something, and its advice."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages import doctor
from tests.hub_process import running_hub

REPOSITORY = Path(__file__).parents[2]


def test_old_python_is_a_problem():
    assert doctor.check_python((3, 10, 14)).state == "problem"
    assert doctor.check_python((3, 11, 0)).state == "ok"
    assert doctor.check_python((4, 0, 0)).state == "ok"


def test_packages_are_compared_with_the_lock_file(tmp_path):
    lock = tmp_path / "requirements.lock"
    pytest_version = importlib.metadata.version("pytest")
    lock.write_text(f"# comment\npytest=={pytest_version}\nnumpy=={importlib.metadata.version('numpy')}  # why\n")
    assert doctor.check_packages(lock).text == "all 2 of requirements.lock"
    lock.write_text(f"pytest==0.1\nno-such-package==1.0\nhypothesis=={importlib.metadata.version('hypothesis')}\n")
    finding = doctor.check_packages(lock)
    assert finding.state == "problem"
    assert (
        finding.text == f"2 of 3 differ from requirements.lock: pytest is {pytest_version}, not 0.1, no-such-package is missing"
    )
    assert "make setup" in finding.advice


def test_cpu_and_gpu_builds_of_one_version_are_that_version(tmp_path):
    lock = tmp_path / "requirements.lock"
    version = importlib.metadata.version("torch").split("+")[0]
    lock.write_text(f"torch=={version}\n")
    assert doctor.check_packages(lock).state == "ok"


def test_missing_lock_file_means_the_wrong_folder(tmp_path):
    assert "root of the repository" in doctor.check_packages(tmp_path / "requirements.lock").advice


def test_disk_is_measured_where_data_will_be(tmp_path):
    assert doctor.check_disk(tmp_path / "not/yet/there", 0.0).state == "ok"
    finding = doctor.check_disk(tmp_path, 1e9)
    assert finding.state == "problem"
    assert "1000000000.0 GB asked for" in finding.text


def test_stanza_models_are_looked_for_part_by_part(tmp_path):
    for part in ("tokenize", "pos", "lemma"):
        (tmp_path / "en" / part).mkdir(parents=True)
        (tmp_path / "en" / part / "combined.pt").write_bytes(b"")
    finding = doctor.stanza_models(tmp_path)
    assert finding.state == "note"
    assert "missing: depparse" in finding.text
    assert "stanza.download('en')" in finding.advice
    (tmp_path / "en/depparse").mkdir()
    (tmp_path / "en/depparse/combined.pt").write_bytes(b"")
    assert doctor.stanza_models(tmp_path).state == "ok"


def test_dvc_remotes_are_listed_and_missing_ones_named(tmp_path):
    assert doctor.check_dvc(tmp_path).state == "problem"
    quiet = {"cwd": tmp_path, "check": True, "capture_output": True}
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm"], **quiet)
    assert doctor.check_dvc(tmp_path).text == "none, results stay on this machine"
    subprocess.run([sys.executable, "-m", "dvc", "remote", "add", "-d", "shared", str(tmp_path / "remote")], **quiet)
    finding = doctor.check_dvc(tmp_path)
    assert finding.state == "note"
    assert "which is not there" in finding.text
    (tmp_path / "remote").mkdir()
    assert doctor.check_dvc(tmp_path).state == "ok"


def hub_finding(**more: str) -> str:
    """check_hub in a process of its own, since the client reads its settings when it is imported."""
    code = "from stages.doctor import *; print(line(check_hub()))"
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("HF_")}, **more}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True
    ).stdout


def test_hub_is_asked_and_the_token_tried(tmp_path):
    home = {"HF_HOME": str(tmp_path)}
    with running_hub(tmp_path) as hub:
        hub.restrict("datasets/owner/name", "hf_good")
        endpoint = {"HF_ENDPOINT": hub.endpoint, **home}
        assert hub_finding(**endpoint).startswith(f"ok       Hub            {hub.endpoint} answers, no token")
        assert "answers, token of tester" in hub_finding(HF_TOKEN="hf_good", **endpoint)
        refused = hub_finding(HF_TOKEN="hf_bad", **endpoint)
        assert refused.startswith("problem  Hub")
        assert "hf_bad" not in refused
    assert hub_finding(**endpoint).startswith(f"note     Hub            {hub.endpoint} cannot be reached")
    assert "HF_HUB_OFFLINE is set" in hub_finding(HF_HUB_OFFLINE="1", **endpoint)


def test_every_line_of_the_command_names_a_state_and_the_exit_code_counts_problems(capsys):
    code = doctor.main(["--need-gb", "0"])
    lines = capsys.readouterr().out.splitlines()
    states = [line.split()[0] for line in lines[:-1] if not line.lstrip().startswith("->")]
    assert set(states) <= {"ok", "note", "problem"}
    assert code == (1 if "problem" in states else 0)
    assert lines[-1].startswith("Ready." if code == 0 else f"{states.count('problem')} problem(s): ")


def test_a_python_without_the_packages_is_told_to_set_up_and_gets_no_traceback():
    command = [sys.executable, "-S", "-m", "stages.doctor", "--need-gb", "0"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert not done.stderr
    *lines, last = done.stdout.splitlines()
    assert any(line.startswith("problem  Hub") and "No module named" in line for line in lines)
    assert "packages are missing or differ in" in last
    assert "`make setup`" in last


def test_what_is_wrong_in_the_params_file_is_a_problem(tmp_path):
    params = (REPOSITORY / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(params.replace("    report: demo\n", "    report: dmeo\n", 1))
    finding = doctor.check_params(tmp_path)
    assert finding.state == "problem"
    assert "no report 'dmeo'; did you mean 'demo'?" in finding.text


def test_help_says_what_is_looked_at(capsys):
    with pytest.raises(SystemExit) as done:
        doctor.main(["--help"])
    assert done.value.code == 0
    assert all(part in capsys.readouterr().out for part in ["writes  nothing"])
