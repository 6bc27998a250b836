"""Threads that work together: order of failures, stopping, waiting."""

from __future__ import annotations

import threading
import time

import pytest

from stages.sources.errors import FetchStopped, MirrorError
from stages.sources.watch import Patience, Watch


@pytest.fixture
def watch():
    return Watch("test", quiet=True)


def test_every_item_is_worked_on_once(watch):
    done, lock = [], threading.Lock()

    def work(item: int) -> None:
        with lock:
            done.append(item)

    watch.each(work, range(1000), threads=8)
    assert sorted(done) == list(range(1000))


def test_first_failure_stops_the_others_in_the_middle_of_their_work(watch):
    def work(item: int) -> None:
        if item == 0:
            raise MirrorError("broken")
        while True:  # a download that would take for ever
            watch.advance(1)
            time.sleep(0.001)

    with pytest.raises(MirrorError, match="broken"):
        watch.each(work, range(100), threads=4)
    watch.check()  # and the next mirror can be tried with the same watch


def test_stop_ends_a_long_wait(watch):
    threading.Timer(0.05, watch.stop).start()
    start = time.monotonic()
    with pytest.raises(FetchStopped):
        watch.pause(30)
    assert time.monotonic() - start < 5


def test_hold_of_one_thread_lets_all_wait(watch):
    watch.hold(0.2, "busy")
    start = time.monotonic()
    watch.pace()
    assert time.monotonic() - start >= 0.2


def test_waits_double_up_to_a_limit():
    patience = Patience(first_wait=1, longest_wait=5)
    assert [patience.wait(attempt) for attempt in (1, 2, 3, 4, 50)] == [1, 2, 4, 5, 5]


def test_progress_of_a_failed_part_does_not_count(capsys):
    watch = Watch("test")

    def break_off() -> None:
        with watch.part(90):
            watch.advance(50)
            raise MirrorError("broken")

    with watch.part(10):
        watch.advance(10)
    with pytest.raises(MirrorError):
        break_off()
    watch.close()
    assert "10.0/10.0" in capsys.readouterr().err.split("\r")[-1]
