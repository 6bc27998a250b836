"""Whatever a file from outside holds, its reader either reads it or raises its own error; and does nothing else.

The short form takes a few dozen files per parser, chosen and shrunk by hypothesis. `make test-faults` adds the long form: 10,000
seeded files per parser (DOFLOW_FAULT_INPUTS says how many), all of them tried before the faults are told, one for each place; a
line per parser says so while the rest runs. DOFLOW_FAULT_SECONDS ends a parser's share early: its line says after how many files.
"""

from __future__ import annotations

import faulthandler
import os
import time
import traceback
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.faults.guard import Guard
from tests.faults.mutations import damaged
from tests.faults.parsers import PARSERS

SHORT = 40
LONG = int(os.environ.get("DOFLOW_FAULT_INPUTS", "0"))
PATIENCE = float(os.environ.get("DOFLOW_FAULT_SECONDS", "inf"))  # of processor time for one parser
STUCK = 600  # seconds after which even a reader that hangs outside Python is given up, with the whole process


@pytest.fixture(autouse=True)
def patience():
    faulthandler.dump_traceback_later(STUCK + LONG // 5, exit=True, file=2)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.mark.parametrize("name", PARSERS)
def test_a_valid_file_is_read(name, tmp_path):
    parser = PARSERS[name]
    for seed in parser.seeds:
        path = laid_out(parser, tmp_path)
        path.write_bytes(seed.wrap(seed.content))
        assert Guard(tmp_path).run(lambda path=path: parser.read(path), allowed=()) is None


@pytest.mark.parametrize("name", PARSERS)
def test_a_hostile_file_raises_the_readers_own_error_or_is_read(name, tmp_path):
    parser = PARSERS[name]
    path, guard = laid_out(parser, tmp_path), Guard(tmp_path)

    @settings(max_examples=SHORT, suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.explain})
    @given(st.randoms(use_true_random=False))
    def attack(rng):
        path.write_bytes(damaged(rng, parser.seeds))
        guard.run(lambda: parser.read(path), allowed=parser.errors)

    attack()


@pytest.mark.skipif(not LONG, reason="long form: make test-faults")
@pytest.mark.parametrize("name", PARSERS)
def test_thousands_of_hostile_files(name, tmp_path, capsys):
    parser = PARSERS[name]
    path, guard = laid_out(parser, tmp_path), Guard(tmp_path)
    tried, refused, faults, begin = 0, 0, {}, time.process_time()
    while tried < LONG and time.process_time() - begin < PATIENCE:
        path.write_bytes(damaged(Random(f"{name} {tried}"), parser.seeds))
        try:
            refused += guard.run(lambda: parser.read(path), allowed=parser.errors) is not None
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            faults.setdefault((type(error).__name__, place(error)), (tried, str(error)[:200]))
        tried += 1
    seconds = time.process_time() - begin
    with capsys.disabled():
        print(f"\n{name}: {tried} inputs in {seconds:.0f} s, {refused} refused, {len(faults)} faults", flush=True)
    assert not faults, "\n".join(f"{kind} at {where}: input {number}: {text}" for (kind, where), (number, text) in faults.items())


def place(error):
    """Where in stages/ an error came from; in the whole, if it came from elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{os.sep}stages{os.sep}" in frame.filename]
    return "{0.filename}:{0.lineno}".format((own or frames)[-1])


def laid_out(parser, folder):
    for other, content in parser.beside.items():
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes(content)
    path = folder / parser.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
