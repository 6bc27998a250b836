"""The front door names what is there, and opens it."""

import re
import subprocess
import sys

import pytest

from stages import commands, describe, evaluate, import_checkpoint, predict, report

ROOT = commands.HERE.parent


def doflow(*arguments):
    return subprocess.run([sys.executable, "-m", "stages.commands", *arguments], cwd=ROOT, capture_output=True, text=True)


def test_every_stage_and_every_target_has_a_line():
    said = doflow("--help").stdout
    stages = {path.stem for path in commands.HERE.glob("*.py")} - set(commands.NO_COMMANDS)
    assert {"fetch", "train", "doctor", "score"} <= stages
    for name in stages:
        assert re.search(rf"^  {name} +\S.{{10,}}$", said, re.MULTILINE), name
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split()
    assert set(phony) == set(commands.targets()), "every target has a line of help"


def test_a_command_runs_as_its_module_does():
    shown = doflow("describe", "--help")
    assert shown.returncode == 0
    assert "artefact" in shown.stdout
    assert doflow("describe", "nowhere").returncode == 2


@pytest.mark.parametrize(("typed", "meant"), [("trian", "train"), ("scor", "score")])
def test_a_misspelt_command_is_answered_with_the_nearest(typed, meant):
    answer = doflow(typed)
    assert answer.returncode == 2
    assert f"did you mean '{meant}'?" in answer.stderr


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (evaluate.main, "--name nothing --run r --samples s --features f --results o --page p.json"),
        (report.main, "--name nothing --pages p --out o"),
        (import_checkpoint.main, "--method igv --checkpoint c --out o --config params.yaml --run nothing"),
        (predict.main, "--run nothing --dataset d --split s --out p.jsonl"),
        (describe.main, "nothing"),
    ],
)
def test_a_mistake_ends_every_command_alike(main, arguments, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(arguments.split()) == 2
    assert re.match(r"(Params|Run|Describe)Error: .*nothing", capsys.readouterr().err)


def test_what_is_like_no_command_is_answered_with_all_of_them():
    said = doflow("xyz").stderr
    assert said.startswith("doflow: no command 'xyz'; there are audit, consolidate, ")
    assert said.endswith("world. `doflow` alone says what each does.\n")


def test_usage_is_that_of_the_door_and_names_the_target_of_dvc():
    without = doflow("train")
    assert without.returncode == 2
    assert without.stderr.startswith("usage: doflow train ")
    assert without.stderr.endswith("dvc repro train@NAME, an entry of runs\n")
    assert "dvc repro train@NAME" in doflow("train", "--help").stdout
    assert "dvc repro" not in doflow("describe").stderr, "no stage of DVC"
    assert set(commands.run_by_dvc()) <= set(commands.commands())


def make(*arguments):
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True)


def executable(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def test_the_door_that_the_set_up_makes_opens_from_any_folder(tmp_path):
    executable(tmp_path / "bin/python", f'exec {sys.executable} "$@"')
    (tmp_path / ".ready").touch()
    made = make(f"VENV={tmp_path}", f"{tmp_path}/bin/doflow")
    assert made.returncode == 0, made.stderr
    (tmp_path / "elsewhere").mkdir()

    def door(*arguments):
        command = [tmp_path / "bin/doflow", *arguments]
        return subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True)

    assert "  describe " in door().stdout
    described = door("describe", "nowhere")
    assert described.returncode == 2
    assert "nowhere" in described.stderr
    assert "Traceback" not in described.stderr
    text = (tmp_path / "bin/doflow").read_text()
    (tmp_path / "bin/doflow").write_text(text.replace(str(ROOT), "/moved"))
    lost = door("describe")
    assert lost.returncode == 2
    assert lost.stderr == "doflow: the repository is no longer in /moved; call it from its root, or make setup there\n"


def test_a_missing_interpreter_is_told_from_an_old_one(tmp_path):
    missing = make("setup", f"VENV={tmp_path / 'venv'}", "PYTHON=/nonexistent/python")
    assert missing.returncode == 2
    assert "there is no /nonexistent/python; " in missing.stdout
    executable(tmp_path / "python", '[ "$1" = --version ] && echo Python 3.9.1 && exit 0', "exit 1")
    old = make("setup", f"VENV={tmp_path / 'venv'}", f"PYTHON={tmp_path / 'python'}")
    assert f"doflow needs Python 3.11 or newer, and {tmp_path / 'python'} is Python 3.9.1; " in old.stdout
    assert not (tmp_path / "venv").exists()
