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


def test_the_set_up_puts_the_door_into_the_environment():
    assert "-m stages.commands" in (ROOT / "Makefile").read_text()
