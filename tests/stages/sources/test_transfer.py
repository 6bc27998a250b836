"""Retrying at the right pace; which faults are worth it."""

from __future__ import annotations

import time

import httpx2
import pytest

from stages.sources.errors import FetchStopped, MirrorError
from stages.sources.transfer import BrieflyUnavailableError, network_fault, patiently
from stages.sources.watch import Patience, Watch

QUICK = Patience(attempts=4, first_wait=0.01, longest_wait=0.02, longest_retry_after=2.0)


@pytest.fixture
def watch():
    return Watch("test", quiet=True)


def failing(times: int, *, retry_after: float | None = None, progressed: bool = False):
    """An attempt that fails so many times, then returns the number of calls."""
    calls = 0

    def attempt() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            problem = BrieflyUnavailableError("busy", retry_after)
            problem.progressed = progressed
            raise problem
        return calls

    return attempt


def test_as_many_tries_as_allowed_and_no_more(watch):
    assert patiently(failing(3), "file", QUICK, watch) == 4
    with pytest.raises(MirrorError, match=r"file: busy \(tried 4 times\)"):
        patiently(failing(4), "file", QUICK, watch)


def test_tries_with_progress_do_not_count(watch):
    assert patiently(failing(20, progressed=True), "file", QUICK, watch) == 21


def test_server_is_not_asked_before_it_wants_to_be(watch):
    start = time.monotonic()
    patiently(failing(1, retry_after=0.3), "file", QUICK, watch)
    assert time.monotonic() - start >= 0.3


def test_server_that_asks_for_too_much_is_given_up_at_once(watch):
    start = time.monotonic()
    with pytest.raises(MirrorError, match="asks to come back in 3 s"):
        patiently(failing(1, retry_after=3.0), "file", QUICK, watch)
    assert time.monotonic() - start < 1


def test_stop_is_not_mistaken_for_a_fault(watch):
    watch.stop()
    with pytest.raises(FetchStopped):
        patiently(failing(0), "file", QUICK, watch)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (httpx2.ConnectError("refused"), True),
        (httpx2.ReadError("reset"), True),
        (httpx2.RemoteProtocolError("peer closed connection"), True),
        (httpx2.ReadTimeout(""), True),
        (httpx2.ProxyError("503"), True),
        (httpx2.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer certificate"), False),
        (httpx2.UnsupportedProtocol("Request URL has an unsupported protocol"), False),
        (httpx2.TooManyRedirects("Exceeded maximum allowed redirects."), False),
    ],
)
def test_only_faults_that_may_pass_are_tried_again(error, again):
    assert isinstance(network_fault(error), BrieflyUnavailableError if again else MirrorError)
