"""Output of stages, line by line."""

import os
import socket
import time

from pipelines.output import lines


def spoken(data, monkeypatch, seconds=0.0):
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0 + next(clock) * seconds)
    read, write = os.pipe()
    with os.fdopen(write, "wb") as pipe:
        pipe.write(data)
    with os.fdopen(read, "rb") as stream:
        return list(lines(stream))


def test_of_a_progress_bar_one_state_in_ten_seconds_is_told_and_the_last(monkeypatch):
    bar = b"".join(b"%d%%\r" % n for n in range(50)) + b"100%\n"
    assert spoken(bar, monkeypatch, seconds=1.0) == ["0%", "10%", "20%", "30%", "40%", "100%"]


ERRORS = b"NanError: loss reg is NaN in batch 7\r\nbatch 7 has videos a, b\r\nsee data/runs/one\r\n"
ERROR_LINES = ["NanError: loss reg is NaN in batch 7", "batch 7 has videos a, b", "see data/runs/one"]


def test_lines_that_end_as_on_other_systems_are_all_told(monkeypatch):
    assert spoken(b"1%\r2%\r" + ERRORS + b"done\r\n", monkeypatch) == ["1%", *ERROR_LINES, "done"]


def test_a_line_is_one_line_wherever_the_data_are_cut():
    for cut in range(1, len(ERRORS)):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # what is sent at once is read at once
        with theirs, os.fdopen(ours.detach(), "rb") as stream:
            for part in (ERRORS[:cut], ERRORS[cut:], b""):
                theirs.send(part)
            assert list(lines(stream)) == ERROR_LINES, f"cut after {ERRORS[:cut]!r}"


def test_the_state_in_which_a_progress_bar_stopped_is_told(monkeypatch):
    assert spoken(b"1%\r2%\r3%\r", monkeypatch) == ["1%", "3%"]


def test_lines_keep_their_order_and_survive_broken_utf8_and_a_missing_end(monkeypatch):
    assert spoken(b"first\r\n\n  \nb\xffd\nlast", monkeypatch) == ["first", "b\ufffdd", "last"]
