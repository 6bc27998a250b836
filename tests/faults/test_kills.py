"""SIGKILL at random moments, in every stage and in dvc itself: what is run again afterwards has the bytes of an undisturbed run.

The long form of what tests/test_line.py does with a dozen kills; `make test-faults` sets DOFLOW_FAULT_KILLS=200.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from random import Random

import pytest

from tests import workspace
from tests.faults import line

KILLS = int(os.environ.get("DOFLOW_FAULT_KILLS", "0"))
IN_DVC = KILLS // 8
IN_A_ROW = 4

pytestmark = pytest.mark.skipif(not KILLS, reason="long form: make test-faults")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    work = workspace.prepare(tmp_path_factory.mktemp("undisturbed"), line.every_stage())
    workspace.dvc(work, "repro")
    return work


def test_stages_killed_at_random_end_in_the_same_bytes(undisturbed, capsys):
    steps, rng = line.steps(undisturbed), Random(2026)
    whole = {step.name: step.digest(undisturbed) for step in steps}
    seconds, kills = {}, dict.fromkeys(whole, 0)
    for step in itertools.cycle(steps):
        if step.name not in seconds:
            step.remove(undisturbed)
            seconds[step.name] = step.finish(undisturbed)
            assert step.digest(undisturbed) == whole[step.name], f"{step.name}: two runs, two results"
        step.remove(undisturbed)
        for _ in range(IN_A_ROW):
            if line.killed(step.start(undisturbed), line.moment(rng, seconds[step.name])):
                kills[step.name] += 1
            else:
                step.remove(undisturbed)
        step.finish(undisturbed)
        assert step.digest(undisturbed) == whole[step.name], f"{step.name} after {kills[step.name]} kills"
        with capsys.disabled():
            print(f"\n{sum(kills.values())} kills, the last ones in {step.name}: same bytes", flush=True)
        if sum(kills.values()) >= KILLS - IN_DVC:
            break


def test_dvc_killed_at_random_ends_in_the_same_lock(undisturbed, tmp_path, capsys):
    rng, kills = Random(7), 0
    expected = (undisturbed / "dvc.lock").read_text()
    for number in itertools.count():
        work = workspace.prepare(tmp_path / str(number), line.every_stage(), code=undisturbed)
        while True:
            command = [sys.executable, "-m", "dvc", "repro"]
            log = (work / "repro.log").open("wb")
            process = subprocess.Popen(
                command, cwd=work, env=workspace.environment(), stdout=log, stderr=log, start_new_session=True
            )
            if not line.killed(process, rng.uniform(1.0, 12.0)):
                assert process.returncode == 0, (work / "repro.log").read_text()[-3000:]
                break
            kills += 1
            line.forget_locks(work)
        assert (work / "dvc.lock").read_text() == expected
        if kills >= IN_DVC:
            break
    with capsys.disabled():
        print(f"\n{kills} kills in dvc repro, {number + 1} workspaces", flush=True)
