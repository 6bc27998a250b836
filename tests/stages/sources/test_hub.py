"""The Hub mirror against a real server: listings, names, revisions, access, the lock."""

from __future__ import annotations

import json

import pytest

from stages.sources.errors import FetchError
from stages.sources.settings import Hub, Mirror, SourceEntry
from tests.stages.sources.hub_files import BIG, WANTED, assert_complete, assert_nothing_recorded, contents, source

# ---- when all is well ---------------------------------------------------------------------------------------------------------


def test_chosen_files_arrive_below_strip_with_a_manifest_and_nothing_else(hub, repository, fetched, out):
    done = fetched(source(hub, repository))
    assert_complete(out)
    assert (done.files, done.fetched, done.bytes) == (3, 3, sum(map(len, WANTED.values())))


def test_second_fetch_downloads_nothing(hub, repository, fetched, out):
    fetched(source(hub, repository))
    before = (out / "manifest.json").stat().st_mtime_ns
    hub.calm()
    assert fetched(source(hub, repository)).fetched == 0
    assert not hub.log("resolve", "storage")
    assert (out / "manifest.json").stat().st_mtime_ns == before


def test_manifest_does_not_depend_on_the_order_of_arrival_or_on_the_endpoint(hub, repository, fetched, out):
    fetched(source(hub, repository), threads=1)
    first = (out / "manifest.json").read_bytes()
    for path in [*out.rglob("*.npz"), out / "manifest.json"]:
        path.unlink()
    hub.fault("slow", operation="storage", path="*a.npz", seconds=0.2)
    fetched(source(hub, repository), threads=8)
    assert (out / "manifest.json").read_bytes() == first
    assert hub.endpoint.encode() not in first


def test_damaged_file_is_found_and_fetched_again(hub, repository, fetched, out):
    fetched(source(hub, repository))
    damaged = out / "clip/a.npz"
    damaged.write_bytes(b"x" + BIG[1:])  # same size, so only the digest can tell
    assert fetched(source(hub, repository)).fetched == 1
    assert_complete(out)


def test_listing_of_several_pages_is_read_to_its_end(hub, fetched, out):
    hub.put("owner/pages", {f"features/{number}.json": b"%d" % number for number in range(1100)})
    assert fetched(source(hub, "owner/pages")).files == 1100
    assert len(hub.log("tree")) == 2


def test_one_pattern_without_wildcards_is_one_file_named_by_into(hub, repository, fetched, out):
    entry = Hub(repository=repository, endpoint=hub.endpoint, patterns=("features/labels.json",))
    fetched(SourceEntry(into="labels/all.json", bytes=2, mirrors=(Mirror(hub=entry),)))
    assert contents(out) == {"labels/all.json": b"{}"}


def test_model_repositories_are_read_too(hub, fetched, out):
    hub.put("owner/weights", {"model.safetensors": b"weights"}, kind="models")
    entry = Hub(repository="owner/weights", type="model", endpoint=hub.endpoint)
    fetched(SourceEntry(into="weights", mirrors=(Mirror(hub=entry),)))
    assert contents(out) == {"weights/model.safetensors": b"weights"}


def test_empty_file_arrives(hub, fetched, out):
    hub.put("owner/empty", {"features/empty.json": b"", "features/empty.npz": b""})
    fetched(source(hub, "owner/empty"))
    assert contents(out) == {"empty.json": b"", "empty.npz": b""}


# ---- listings -----------------------------------------------------------------------------------------------------------------


def test_file_missing_from_the_listing_is_noticed_by_the_second_list(hub, repository, fetched, out):
    hub.fault("hide", operation="tree", path="*a.npz", times=-1)
    with pytest.raises(
        FetchError, match=r"lacks 1 file\(s\) that its page names, such as 'features/clip/a.npz'; an incomplete listing"
    ):
        fetched(source(hub, repository))
    assert_nothing_recorded(out)


def test_listing_that_ends_after_its_first_page_is_noticed(hub, fetched, out):
    hub.put("owner/pages", {f"features/{number}.json": b"%d" % number for number in range(1100)})
    hub.fault("last-page", operation="tree", times=-1)
    with pytest.raises(FetchError, match=r"lacks \d+ file\(s\) that its page names"):
        fetched(source(hub, "owner/pages"))
    assert_nothing_recorded(out)


def test_file_missing_from_both_lists_is_noticed_by_the_manifest(hub, repository, fetched, out):
    fetched(source(hub, repository))
    hub.fault("hide", path="*a.npz", times=-1)
    with pytest.raises(
        FetchError, match=r"lists 1 file\(s\) fewer than manifest.json has of the same commit, such as 'clip/a.npz'"
    ):
        fetched(source(hub, repository))
    assert contents(out) == WANTED
    assert (out / "manifest.json").exists()


@pytest.mark.parametrize(
    "evil",
    [
        "../../evil",
        "features/../../evil",
        "/etc/evil",
        "features/C:evil",
        "features\\..\\evil",
        "features/a\nb",
        "features/\u202eevil",
    ],
)
def test_unsafe_names_are_refused_before_anything_is_written(hub, repository, fetched, out, evil):
    hub.fault("rename", path="*labels.json", to=evil, times=-1)
    hub.fault("hide", operation="info", path="*labels.json", times=-1)
    with pytest.raises(FetchError, match="not safe to write"):
        fetched(source(hub, repository, patterns=(), strip=""))
    assert contents(out) == {}
    assert [path.name for path in out.parent.iterdir()] == ["demo"]


