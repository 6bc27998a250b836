"""The order of mirrors and the report when none delivers."""

from __future__ import annotations

from stages.sources.errors import MirrorError
from stages.sources.mirrors import Mirrors, undelivered
from stages.sources.settings import File, Git, Mirror, SourceEntry, Url
from stages.sources.watch import Watch

GIT = Mirror(git=Git(repository="https://host/r", commit="0123456789" * 4, path="x"))
URL = Mirror(url=Url(url="https://host/x"))
OWN = Mirror(file=File(path="copies/x"))


def failed(mirrors: Mirrors, watch: Watch) -> None:
    for number in range(3):
        mirrors.next()
        mirrors.failed(MirrorError(f"reason {number}"), watch)


def test_report_lists_every_mirror_with_its_reason_and_the_state_of_the_folder(tmp_path, capsys):
    mirrors = Mirrors(SourceEntry(into="x", mirrors=(OWN, GIT, URL)))
    failed(mirrors, Watch("test", quiet=True))
    assert not mirrors.left
    assert str(undelivered(tmp_path, [mirrors])).splitlines() == [
        f"{tmp_path}: the source into 'x' could not be fetched; its mirrors said:",
        "  1. file copies/x: reason 0",
        "  2. git https://host/r at 012345678901: reason 1",
        "  3. url https://host/x: reason 2",
        "Complete files are kept, and the same command goes on from there; until then there is no manifest.json.",
    ]
    (tmp_path / "manifest.json").write_text("{}")
    assert (
        str(undelivered(tmp_path, [mirrors])).splitlines()[-1]
        == "Nothing was changed: manifest.json still describes what is there."
    )
    assert "file copies/x: reason 0\n  trying git https://host/r at 012345678901" in capsys.readouterr().err


def test_report_names_every_source_and_its_state_once(tmp_path):
    both = [Mirrors(SourceEntry(into=into, mirrors=(OWN, GIT))) for into in ("x", "y")]
    for mirrors in both:
        mirrors.next()
        mirrors.failed(MirrorError("not there"), Watch("test", quiet=True))
    both[1].keep_to_own_copies()
    error = undelivered(tmp_path, both)
    assert str(error).splitlines() == [
        f"{tmp_path}: the source into 'x' could not be fetched; its mirrors said:",
        "  1. file copies/x: not there",
        "the source into 'y' could not be fetched; its mirrors said:",
        "  1. file copies/x: not there",
        "  2. git https://host/r at 012345678901: not asked, since a server was out of reach",
        "Complete files are kept, and the same command goes on from there; until then there is no manifest.json.",
    ]
    assert [source.into for source in error.missing] == ["x", "y"]
