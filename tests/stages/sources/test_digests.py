"""Digests against the programs that define them."""

from __future__ import annotations

import hashlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sources.digests import Digest, Hasher, digest_file


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
