"""What holds for every kind of mirror: order, locks, conflicts, what else lies in the folder, stopping."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from stages.sources.errors import FetchError
from stages.sources.fetching import Manner, fetch
from stages.sources.settings import File, Hub, Mirror, SourceEntry, Url
from tests.stages.sources.hub_files import WANTED, assert_complete, contents


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    for name, content in WANTED.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def file(path: Path) -> Mirror:
    return Mirror(file=File(path=str(path)))


def entry(path: Path, into: str = ".") -> SourceEntry:
    return SourceEntry(into=into, mirrors=(file(path),))


def origins(out: Path) -> list[str]:
    return [origin["kind"] for origin in json.loads((out / "manifest.json").read_text())["origins"]]


# ---- mirrors ------------------------------------------------------------------------------------------------------------------


def test_next_mirror_is_taken_when_the_first_cannot_be_opened(own, hub, fetched, out, capsys):
    missing = Mirror(hub=Hub(repository="owner/missing", endpoint=hub.endpoint))
    fetched(SourceEntry(into=".", mirrors=(missing, file(own))))
    assert f"check the name and `type`\n  trying file {own}\n" in capsys.readouterr().err
    assert_complete(out)
    assert origins(out) == ["file"]


def test_next_mirror_is_taken_when_the_first_breaks_off(own, hub, repository, fetched, out):
    hub.fault("status", operation="storage", path="*a.npz", status=500, times=-1)
    broken = Mirror(hub=Hub(repository=repository, endpoint=hub.endpoint, patterns=("features/*",), strip="features"))
    fetched(SourceEntry(into=".", mirrors=(broken, file(own))))
    assert_complete(out)
    assert origins(out) == ["file"]  # the second mirror vouches for every file, also for those the first one brought


def test_when_all_mirrors_fail_every_reason_is_shown(own, hub, fetched, out):
    mirrors = (
        Mirror(hub=Hub(repository="owner/missing", endpoint=hub.endpoint)),
        Mirror(url=Url(url=f"{hub.endpoint}/files/missing.json")),
        file(own / "missing"),
    )
    with pytest.raises(FetchError) as failure:
        fetched(SourceEntry(into="x", mirrors=mirrors))
    lines = str(failure.value).splitlines()
    assert lines[0].endswith("the source into 'x' could not be fetched; its mirrors said:")
    assert lines[1].startswith("  1. hub dataset owner/missing at main: there is no dataset owner/missing")
    assert lines[2].startswith(f"  2. url {hub.endpoint}/files/missing.json: ")
    assert lines[3].startswith(f"  3. file {own / 'missing'}: ")
    assert lines[4] == "Complete files are kept, and the same command goes on from there; until then there is no manifest.json."


def test_behind_a_server_out_of_reach_only_own_copies_are_looked_for(own, hub, fetched):
    hub.fault("status", operation="info", status=503, times=-1)
    mirrors = (file(own / "missing"), Mirror(hub=Hub(repository="owner/busy", endpoint=hub.endpoint)))
    with pytest.raises(FetchError) as failure:
        fetched(*(SourceEntry(into=into, mirrors=mirrors) for into in ("x", "y")))
    assert failure.value.passing
    assert [source.into for source in failure.value.missing] == ["x", "y"]
    assert str(failure.value).count("not asked, since a server was out of reach") == 1


def test_mirror_with_the_locked_content_is_found_behind_one_with_another(own, tmp_path, fetched, out):
    changed = tmp_path / "changed.json"
    changed.write_bytes(b"{}")
    fetched(SourceEntry(into="labels.json", mirrors=(file(changed),)))
    changed.write_bytes(b"[]")
    (out / "labels.json").unlink()
    fetched(SourceEntry(into="labels.json", mirrors=(file(changed), file(own / "labels.json"))))
    assert contents(out) == {"labels.json": b"{}"}


# ---- several sources ----------------------------------------------------------------------------------------------------------


def test_sources_fill_one_folder_and_one_manifest(own, fetched, out):
    fetched(entry(own / "clip", "features/clip"), entry(own / "labels.json", "labels.json"))
    assert sorted(contents(out)) == ["features/clip/a.npz", "features/clip/b b.npz", "labels.json"]
    assert sorted(json.loads((out / "manifest.json").read_text())["files"]) == sorted(contents(out))


def test_sources_from_one_repository_are_taken_at_one_commit_from_one_listing(hub, repository, fetched, out):
    def part(name: str) -> SourceEntry:
        mirror = Mirror(hub=Hub(repository=repository, endpoint=hub.endpoint, patterns=(f"features/{name}",)))
        return SourceEntry(into=".", mirrors=(mirror,))

    fetched(part("clip/*"), part("labels.json"))
    assert len(contents(out)) == 3
    assert [entry["operation"] for entry in hub.log("info", "tree")] == ["info", "tree"]


def test_two_sources_of_one_file_are_refused(own, fetched, out):
    with pytest.raises(FetchError, match=r"sources 1 and 2 both give 'labels\.json'"):
        fetched(entry(own), entry(own / "labels.json", "labels.json"))
    assert contents(out) == {}


def test_file_and_folder_of_one_name_are_refused(own, fetched, out):
    with pytest.raises(FetchError, match=r"'clip' would be both a file and the folder of 'clip/a\.npz'"):
        fetched(entry(own), entry(own / "labels.json", "clip"))
    assert contents(out) == {}


def test_failure_of_the_last_source_keeps_the_files_of_the_first(own, fetched, out):
    with pytest.raises(FetchError, match="missing"):
        fetched(entry(own / "labels.json", "labels.json"), SourceEntry(into="x", mirrors=(file(own / "missing"),)))
    assert not (out / "manifest.json").exists()
    fetched(entry(own))
    assert_complete(out)


# ---- what else lies in the folder ---------------------------------------------------------------------------------------------


def test_our_files_that_are_no_longer_listed_are_removed(own, fetched, out):
    fetched(entry(own))
    (own / "clip/b b.npz").unlink()
    (own / "clip/a.npz").unlink()
    assert fetched(entry(own)).removed == 2
    assert contents(out) == {"labels.json": b"{}"}
    assert not (out / "clip").exists()


def test_files_that_are_not_ours_or_were_changed_are_left_alone_and_named(own, fetched, out):
    fetched(entry(own))
    (out / "notes.txt").write_text("mine")
    (out / "clip/b b.npz").write_bytes(b"edited by hand")
    (own / "clip/b b.npz").unlink()
    done = fetched(entry(own))
    assert done.strange == ("clip/b b.npz", "notes.txt")
    assert contents(out)["clip/b b.npz"] == b"edited by hand"


def test_folder_that_became_a_link_is_not_written_through(own, fetched, out, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    out.mkdir(parents=True)
    (out / "clip").symlink_to(outside)
    with pytest.raises(FetchError, match="clip is a link; files are only written into real folders"):
        fetched(entry(own))
    assert list(outside.iterdir()) == []


def test_linked_file_is_replaced_and_not_written_through(own, fetched, out, tmp_path):
    outside = tmp_path / "outside.json"
    outside.write_text("untouched")
    out.mkdir(parents=True)
    (out / "labels.json").symlink_to(outside)
    fetched(entry(own))
    assert outside.read_text() == "untouched"
    assert_complete(out)


def test_folder_where_a_file_has_to_go_is_named(own, fetched, out):
    (out / "labels.json").mkdir(parents=True)
    with pytest.raises(FetchError, match=r"labels\.json is a folder where a file has to go; move it away"):
        fetched(entry(own))


# ---- stopping and going on ----------------------------------------------------------------------------------------------------


def test_complete_files_of_a_broken_fetch_are_not_fetched_again(hub, repository, fetched, out):
    hub.fault("status", operation="storage", path="*a.npz", status=500, times=-1)
    source = SourceEntry(
        into=".", mirrors=(Mirror(hub=Hub(repository=repository, endpoint=hub.endpoint, patterns=("features/*",))),)
    )
    with pytest.raises(FetchError):
        fetched(source, threads=1)
    there = set(contents(out))
    hub.calm()
    fetched(source)
    assert {entry["path"] for entry in hub.log("resolve")} == {"features/clip/a.npz", *WANTED_PATHS} - there


WANTED_PATHS = {f"features/{name}" for name in WANTED}


def test_lock_survives_a_fetch_that_breaks_off_while_changing_files(own, hub, fetched, out):
    (hub.root / "files").mkdir(exist_ok=True)
    (hub.root / "files/second.json").write_bytes(b"second")
    sources = [entry(own / "labels.json", "labels.json"), SourceEntry(into="second.json", mirrors=(url(hub),))]
    fetched(*sources)
    (out / "second.json").unlink()
    (own / "labels.json").write_bytes(b"[]")
    hub.fault("status", status=500, times=-1)
    with pytest.raises(FetchError):
        fetched(*sources, accept_changes=True)
    assert contents(out) == {"labels.json": b"[]"}
    assert not (out / "manifest.json").exists()  # it would describe the old labels.json
    hub.calm()
    (hub.root / "files/second.json").write_bytes(b"other")
    with pytest.raises(FetchError, match=r"labels\.json has changed"):
        fetched(*sources)
    fetched(*sources, accept_changes=True)
    assert contents(out) == {"labels.json": b"[]", "second.json": b"other"}


def url(hub) -> Mirror:
    return Mirror(url=Url(url=f"{hub.endpoint}/files/second.json"))


def test_second_fetch_at_the_same_time_is_refused(hub, repository, fetched, out):
    hub.fault("slow", operation="storage", path="*a.npz", seconds=0.8)
    source = SourceEntry(
        into=".", mirrors=(Mirror(hub=Hub(repository=repository, endpoint=hub.endpoint, patterns=("features/*",))),)
    )
    first = threading.Thread(target=fetched, args=(source,))
    first.start()
    while not hub.log("resolve"):  # it is at work on the files, so it holds the folder
        first.join(0.01)
    with pytest.raises(FetchError, match="another fetch is at work here"):
        fetched(source)
    first.join()
    assert (out / "manifest.json").exists()


def test_damaged_manifest_is_named_with_the_way_out(own, fetched, out):
    fetched(entry(own))
    (out / "manifest.json").write_text("{")
    with pytest.raises(FetchError, match=r"manifest\.json: not a manifest of fetch .*; delete it and fetch again"):
        fetched(entry(own))
    (out / "manifest.json").unlink()
    assert fetched(entry(own)).fetched == 0
    assert_complete(out)


def test_folder_of_another_data_set_is_refused(own, fetched, out):
    fetched(entry(own))
    with pytest.raises(FetchError, match="belongs to the data set 'demo'"):
        fetch("other", [entry(own)], out, manner=Manner(quiet=True))


def test_target_that_is_a_file_is_an_error_and_not_a_traceback(own, fetched, out):
    out.parent.mkdir(parents=True)
    out.write_text("a file")
    with pytest.raises(FetchError, match="File exists"):
        fetched(entry(own))
