"""What params.yaml may say about sources, and what it is told where it may not."""

from __future__ import annotations

import pytest

from stages.sources.settings import File, Git, Hub, Mirror, SourceEntry, Url

OWN = (Mirror(file=File(path="own")),)


@pytest.mark.parametrize(
    ("into", "single", "target"),
    [
        (".", False, "a/b.npz"),
        ("x", False, "x/a/b.npz"),
        ("x", True, "x"),
        ("x/", True, "x/a/b.npz"),
        ("x/y.npz", True, "x/y.npz"),
    ],
)
def test_into_names_a_folder_or_one_file(into, single, target):
    assert SourceEntry(into=into, mirrors=OWN).target("a/b.npz", single=single) == target


def test_mirror_is_exactly_one_kind():
    with pytest.raises(ValueError, match="exactly one of hub, url, git, file; got none"):
        Mirror()
    with pytest.raises(ValueError, match="got url and file"):
        Mirror(url=Url(url="https://host/file"), file=File(path="own"))
    assert Mirror(file=File(path="own")).settings == File(path="own")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: SourceEntry(into="../x", mirrors=OWN), "into: expected a plain relative path, got '../x'"),
        (lambda: SourceEntry(into="/x", mirrors=OWN), "it is an absolute path"),
        (lambda: SourceEntry(into="x", mirrors=()), "mirrors: at least one is needed"),
        (lambda: SourceEntry(into="x", sha256="ABC", mirrors=OWN), "sha256: expected 64 lower-case hex digits, got 'ABC'"),
        (lambda: SourceEntry(into="x", bytes=-1, mirrors=OWN), "bytes: expected a size, got -1"),
        (lambda: Hub(repository="a/b/c"), "repository: expected 'owner/name'"),
        (lambda: Hub(repository="a/b", revision="a b"), "revision: expected a commit, branch or tag"),
        (lambda: Hub(repository="a/b", revision="a..b"), "revision: expected a commit, branch or tag"),
        (lambda: Hub(repository="a/b", patterns=("",)), "an empty pattern matches nothing"),
        (lambda: Hub(repository="a/b", strip="/x"), "strip: expected a plain relative path"),
        (lambda: Hub(repository="a/b", endpoint="host"), "endpoint: expected an http"),
        (lambda: Url(url="ftp://host/file"), "url: expected an http"),
        (lambda: Url(url="https://host/"), "expected the address of one file"),
        (lambda: Url(url="https://me:secret@host/file"), "host must go without"),
        (
            lambda: Git(repository="https://host/r", commit="main", path="x"),
            "40 hex digits .a branch would not be pinned., got 'main'",
        ),
        (lambda: Git(repository="ext::sh -c x", commit="0" * 40, path="x"), "repository: expected a git address"),
        (lambda: Git(repository="--upload-pack=x", commit="0" * 40, path="x"), "repository: expected a git address"),
        (
            lambda: Git(repository="https://me:secret@host/r", commit="0" * 40, path="x"),
            "with a password would end in the manifest",
        ),
        (lambda: Git(repository="https://host/r", commit="0" * 40, path="../x"), "path: expected a plain relative path"),
        (lambda: File(path=""), "path: expected a file or folder"),
    ],
)
def test_wrong_entries_are_told_what_was_expected(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize(
    "repository", ["https://host/r.git", "git@host:owner/r.git", "ssh://git@host/r", "file:///copies/r", "../copies/r"]
)
def test_addresses_that_git_understands_pass(repository):
    Git(repository=repository, commit="0" * 40, path="data/train.jsonl")


def test_secret_in_an_address_is_not_repeated_in_the_message():
    for make in (lambda at: Url(url=at), lambda at: Git(repository=at, commit="0" * 40, path="x")):
        with pytest.raises(ValueError, match="password") as refusal:
            make("https://me:secret@host/file")
        assert "secret" not in str(refusal.value)


def test_only_a_whole_commit_pins():
    assert Hub(repository="a/b", revision="0" * 40).pinned
    assert not Hub(repository="a/b", revision="0" * 12).pinned
