"""Downloads from a Hub that misbehaves: what is said, and what is left behind."""

from __future__ import annotations

import time

import pytest

from stages.sources.errors import FetchError
from stages.sources.settings import Hub, Mirror, SourceEntry
from stages.sources.watch import Patience
from tests.stages.sources.hub_files import BIG, FILES, assert_complete, assert_nothing_recorded, contents, source

# ---- broken transfers ---------------------------------------------------------------------------------------------------------


def test_cut_body_is_continued_by_range(hub, repository, fetched, out):
    hub.fault("cut", operation="storage", path="*a.npz", after=2_000_000)
    fetched(source(hub, repository))
    assert_complete(out)
    ranges = [entry["range"] for entry in hub.log("storage") if entry["path"].endswith("a.npz")]
    assert ranges[0] is None
    assert 0 < int(ranges[1].removeprefix("bytes=").removesuffix("-")) <= 2_000_000


def test_body_that_is_always_cut_ends_with_a_count_and_the_next_fetch_goes_on_there(hub, repository, fetched, out):
    hub.fault("cut", operation="storage", path="*a.npz", after=2_000_000)
    hub.fault("cut", operation="storage", path="*a.npz", after=0, times=-1)
    with pytest.raises(FetchError, match=r"features/clip/a\.npz: the connection failed .* \(tried 3 times\)"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)
    assert "clip/a.npz" not in contents(out)
    hub.calm()
    fetched(source(hub, repository))
    assert_complete(out)
    assert [entry["status"] for entry in hub.log("storage") if entry["path"].endswith("a.npz")] == [206]


def test_many_cuts_are_borne_while_there_is_progress(hub, fetched, out):
    hub.put("owner/large", {"features/large.npz": BIG * 4})
    hub.fault("cut", operation="storage", after=2_000_000, times=5)  # more cuts than attempts
    fetched(source(hub, "owner/large"))
    assert contents(out) == {"large.npz": BIG * 4}


def test_server_that_ignores_range_makes_the_file_start_again(hub, repository, fetched, out):
    hub.fault("cut", operation="storage", path="*a.npz", after=2_000_000)
    hub.fault("no-range", operation="storage", times=-1)
    fetched(source(hub, repository))
    assert_complete(out)


def test_wrong_bytes_once_are_noticed_and_fetched_again(hub, repository, fetched, out, capsys):
    hub.fault("wrong", operation="storage", path="*a.npz")
    fetched(source(hub, repository))
    assert_complete(out)
    assert "features/clip/a.npz has sha256" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["features/clip/a.npz", "features/labels.json"])
def test_wrong_bytes_for_ever_are_thrown_away(hub, repository, fetched, out, file):
    hub.fault("wrong", path=file, times=-1)
    with pytest.raises(
        FetchError, match=rf"{file} has (sha256|git blob id) \w+, expected \w+; it was fetched twice and thrown away"
    ):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)
    assert file.removeprefix("features/") not in contents(out)
    assert not any(path.stat().st_size == len(FILES[file]) for path in (out / ".fetch/partial").iterdir())


