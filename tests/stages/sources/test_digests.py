"""Digests against the programs that define them."""

from __future__ import annotations

import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sources.digests import Digest, Hasher, digest_file
from stages.sources.offers import Offer


@given(st.lists(st.binary(max_size=40)))
def test_pieces_give_the_digest_of_the_whole(pieces):
    whole = b"".join(pieces)
    hasher = Hasher(len(whole))
    for piece in pieces:
        hasher.update(piece)
    git = hashlib.sha1(b"blob %d\0" % len(whole) + whole).hexdigest()
    assert hasher.digest() == Digest(len(whole), hashlib.sha256(whole).hexdigest(), git)


@pytest.mark.parametrize("content", [b"", b"text\n", bytes(3_000_000)])
def test_blob_id_is_the_one_git_computes(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    expected = subprocess.run(
        ["git", "hash-object", "--no-filters", str(path)], capture_output=True, text=True, check=True
    ).stdout.strip()
    read: list[int] = []
    digest = digest_file(path, git=True, advance=read.append)
    assert digest.git_blob == expected
    assert sum(read) == digest.bytes == len(content)


def test_difference_names_the_first_fact_that_does_not_hold():
    digest = Digest(3, "a" * 64, "b" * 40)
    assert Offer("t", "n").difference(digest) is None
    assert Offer("t", "n", 3, "a" * 64, "b" * 40).difference(digest) is None
    assert Offer("t", "n", bytes=1000).difference(digest) == "has 3 bytes, expected 1,000"
    assert Offer("t", "n", sha256="c" * 64).difference(digest) == f"has sha256 {'a' * 64}, expected {'c' * 64}"
    assert Offer("t", "n", git_blob="c" * 40).difference(digest) == f"has git blob id {'b' * 40}, expected {'c' * 40}"
