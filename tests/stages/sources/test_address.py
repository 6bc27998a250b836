"""The url mirror: Range with a validator, unknown sizes and digests, the manifest as the only memory."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import pytest

from stages.sources.errors import FetchError
from stages.sources.settings import Mirror, SourceEntry, Url
from tests.hub_process import RunningHub
from tests.stages.sources.hub_files import BIG, contents


@pytest.fixture
def served(hub: RunningHub) -> RunningHub:
    """files/annotations.jsonl behind a plain address."""
    file = hub.root / "files/annotations.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(BIG)
    return hub


def source(hub: RunningHub, name: str = "annotations.jsonl", **stated: Any) -> SourceEntry:
    return SourceEntry(into="train.jsonl", mirrors=(Mirror(url=Url(url=f"{hub.endpoint}/files/{name}")),), **stated)


def test_file_arrives_under_its_new_name_and_its_digest_is_recorded(served, fetched, out):
    fetched(source(served))
    assert contents(out) == {"train.jsonl": BIG}
    recorded = json.loads((out / "manifest.json").read_text())["files"]["train.jsonl"]
    assert recorded == {"bytes": len(BIG), "sha256": hashlib.sha256(BIG).hexdigest(), "origin": 0}


def test_into_a_folder_keeps_the_name_of_the_address(served, fetched, out):
    (served.root / "files/with blank.txt").write_bytes(b"text")
    url = Url(url=f"{served.endpoint}/files/with%20blank.txt?download=true")
    fetched(SourceEntry(into="texts/", mirrors=(Mirror(url=url),)))
    assert contents(out) == {"texts/with blank.txt": b"text"}


def test_file_that_the_manifest_knows_is_not_asked_for_again(served, fetched, out):
    fetched(source(served))
    served.calm()
    assert fetched(source(served)).fetched == 0
    assert not served.log()


def test_another_address_is_asked_though_the_file_of_the_first_is_there(served, fetched, out):
    (served.root / "files/other.jsonl").write_bytes(b"other")
    fetched(source(served))
    with pytest.raises(FetchError, match=r"train\.jsonl has changed"):
        fetched(source(served, "other.jsonl"))
    fetched(source(served, "other.jsonl"), accept_changes=True)
    assert contents(out) == {"train.jsonl": b"other"}


def test_file_of_an_interrupted_fetch_is_kept_only_for_its_own_address(served, fetched, out):
    (served.root / "files/other.jsonl").write_bytes(b"other")
    missing = source(served, "missing.jsonl")
    missing = dataclasses.replace(missing, into="missing.jsonl")
    for address, log in (("annotations.jsonl", 1), ("annotations.jsonl", 0), ("other.jsonl", 1)):
        served.calm()
        with pytest.raises(FetchError, match="HTTP 404"):
            fetched(source(served, address), missing)
        assert len([entry for entry in served.log("plain") if entry["status"] == 200]) == log
    assert contents(out) == {"train.jsonl": b"other"}


def test_cut_body_is_continued_while_the_server_names_the_same_version(served, fetched, out):
    served.fault("cut", operation="plain", after=2_000_000)
    fetched(source(served))
    assert contents(out) == {"train.jsonl": BIG}
    assert [entry["status"] for entry in served.log("plain")] == [200, 206]


def test_cut_body_starts_again_where_the_server_names_no_version(served, fetched, out):
    served.fault("no-etag", operation="plain", times=-1)
    served.fault("cut", operation="plain", after=2_000_000)
    fetched(source(served))
    assert contents(out) == {"train.jsonl": BIG}
    assert [entry["status"] for entry in served.log("plain")] == [200, 200]


def test_file_that_changed_between_two_runs_is_not_patched_together(served, fetched, out):
    served.fault("cut", operation="plain", after=2_000_000)
    served.fault("cut", operation="plain", after=0, times=-1)
    with pytest.raises(FetchError, match="tried 3 times"):
        fetched(source(served))
    served.calm()
    (served.root / "files/annotations.jsonl").write_bytes(BIG[::-1])
    fetched(source(served))
    assert contents(out) == {"train.jsonl": BIG[::-1]}


def test_other_content_than_stated_is_thrown_away(served, fetched, out):
    with pytest.raises(FetchError, match=f"has sha256 {hashlib.sha256(BIG).hexdigest()}, expected {'0' * 64}"):
        fetched(source(served, sha256="0" * 64))
    assert contents(out) == {}


def test_other_size_than_stated_is_refused_before_the_body(served, fetched, out):
    with pytest.raises(FetchError, match="sends 3,072,000 bytes where 7 are expected"):
        fetched(source(served, bytes=7))
    assert contents(out) == {}


def test_changed_content_is_refused_with_both_digests_and_taken_when_accepted(served, fetched, out):
    fetched(source(served))
    (out / "train.jsonl").unlink()
    (served.root / "files/annotations.jsonl").write_bytes(b"new")
    old, new = hashlib.sha256(BIG).hexdigest(), hashlib.sha256(b"new").hexdigest()
    message = (
        rf"train\.jsonl has changed: manifest\.json has sha256 {old} \(3,072,000 bytes\), this mirror now gives {new} \(3 bytes\)"
    )
    with pytest.raises(FetchError, match=rf"{message}.*--accept-changes"):
        fetched(source(served))
    assert contents(out) == {}
    assert (out / "manifest.json").exists()  # nothing was changed, so it still stands
    fetched(source(served), accept_changes=True)
    assert contents(out) == {"train.jsonl": b"new"}


def test_changed_content_is_taken_when_the_parameters_state_its_digest(served, fetched, out):
    fetched(source(served))
    (served.root / "files/annotations.jsonl").write_bytes(b"new")
    fetched(source(served, sha256=hashlib.sha256(b"new").hexdigest()))
    assert contents(out) == {"train.jsonl": b"new"}


def test_body_that_is_compressed_on_the_way_is_refused(served, fetched, out):
    served.fault("encoded", operation="plain", times=-1)
    with pytest.raises(FetchError, match="sends the file with Content-Encoding gzip though asked not to"):
        fetched(source(served))
    assert contents(out) == {}


def test_missing_page_and_web_page_are_told_apart(served, fetched):
    with pytest.raises(FetchError, match="HTTP 404 Not Found"):
        fetched(source(served, "nothing.json"))
    served.fault("html", operation="plain", times=-1)
    with pytest.raises(
        FetchError, match="answers with a web page instead of the file: a login page, or a link meant for browsers"
    ):
        fetched(source(served))
