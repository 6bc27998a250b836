"""Stages one after the other in one process."""

import subprocess
import sys

import pytest

from stages.auditing.steps import chained_command, main


def test_steps_are_run_in_order_until_one_fails(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("def main(argv):\n    print('one', *argv)\n")
    (tmp_path / "two.py").write_text("def main(argv):\n    print('two', *argv)\n    return 3\n")
    command = [sys.executable, *chained_command([("one", "--name", "a"), ("two",), ("one", "never")])]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (3, ["one", "--name", "a", "two"])


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [("0", 0, ["one", "two"]), ("None", 0, ["one", "two"]), ("4", 4, ["one"]), ("'no such file'", 1, ["one"])],
)
def test_a_step_that_ends_the_process_ends_itself_only(tmp_path, monkeypatch, ending, code, told):
    (tmp_path / "one.py").write_text(f"import sys\ndef main(argv):\n    print('one')\n    sys.exit({ending})\n")
    (tmp_path / "two.py").write_text("def main(argv):\n    print('two')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, *chained_command([("one",), ("two",)])], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (code, told)
    assert done.stderr.strip() == ("no such file" if code == 1 else "")


def test_nothing_to_do_is_no_failure():
    assert main([]) == 0
