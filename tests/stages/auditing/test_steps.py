"""Stages one after the other in one process."""

import subprocess
import sys

from stages.auditing.steps import joined, main


def test_steps_are_run_in_order_until_one_fails(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("def main(argv):\n    print('one', *argv)\n")
    (tmp_path / "two.py").write_text("def main(argv):\n    print('two', *argv)\n    return 3\n")
    command = [sys.executable, *joined([("one", "--name", "a"), ("two",), ("one", "never")])]
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split()) == (3, ["one", "--name", "a", "two"])


def test_nothing_to_do_is_no_failure():
    assert main([]) == 0
