"""Cells: what is complete is kept, what was cut short goes on, what fails is told with its log."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stages.auditing.cells import AuditError, Cell, Running, other_cells, remove, run_cells

ROOT = Path(__file__).resolve().parents[3]
COUNT = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + 'x' if p.exists() else 'x')"


def cell(folder, variant="full", seed=0, digest="d", script=COUNT):
    place = folder / variant / str(seed)
    return Cell(
        variant=variant,
        seed=seed,
        folder=place,
        params="runs: {}\n",
        digest=digest,
        commands=(("-c", script, str(place / "out")),),
    )


def test_every_cell_is_worked_on_once_and_then_kept(tmp_path):
    cells = [cell(tmp_path, variant, seed) for variant in ("base", "full") for seed in (0, 1)]
    assert run_cells(cells, jobs=3, label="test") == 4
    assert run_cells(cells, jobs=1, label="test") == 0
    assert {(one.folder / "out").read_text() for one in cells} == {"x"}
    assert cells[0].folder.joinpath("params.yaml").read_text() == "runs: {}\n"
    assert not list(tmp_path.rglob("log.txt"))  # it contains timings: finished cells must be byte-identical


def test_a_cell_whose_results_are_gone_or_cut_short_is_not_complete(tmp_path):
    write = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{}')"
    one = replace(cell(tmp_path, script=write), results=("out", "out.json"))
    one = replace(one, commands=(*one.commands, ("-c", write, str(one.folder / "out.json"))))
    run_cells([one], jobs=1, label="test")
    assert one.is_complete
    (one.folder / "out.json").write_text('{"iid.IoU": 1')
    assert not one.is_complete
    assert run_cells([one], jobs=1, label="test") == 1
    (one.folder / "out").unlink()
    assert not one.is_complete


def test_commands_that_end_well_without_results_are_a_failure(tmp_path):
    with pytest.raises(AuditError, match=r"(?s)cell full/0: .*ended with 0, but .*metrics\.json is missing or cut short"):
        run_cells([replace(cell(tmp_path), results=("out", "metrics.json"))], jobs=1, label="test")
    assert not cell(tmp_path).is_complete


def test_a_process_that_started_while_all_were_ended_is_ended_too():
    running = Running()
    running.end()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    with running.holding(process):
        assert process.wait(timeout=30) == -signal.SIGTERM


def test_another_digest_makes_that_cell_anew_from_nothing(tmp_path):
    first, second = cell(tmp_path), cell(tmp_path, seed=1)
    run_cells([first, second], jobs=1, label="test")
    changed = replace(first, digest="other", params="runs: null\n")
    assert run_cells([changed, second], jobs=1, label="test") == 1
    assert (first.folder / "out").read_text() == "x"
    assert (first.folder / "params.yaml").read_text() == "runs: null\n"


def test_temporary_folders_are_deleted_when_the_cell_is_complete(tmp_path):
    one = replace(cell(tmp_path, script="import os, sys; os.makedirs(sys.argv[1])"), temporary=("out", "never there"))
    run_cells([one], jobs=1, label="test")
    assert one.is_complete
    assert not (one.folder / "out").exists()


def test_an_interrupted_cell_finds_its_own_files_again(tmp_path):
    one = replace(cell(tmp_path), commands=(*cell(tmp_path).commands, ("-c", "raise SystemExit(3)")))
    with pytest.raises(AuditError, match=r"cell full/0: .* ended with 3"):
        run_cells([one], jobs=1, label="test")
    assert not one.is_complete
    assert run_cells([cell(tmp_path)], jobs=1, label="test") == 1
    assert (one.folder / "out").read_text() == "xx"


def test_a_failure_is_told_with_the_end_of_its_log_and_leaves_the_complete_cells(tmp_path):
    good, bad = cell(tmp_path), cell(tmp_path, seed=1, script="print('about this'); raise SystemExit('no such thing')")
    with pytest.raises(AuditError, match=r"(?s)cell full/1.*no such thing"):
        run_cells([good, bad], jobs=1, label="test")
    assert good.is_complete
    assert not bad.is_complete


def test_a_failure_ends_what_is_under_way(tmp_path):
    slow = cell(tmp_path, script="import time; time.sleep(60)")
    bad = cell(tmp_path, seed=1, script="import time; time.sleep(1); raise SystemExit(1)")
    start = time.monotonic()
    with pytest.raises(AuditError, match="full/1"):
        run_cells([slow, bad], jobs=2, label="test")
    assert time.monotonic() - start < 30
    assert not slow.is_complete


def test_cells_that_are_not_asked_for_are_found_and_removed_alone(tmp_path):
    kept, gone, seed = cell(tmp_path), cell(tmp_path, variant="old"), cell(tmp_path, seed=7)
    run_cells([kept, gone, seed], jobs=1, label="test")
    others = other_cells(tmp_path, [kept])
    assert set(others) == {gone.folder, seed.folder}
    assert seed.is_complete
    for folder in others:
        remove(folder)
    assert kept.is_complete
    assert not other_cells(tmp_path, [kept])
    assert not gone.folder.exists()
    assert not seed.folder.exists()


def test_a_command_that_outlived_its_killed_audit_is_waited_for(tmp_path):
    slow = "import pathlib, sys, time; time.sleep(1.5); p = pathlib.Path(sys.argv[1]); p.write_text('slow')"
    audit = (
        "import sys, pathlib; sys.path.insert(0, '.')\n"
        "from tests.stages.auditing.test_cells import cell; from stages.auditing.cells import run_cells\n"
        f"run_cells([cell(pathlib.Path({str(tmp_path)!r}), script={slow!r})], jobs=1, label='first')"
    )
    process = subprocess.Popen([sys.executable, "-c", audit], cwd=ROOT, stderr=subprocess.DEVNULL)
    plan = tmp_path / "full" / "0" / "log.txt"
    while not plan.exists():
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    then = "import pathlib, sys; p = pathlib.Path(sys.argv[1]); p.write_text(p.read_text() + ' then fast')"
    run_cells([cell(tmp_path, script=then)], jobs=1, label="second")
    assert (tmp_path / "full" / "0" / "out").read_text() == "slow then fast"
