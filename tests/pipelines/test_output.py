"""Output of stages, line by line."""

import os
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


def test_lines_keep_their_order_and_survive_broken_utf8_and_a_missing_end(monkeypatch):
    assert spoken(b"first\r\n\n  \nb\xffd\nlast", monkeypatch) == ["first", "b\ufffdd", "last"]