def test_content_that_changed_after_the_listing_is_refused(hub, repository, fetched, out):
    hub.fault("replace", operation="resolve", path="*labels.json", content="[]", times=-1)
    with pytest.raises(FetchError, match=r"labels\.json has git blob id"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


def test_longer_content_than_listed_is_refused_before_it_fills_the_disk(hub, repository, fetched, out):
    hub.fault("replace", operation="resolve", path="*labels.json", content="[1, 2, 3]", times=-1)
    with pytest.raises(FetchError, match="sends 9 bytes where 2 are expected"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


def test_shorter_content_than_listed_is_refused(hub, repository, fetched, out):
    hub.fault("announce", path="*labels.json", bytes=5, times=-1)
    with pytest.raises(FetchError, match=r"labels\.json: HTTP 416|the connection ended after 2 of 5 bytes"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


def test_file_that_vanished_after_the_listing_is_named(hub, repository, fetched, out):
    hub.fault("status", operation="resolve", path="*labels.json", status=404, headers={"X-Error-Code": "EntryNotFound"}, times=-1)
    with pytest.raises(FetchError, match=r"lists a file that it does not have; asked for .*labels\.json"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


def test_login_page_instead_of_a_file_is_recognised(hub, repository, fetched, out):
    hub.fault("html", operation="storage", times=-1)
    with pytest.raises(FetchError, match="answers with a web page instead of the file"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


def test_login_page_instead_of_the_api_is_recognised(hub, repository, fetched, out):
    hub.fault("html", operation="info", times=-1)
    with pytest.raises(FetchError, match=r"does not answer as a Hub does .*; check HF_ENDPOINT and the proxy"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


# ---- busy and broken servers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["info", "resolve", "storage"])
@pytest.mark.parametrize("status", [429, 503])
def test_busy_server_is_asked_again(hub, repository, fetched, out, operation, status):
    hub.fault("status", operation=operation, status=status, times=2)
    fetched(source(hub, repository))
    assert_complete(out)


def test_busy_listing_is_asked_again(hub, repository, fetched, out):
    hub.fault("status", operation="tree", status=503)
    fetched(source(hub, repository))
    assert_complete(out)


def test_retry_after_is_waited_for_by_all_threads(hub, repository, fetched, out, capsys):
    hub.fault("status", operation="resolve", path="*labels.json", status=429, retry_after=1)
    hub.fault("slow", operation="resolve", path="*a.npz", seconds=0.1)
    start = time.monotonic()
    fetched(source(hub, repository), threads=3)
    assert time.monotonic() - start >= 1.0
    assert "HTTP 429 Too Many Requests; waiting 1 s" in capsys.readouterr().err
    assert_complete(out)


def test_rate_limit_header_of_the_hub_is_understood(hub, repository, fetched, out, capsys):
    limit = {"RateLimit": '"resolvers";r=0;t=0', "RateLimit-Policy": '"fixed window";"resolvers";q=3000;w=300'}
    hub.fault("status", operation="resolve", status=429, headers=limit)
    fetched(source(hub, repository), threads=1)
    assert "waiting 1 s" in capsys.readouterr().err
    assert_complete(out)


def test_server_that_stays_busy_is_given_up(hub, repository, fetched, out):
    hub.fault("status", operation="resolve", status=503, times=-1)
    with pytest.raises(FetchError, match=r"HTTP 503 Service Unavailable \(tried 3 times\)"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


def test_server_that_asks_to_come_back_tomorrow_is_given_up_at_once(hub, repository, fetched, out):
    hub.fault("status", operation="resolve", status=429, retry_after=86_400, times=-1)
    with pytest.raises(FetchError, match="the server asks to come back in 86400 s"):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


@pytest.mark.parametrize("operation", ["info", "resolve", "storage"])
def test_dropped_connection_is_tried_again(hub, repository, fetched, out, operation):
    hub.fault("reset", operation=operation)
    fetched(source(hub, repository))
    assert_complete(out)


@pytest.mark.parametrize("operation", ["info", "resolve"])
def test_silent_server_counts_as_dead_after_the_timeout(hub, repository, fetched, out, operation):
    hub.fault("slow", operation=operation, seconds=3, times=-1)
    patience = Patience(attempts=2, first_wait=0.01, timeout=0.2)
    with pytest.raises(FetchError, match=r"no answer in time \(ReadTimeout\) \(tried 2 times\)"):
        fetched(source(hub, repository), patience=patience)
    assert_nothing_recorded(out)


def test_unreachable_server_is_named(fetched, out):
    entry = Hub(repository="owner/name", endpoint="http://127.0.0.1:9")  # the discard port: nothing listens
    with pytest.raises(FetchError, match=r"http://127\.0\.0\.1:9 owner/name: the connection failed .*refused.*\(tried 3 times\)"):
        fetched(SourceEntry(into=".", mirrors=(Mirror(hub=entry),)))
    assert_nothing_recorded(out)