@pytest.mark.parametrize("reserved", ["features/manifest.json", "features/.fetch/busy"])
def test_names_that_fetch_uses_itself_are_refused(hub, fetched, out, reserved):
    hub.put(f"owner/reserved{len(reserved)}", {reserved: b"{}"})
    with pytest.raises(FetchError, match="a name that fetch itself uses"):
        fetched(source(hub, f"owner/reserved{len(reserved)}"))
    assert contents(out) == {}


def test_pattern_without_a_match_is_named_with_what_there_is(hub, repository, fetched, out):
    with pytest.raises(FetchError, match=r"no file matches 'features/slowfast/\*'; there are README.md, features"):
        fetched(source(hub, repository, patterns=("features/clip/*", "features/slowfast/*")))
    assert_nothing_recorded(out)


def test_wrong_strip_is_named(hub, repository, fetched):
    with pytest.raises(
        FetchError, match=r"'features/labels\.json' is chosen by the patterns but not below strip: 'features/clip'"
    ):
        fetched(source(hub, repository, strip="features/clip"))


def test_listing_larger_than_the_disk_is_refused_before_the_first_byte(hub, repository, fetched, out):
    hub.fault("announce", path="*a.npz", bytes=10**16, times=-1)
    with pytest.raises(FetchError, match=r"10\.0 PB are missing, but only .* are free on that disk"):
        fetched(source(hub, repository))
    assert not hub.log("resolve", "storage")
    assert_nothing_recorded(out)


# ---- repositories, revisions, access ------------------------------------------------------------------------------------------


def test_unknown_repository_and_revision_are_told_apart(hub, repository, fetched):
    with pytest.raises(FetchError, match="there is no dataset owner/missing, or it is private"):
        fetched(source(hub, "owner/missing"))
    with pytest.raises(FetchError, match="has no revision of that name any more"):
        fetched(source(hub, repository, revision="v9"))


def test_wrong_type_of_repository_is_named(hub, repository, fetched):
    with pytest.raises(FetchError, match="check the name and `type`"):
        fetched(source(hub, repository, type="model"))


def test_pinned_revision_must_be_the_one_that_answers(hub, repository, fetched, out):
    fetched(source(hub, repository))
    commit = json.loads((out / "manifest.json").read_text())["origins"][0]["commit"]
    fetched(source(hub, repository, revision=commit))
    hub.fault("commit", operation="info", sha="b" * 40, times=-1)
    with pytest.raises(FetchError, match=f"answers with commit {'b' * 40} where {commit} is pinned"):
        fetched(source(hub, repository, revision=commit))


def test_gated_repository_says_what_to_do(hub, repository, fetched):
    hub.restrict(f"datasets/{repository}", "hf_secret", gated=True)
    with pytest.raises(FetchError, match=r"asks everyone to accept its terms: .* set HF_TOKEN"):
        fetched(source(hub, repository))


def test_token_opens_a_private_repository_and_is_not_sent_to_the_storage_host(hub, repository, fetched, out, monkeypatch):
    hub.restrict(f"datasets/{repository}", "hf_secret")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetched(source(hub, repository))
    assert_complete(out)
    assert all(entry["authorization"] for entry in hub.log("info", "tree", "resolve"))
    assert not any(entry["authorization"] for entry in hub.log("storage"))
    assert "hf_secret" not in (out / "manifest.json").read_text()


# ---- the lock -----------------------------------------------------------------------------------------------------------------


def test_branch_that_moved_stays_where_the_manifest_has_it(hub, fetched, out, capsys):
    hub.put("owner/moving", {"features/labels.json": b"old"})
    fetched(source(hub, "owner/moving"))
    old = (out / "manifest.json").read_text()
    hub.put("owner/moving@before", {"features/labels.json": b"old"})  # the old commit is still known to the server
    hub.put("owner/moving", {"features/labels.json": b"new"})
    (out / "labels.json").unlink()
    fetched(source(hub, "owner/moving"))
    assert contents(out) == {"labels.json": b"old"}
    assert (out / "manifest.json").read_text() == old
    assert "main has moved from" in capsys.readouterr().err


def test_branch_that_moved_is_taken_when_changes_are_accepted(hub, fetched, out):
    hub.put("owner/accept", {"features/labels.json": b"old", "features/gone.json": b"gone"})
    fetched(source(hub, "owner/accept"))
    hub.put("owner/accept", {"features/labels.json": b"new"})
    (hub.root / "datasets/owner/accept/features/gone.json").unlink()
    done = fetched(source(hub, "owner/accept"), accept_changes=True)
    assert contents(out) == {"labels.json": b"new"}
    assert (done.fetched, done.removed) == (1, 1)


def test_locked_commit_that_the_server_lost_is_an_error_with_a_way_out(hub, fetched, out):
    hub.put("owner/rewritten", {"features/labels.json": b"old"})
    fetched(source(hub, "owner/rewritten"))
    hub.put("owner/rewritten", {"features/labels.json": b"new"})
    (out / "labels.json").unlink()
    with pytest.raises(
        FetchError, match=r"no revision of that name any more: the manifest has commit \w{40}; --accept-changes takes \w{40}"
    ):
        fetched(source(hub, "owner/rewritten"))
    assert contents(out) == {}


def test_another_revision_in_the_parameters_is_consent_to_its_content(hub, fetched, out):
    hub.put("owner/revisions", {"features/labels.json": b"one"})
    hub.put("owner/revisions@v2", {"features/labels.json": b"two"})
    fetched(source(hub, "owner/revisions"))
    fetched(source(hub, "owner/revisions", revision="v2"))
    assert contents(out) == {"labels.json": b"two"}
